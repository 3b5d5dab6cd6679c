"""The default model of network slicing, fluid queues with deadlines: reset and transition.

The equations are in `networld_envs.ns`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networld_envs.ns.cells import applied_allocation, neighbour_utilisation, satisfaction_ratio
from networld_envs.ns.fluid_types import SUB_SLOT_S, Params, State, spectral_efficiency
from networld_envs.physics.arrivals import poisson_slots
from networld_envs.physics.queueing import serve_before_deadline
from networld_envs.physics.topology import hex_grid

MOST_PACKETS = 1e12  # largest mean per sub-slot: generators can draw it, and no band can serve it
GROUP_QUEUES = 256  # queues simulated together; does not change results


def reset(params: Params, rngs: Sequence[np.random.Generator]) -> State:
    """Stationary demand, empty queues.

    Args:
        params: Parameters of the task.
        rngs: One generator per environment.
    """
    shape, envs = params.shape, len(rngs)
    history = np.empty((2, envs, *shape))
    log_demand = np.empty((envs, *shape))
    hotspot = np.empty((envs, shape[1], params.hotspots, 2))
    for e, rng in enumerate(rngs):
        x = params.demand_sigma * rng.standard_normal(shape)
        z = _hotspot_spread(params) * rng.standard_normal(hotspot[e].shape)
        for measured in history:
            mean = _mean_rate(params, x, z)
            measured[e] = rng.poisson(mean * params.sub_slots)
            x = next_log_demand(params, x, rng.standard_normal(shape))
            z = next_hotspot(params, z, rng.standard_normal(z.shape))
        log_demand[e], hotspot[e] = x, z
    none = np.zeros((envs, *shape))
    return State(
        log_demand=log_demand,
        hotspot=hotspot,
        packets=history[1],
        packets_before=history[0],
        allocation_hz=none,
        in_time=none,
        expired=none,
        ssr=np.ones_like(none),
        backlog=np.zeros((*none.shape, max(1, max(params.deadlines_ms) - 1))),
        spectral_efficiency=np.zeros(none.shape[:2]),
        utilisation=np.full(none.shape[:2], min(params.load, 1.0)),
    )


def transition(
    params: Params, state: State, actions: NDArray[Any], rngs: Sequence[np.random.Generator]
) -> State:
    """One interval.

    Args:
        params: Parameters of the task.
        state: State at the start of the interval.
        actions: ``(E, N, 3)`` Hz, each in [0, W].
        rngs: One generator per environment.
    """
    rate = arrival_rate(params, state).transpose(0, 2, 1)  # (E, S, N)
    allocation = applied_allocation(params.bandwidth_hz, actions)
    nearby = neighbour_utilisation(params.rings, state.utilisation)
    efficiency = spectral_efficiency(params, nearby)
    bits = np.array(params.packet_bits)
    service = allocation * (efficiency * SUB_SLOT_S)[..., None] / bits
    innovation = np.empty_like(state.log_demand)
    drift = np.empty_like(state.hotspot)
    packets = np.empty_like(state.log_demand)
    in_time, expired = np.empty_like(packets), np.empty_like(packets)
    backlog = np.empty_like(state.backlog)
    envs, cells, slices = packets.shape
    group = max(1, GROUP_QUEUES // (cells * slices))  # as many as fit the processor's cache
    for first in range(0, envs, group):
        some = slice(first, first + group)
        arrivals = np.empty((params.sub_slots, slices, *packets[some].shape[:2]))
        for e, rng in enumerate(rngs[some]):
            drawn = poisson_slots(rng, rate[first + e].ravel(), params.sub_slots)
            arrivals[:, :, e] = drawn.reshape(-1, slices, cells)
            innovation[first + e] = rng.standard_normal((cells, slices))
            drift[first + e] = rng.standard_normal(drift.shape[1:])
        result = serve_before_deadline(
            arrivals,
            service[some].transpose(2, 0, 1),
            params.deadlines_ms,
            state.backlog[some].transpose(3, 2, 0, 1),
        )
        packets[some] = arrivals.sum(axis=0).transpose(1, 2, 0)
        in_time[some] = result.in_time.transpose(1, 2, 0)
        expired[some] = result.expired.transpose(1, 2, 0)
        backlog[some] = result.backlog.transpose(2, 3, 1, 0)
    served = in_time * bits
    capacity = efficiency * (params.bandwidth_hz * SUB_SLOT_S * params.sub_slots)
    used = (served[..., 0] + served[..., 1] + served[..., 2]) / capacity
    return State(
        log_demand=next_log_demand(params, state.log_demand, innovation),
        hotspot=next_hotspot(params, state.hotspot, drift),
        packets=packets,
        packets_before=state.packets,
        allocation_hz=allocation,
        in_time=in_time,
        expired=expired,
        ssr=satisfaction_ratio(in_time, expired),
        backlog=backlog,
        spectral_efficiency=efficiency,
        utilisation=np.minimum(used, 1.0),
    )


def arrival_rate(params: Params, state: State) -> NDArray[np.float64]:
    """Mean packets per sub-slot of the coming interval, ``(E, N, 3)``."""
    return _mean_rate(params, state.log_demand, state.hotspot)


def hotspot_factor(params: Params, hotspot: NDArray[np.float64]) -> NDArray[np.float64]:
    """Factor by which hotspots multiply the demand, ``(..., N, S)``.

    ``1 + gain sum_h exp(-|p_n - z_h|^2 / (2 width^2))`` over the hotspots of a slice.

    Args:
        params: Parameters of the task.
        hotspot: ``(..., S, H, 2)`` positions; without hotspots the factor is 1.
    """
    gap = hotspot[..., None, :] - hex_grid(params.rings)  # (..., S, H, N, 2)
    square = gap[..., 0] ** 2 + gap[..., 1] ** 2
    bump = np.exp(-0.5 * square / params.hotspot_width**2).sum(axis=-2)  # (..., S, N)
    return np.swapaxes(1.0 + params.hotspot_gain * bump, -1, -2)


def _mean_rate(
    params: Params, log_demand: NDArray[np.float64], hotspot: NDArray[np.float64]
) -> NDArray[np.float64]:
    rate = params.mean_arrivals * np.exp(log_demand - 0.5 * params.demand_sigma**2)
    if params.hotspots:
        rate = rate * hotspot_factor(params, hotspot)
    return np.minimum(rate, MOST_PACKETS)


def next_log_demand(
    params: Params, log_demand: NDArray[np.float64], innovation: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Log-demand of the next interval, from standard normal innovations of the same shape."""
    phi = params.demand_memory
    return phi * log_demand + np.sqrt(1.0 - phi * phi) * params.demand_sigma * innovation


def _hotspot_spread(params: Params) -> float:
    """Standard deviation of a hotspot's coordinates, inter-site distances: half the radius."""
    return 0.5 * (params.rings + 0.5)


def next_hotspot(
    params: Params, hotspot: NDArray[np.float64], innovation: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Hotspots of the next interval, from standard normal innovations of the same shape."""
    phi = float(np.exp(-1.0 / params.hotspot_tau))
    return phi * hotspot + np.sqrt(1.0 - phi * phi) * _hotspot_spread(params) * innovation


def traffic(
    params: Params, state: State
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Bits of the last two intervals, latest first, and packets queued, each ``(E, N, 3)``."""
    bits = np.array(params.packet_bits)
    return state.packets * bits, state.packets_before * bits, state.queued


def reward(params: Params, state: State) -> NDArray[np.float64]:
    """Reward ``(E, N)`` of the interval that ended in ``state``."""
    ssr, weights = state.ssr, np.array(params.slice_weights, np.float64)
    weights /= weights.sum()
    value = weights[0] * ssr[..., 0] + weights[1] * ssr[..., 1] + weights[2] * ssr[..., 2]
    if params.se_weight:
        value += params.se_weight * state.utilisation * state.spectral_efficiency
    if params.violation_penalty:
        value -= params.violation_penalty * (ssr < params.ssr_target).mean(axis=-1)
    return value


def reward_range(params: Params) -> tuple[float | None, float | None]:
    """Smallest and largest reward, None where there is no simple bound."""
    return (None, None) if params.se_weight else (0.0 - params.violation_penalty, 1.0)


def largest_efficiency(params: Params) -> float:
    """Spectral efficiency without interference, bit/s/Hz."""
    return float(spectral_efficiency(params, np.float64(0.0)))


def hidden(state: State) -> tuple[NDArray[np.float64], ...]:
    """Parts of the global state that are not observed: log-demand and hotspot positions."""
    return state.log_demand, state.hotspot
