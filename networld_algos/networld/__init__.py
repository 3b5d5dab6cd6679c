"""NetWorld: a world model in latent space with messages, a forecast and, if asked, plans."""

from networld_algos.networld.algorithm import NetWorld
from networld_algos.networld.config import FAITHFUL, NetWorldConfig

__all__ = ["FAITHFUL", "NetWorld", "NetWorldConfig"]
