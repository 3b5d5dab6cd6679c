"""What NetWorld's updates and decisions take, roughly, on one core.

Measured with one thread, both cores of a two-core AMD machine at work, torch 2.13 with oneDNN, for
the configurations of the suite `cpu`.
"""

from __future__ import annotations

from networld_algos.networld.config import NetWorldConfig

UPDATE_S = 0.053
REGRESSION = 0.60  # an update without a noise model, as a share of one with it
WIDE_DIM, WIDE = 256, 200.0  # U-Nets as wide as published: an update is so many times slower
PLAN_S = 0.6  # an evaluation of 16 episodes: what does not depend on the solver
FORWARD_S = 0.28  # each further solver step
GRADIENT = 1.1  # a gradient takes so many steps' time


def update_seconds(config: NetWorldConfig) -> float:
    """Seconds of an update."""
    if config.planner == "regression":
        return UPDATE_S * REGRESSION
    return UPDATE_S * (WIDE if config.dim >= WIDE_DIM else 1.0)


def evaluation_seconds(config: NetWorldConfig) -> float:
    """Seconds of 16 episodes of 50 steps and about 20 agents."""
    if config.follows_forecast:
        return PLAN_S
    steps = float(config.steps)
    if config.guidance == "gradient" and config.guidance_weight:
        steps += GRADIENT * max(0, config.steps - 2)
    if config.guidance == "select":
        steps *= config.candidates
    return PLAN_S + steps * FORWARD_S * (WIDE if config.dim >= WIDE_DIM else 1.0)
