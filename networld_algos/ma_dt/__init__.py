"""MA-DT: the Decision Transformer (Chen et al., NeurIPS 2021) for each agent, shared parameters."""

from networld_algos.ma_dt.algorithm import MADT
from networld_algos.ma_dt.config import MADTConfig

__all__ = ["MADT", "MADTConfig"]
