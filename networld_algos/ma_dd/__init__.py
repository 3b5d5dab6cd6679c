"""MA-DD: the Decision Diffuser (Ajay et al., ICLR 2023) for each agent, shared parameters."""

from networld_algos.ma_dd.algorithm import MADD
from networld_algos.ma_dd.config import MADDConfig

__all__ = ["MADD", "MADDConfig"]
