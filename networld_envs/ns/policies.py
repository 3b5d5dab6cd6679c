"""Behaviour and reference policies of NS, from weak to strong.

Local policies use only the agent's own observation; the demand of neighbours adds very little.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from networld_envs.ns import fluid, task
from networld_envs.ns.cells import neighbour_utilisation
from networld_envs.ns.fluid_types import SLICES, SUB_SLOT_S, Params, State, spectral_efficiency
from networld_envs.ns.packet_types import PacketParams
from networld_envs.spec import Policy

Rngs = Sequence[np.random.Generator]
Obs = NDArray[np.float32]
Table = NDArray[np.int32]
Actions = NDArray[np.float32]
AnyParams = Params | PacketParams

GRID = 50  # parts into which `expert` and `genie` divide the band: 200 kHz each by default
EQUAL_SPLIT = (1 / 3, 1 / 3, 1 / 3)
STATIC_SPLIT = (0.1, 0.45, 0.45)  # `tune_static(Params(), range(1000, 1016))`
# `tune_static(PacketParams(rings=0), range(1000, 1016), steps=3)`
PACKET_STATIC_SPLIT = (0.4, 0.2, 0.4)
PUBLISHED_SPLIT = (0.1, 0.8, 0.1)  # [1, 8, 1] MHz, for which Hua et al. (2020) give a utility


def random(params: AnyParams, obs: Obs, neighbours: Table, rngs: Rngs, step: int) -> Actions:
    """The whole band, split uniformly at random over the simplex."""
    del neighbours, step
    split = np.stack([rng.dirichlet(np.ones(len(SLICES)), size=obs.shape[1]) for rng in rngs])
    return _in_hz(params, split)


def static(
    params: AnyParams,
    obs: Obs,
    neighbours: Table,
    rngs: Rngs,
    step: int,
    *,
    split: tuple[float, float, float] | None = None,
) -> Actions:
    """The same split in every cell and interval; by default the best one known for the model."""
    del neighbours, rngs, step
    if split is None:
        split = PACKET_STATIC_SPLIT if _has_packets(params) else STATIC_SPLIT
    return _in_hz(params, np.broadcast_to(np.array(split), (*obs.shape[:2], len(split))))


def demand(params: AnyParams, obs: Obs, neighbours: Table, rngs: Rngs, step: int) -> Actions:
    """In proportion to the bits that arrived in the last interval; equal parts if none did."""
    del neighbours, rngs, step
    bits = obs[..., task.OBSERVATION["bits"]].astype(np.float64)
    total = bits[..., 0:1] + bits[..., 1:2] + bits[..., 2:3]
    split = np.where(total > 0.0, bits / np.where(total > 0.0, total, 1.0), 1.0 / len(SLICES))
    return _in_hz(params, split)


def expert(params: Params, obs: Obs, neighbours: Table, rngs: Rngs, step: int) -> Actions:
    """One-step model-predictive allocation from the agent's own observation.

    Forecasts each slice's demand by regression to the mean of the log-demand, predicts the share
    of packets in time for every part of the band, and chooses the best of all splits.
    """
    del neighbours, rngs, step
    mean = params.mean_arrivals  # (3,) packets per sub-slot
    variance = params.demand_sigma**2
    phi = params.demand_memory
    packets = obs[..., task.OBSERVATION["packets"]].astype(np.float64)
    typical = np.maximum(params.sub_slots * mean, 1e-12)
    log_demand = np.log(np.maximum(packets, 0.5) / typical) + 0.5 * variance
    rate = mean * np.exp(phi * log_demand - 0.5 * phi * phi * variance)
    spread = np.sqrt((1.0 - phi * phi) * variance)
    utilisation = obs[..., task.OBSERVATION["neighbour_utilisation"]][..., 0]
    backlog = obs[..., task.OBSERVATION["backlog"]].astype(np.float64)
    return _best_split(params, rate, spread, utilisation.astype(np.float64), backlog)


def genie(params: Params, state: State, rngs: Rngs, step: int) -> Actions:
    """The expert's allocation, but with the true demand of the coming interval."""
    del rngs, step
    rate = fluid.arrival_rate(params, state)
    utilisation = neighbour_utilisation(params.rings, state.utilisation)
    return _best_split(params, rate, 0.0, utilisation, state.queued)


def _best_split(
    params: Params,
    rate: NDArray[np.float64],
    spread: float,
    neighbour_utilisation: NDArray[np.float64],
    backlog: NDArray[np.float64],
) -> Actions:
    """The split of the band with the largest predicted sum of weighted satisfaction ratios.

    A deadline of d sub-slots lets a slice use the service of d sub-slots for the packets ``X`` that
    arrive in them, so about ``E[min(X, d c)] / E[X]`` are in time, with ``c`` the service per
    sub-slot. ``X`` is treated as normal with mean ``m`` and variance ``m + (spread m)^2``: Poisson
    arrivals at a log-normal rate. For a normal X, with ``z = (d c - m) / s``::

        E[min(X, d c)] = m - s (phi(z) - z Phi(-z))

    Args:
        params: Parameters of the task.
        rate: ``(E, N, 3)`` expected packets per sub-slot.
        spread: Standard deviation of the logarithm of the rate.
        neighbour_utilisation: ``(E, N)``.
        backlog: ``(E, N, 3)`` packets queued, spread over the interval.
    """
    bits = np.array(params.packet_bits)
    efficiency = spectral_efficiency(params, neighbour_utilisation)
    per_slot = efficiency * (params.bandwidth_hz * SUB_SLOT_S)  # (E, N) bits
    window = np.array(params.deadlines_ms, dtype=np.float64)
    mean = np.maximum((rate + backlog / params.sub_slots) * window, 1e-9)[..., None]
    deviation = np.sqrt(mean + (spread * mean) ** 2)
    part = np.arange(GRID + 1) / GRID
    reach = (per_slot[..., None] * (window / bits))[..., None] * part  # (E, N, 3, GRID+1)
    z = (reach - mean) / deviation
    density = np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)
    ratio = 1.0 - deviation / mean * (density - z * ndtr(-z))
    ratio = np.clip(ratio, 0.0, 1.0) * np.array(params.slice_weights)[:, None]
    splits = _all_splits()
    value = ratio[..., 0, splits[:, 0]] + ratio[..., 1, splits[:, 1]] + ratio[..., 2, splits[:, 2]]
    return _in_hz(params, splits[value.argmax(axis=-1)] / GRID)


@lru_cache(maxsize=1)
def _all_splits() -> NDArray[np.int64]:
    """Every way to share out all ``GRID`` parts: ``(1326, 3)`` for 50."""
    first, second = np.divmod(np.arange((GRID + 1) ** 2), GRID + 1)
    third = GRID - first - second
    return np.stack([first, second, third], axis=-1)[third >= 0]


def _in_hz(params: AnyParams, split: NDArray[Any]) -> Actions:
    return np.minimum(split * params.bandwidth_hz, params.bandwidth_hz).astype(np.float32)


def _has_fluid_queues(params: Any) -> bool:
    """Whether the forecast applies: log-normal demand and Poisson arrivals, the default model."""
    return isinstance(params, Params)


def _has_packets(params: Any) -> bool:
    return isinstance(params, PacketParams)


def tune_static(
    params: AnyParams, seeds: Sequence[int], steps: int = 50, parts: int = 20
) -> tuple[tuple[float, float, float], float]:
    """The best constant split, by grid search on common random numbers.

    Searches a grid with twice the spacing, then the fine grid around the best point.

    Args:
        params: Parameters of the task.
        seeds: One environment per seed.
        steps: Intervals per episode.
        parts: Parts into which the band is divided, an even number; 20 is a grid of 5%.

    Returns:
        The split and its mean reward per agent and step.
    """
    score: dict[tuple[int, int, int], float] = {}

    def evaluate(first: int, second: int) -> None:
        key = (first, second, parts - first - second)
        if min(key) < 0 or key in score:
            return
        rngs = [np.random.default_rng(seed) for seed in seeds]
        state = task.reset(params, rngs)
        shape = (len(seeds), params.num_agents, len(key))
        action = _in_hz(params, np.broadcast_to(np.array(key) / parts, shape))
        total = 0.0
        for _ in range(steps):
            after = task.transition(params, state, action, rngs)
            total += float(task.reward(params, state, action, after).mean(dtype=np.float64))
            state = after
        score[key] = total / steps

    for first in range(0, parts + 1, 2):
        for second in range(0, parts + 1, 2):
            evaluate(first, second)
    centre = max(score, key=lambda key: score[key])
    for first in range(centre[0] - 2, centre[0] + 3):
        for second in range(centre[1] - 2, centre[1] + 3):
            evaluate(first, second)
    best = max(score, key=lambda key: score[key])
    return (best[0] / parts, best[1] / parts, best[2] / parts), score[best]


POLICIES: dict[str, Policy] = {
    p.name: p
    for p in (
        Policy("random", "random", "a random split every interval", local=random),
        Policy("demand", "heuristic", "in proportion to the last demand in bits", local=demand),
        Policy(
            "published",
            "static",
            "1, 8 and 1 of every 10 MHz, as published",
            local=partial(static, split=PUBLISHED_SPLIT),
            needs=_has_packets,
        ),
        Policy("hard", "heuristic", "equal parts", local=partial(static, split=EQUAL_SPLIT)),
        Policy("static", "static", "a constant split, tuned for the model", local=static),
        Policy(
            "expert",
            "expert",
            "one-step model-predictive allocation",
            local=expert,
            needs=_has_fluid_queues,
        ),
        Policy(
            "genie",
            "genie",
            "the expert's allocation with the next demand known",
            privileged=genie,
            needs=_has_fluid_queues,
        ),
    )
}
