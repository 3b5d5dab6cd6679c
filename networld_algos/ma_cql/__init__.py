"""MA-CQL: conservative Q-learning (Kumar et al., 2020) for each agent, shared parameters."""

from networld_algos.ma_cql.algorithm import MACQL
from networld_algos.ma_cql.config import MACQLConfig

__all__ = ["MACQL", "MACQLConfig"]
