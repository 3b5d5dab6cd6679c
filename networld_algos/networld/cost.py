"""Rough cost of NetWorld's updates and decisions on one core.

Measured for the configurations of the suite `cpu` with one thread, while both cores of a two-core
AMD machine were busy, with torch 2.13 and oneDNN.
"""

from __future__ import annotations

from networld_algos.networld.config import NetWorldConfig
from networld_algos.nn.diffusion import UNGUIDED_STEPS

UPDATE_S = 0.053
FORECAST = 0.35  # time of an update without a noise model, as a share of one with it
WIDE_DIM, WIDE = 256, 200.0  # width of the published U-Nets, and how many times slower they are
PLAN_S = 0.6  # part of an evaluation of 16 episodes that does not depend on the solver
FORWARD_S = 0.28  # added per solver step
GRADIENT = 1.1  # time of a guidance gradient, in solver steps


def update_seconds(config: NetWorldConfig) -> float:
    """Seconds of an update."""
    if config.planner == "forecast":
        return UPDATE_S * FORECAST
    return UPDATE_S * (WIDE if config.dim >= WIDE_DIM else 1.0)


def evaluation_seconds(config: NetWorldConfig) -> float:
    """Seconds of 16 episodes of 50 steps and about 20 agents."""
    if config.follows_forecast:
        return PLAN_S
    steps = float(config.steps)
    if config.guidance == "gradient" and config.guidance_weight:
        steps += GRADIENT * max(0, config.steps - UNGUIDED_STEPS)
    if config.guidance == "select":
        steps *= config.candidates
    return PLAN_S + steps * FORWARD_S * (WIDE if config.dim >= WIDE_DIM else 1.0)
