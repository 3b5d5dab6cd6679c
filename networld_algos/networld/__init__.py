"""NetWorld: a diffusion world model in latent space with mean-field messages."""

from networld_algos.networld.algorithm import NetWorld
from networld_algos.networld.config import FAITHFUL, NetWorldConfig

__all__ = ["FAITHFUL", "NetWorld", "NetWorldConfig"]
