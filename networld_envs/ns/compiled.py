"""Steps of the fluid model of network slicing with compiled loops, equal to NumPy's bit for bit.

NumPy still computes random draws, exponentials and logarithms; `networld_envs.ns.kernels` computes
the rest. `networld_envs.compiled` compares both kinds of steps before it uses this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networld_envs.ns import fluid, kernels
from networld_envs.ns.cells import hex_table
from networld_envs.ns.fluid_types import SUB_SLOT_S, Params, State, spectral_efficiency
from networld_envs.physics import arrivals

MOST_SLOTS = 4096  # keeps sums of arrivals below 2^53, where every order of summation is exact


def covers(params: Any) -> bool:
    """Whether these loops support the parameters."""
    return isinstance(params, Params) and params.sub_slots <= MOST_SLOTS


def _arrive(rng: np.random.Generator, rate: NDArray[np.float64], slots: int) -> NDArray[np.float64]:
    """`networld_envs.physics.arrivals.poisson_slots` for rates ``(N, S)``, in the order S, N."""
    tables = arrivals.tables()
    size = -(-slots * rate.size // 4)
    words = rng.integers(0, 0xFFFF_FFFF_FFFF_FFFF, size, np.uint64, endpoint=True)
    counts = np.empty((slots, rate.size))
    row, rest, again, large = kernels.look_up(
        words.view(np.uint16), rate, tables.number, slots, counts
    )
    kernels.draw_again(counts, again, row, tables.left_over, rng.random(again.size))
    scattered = rng.poisson(rest)
    kernels.scatter(counts, scattered, rng.integers(0, slots, scattered.sum()))
    if large:
        mean = rate.T.ravel()
        beyond = mean > kernels.LARGEST
        counts[:, beyond] = rng.poisson(mean[beyond], (slots, int(beyond.sum())))
    return counts


def transition(
    params: Params,
    state: State,
    actions: NDArray[np.float32],
    rngs: Sequence[np.random.Generator],
) -> State:
    """`networld_envs.ns.transition`."""
    rate = fluid.arrival_rate(params, state)
    efficiency = spectral_efficiency(
        params, kernels.nearby(hex_table(params.rings), state.utilisation)
    )
    bits, deadlines = np.array(params.packet_bits), np.array(params.deadlines_ms)
    allocation, service = kernels.service(
        np.ascontiguousarray(actions), efficiency, float(params.bandwidth_hz), bits
    )
    packets, in_time, expired = (np.empty(rate.shape) for _ in range(3))
    innovation, drift = np.empty(rate.shape), np.empty(state.hotspot.shape)
    backlog = np.empty(state.backlog.shape)
    before = np.ascontiguousarray(state.backlog)
    for e, rng in enumerate(rngs):
        counts = _arrive(rng, rate[e], params.sub_slots)
        rng.standard_normal(out=innovation[e])
        rng.standard_normal(out=drift[e])
        kernels.serve(
            counts,
            service[e],
            deadlines,
            before[e],
            packets[e],
            in_time[e],
            expired[e],
            backlog[e],
        )
    band_s_hz = params.bandwidth_hz * SUB_SLOT_S * params.sub_slots
    ssr, utilisation = kernels.outcome(in_time, expired, efficiency, bits, band_s_hz)
    return State(
        log_demand=fluid.next_log_demand(params, state.log_demand, innovation),
        hotspot=fluid.next_hotspot(params, state.hotspot, drift),
        packets=packets,
        packets_before=state.packets,
        allocation_hz=allocation,
        in_time=in_time,
        expired=expired,
        ssr=ssr,
        backlog=backlog,
        spectral_efficiency=efficiency,
        utilisation=utilisation,
    )


def observe(params: Params, state: State) -> NDArray[np.float32]:
    """`networld_envs.ns.observe`."""
    return kernels.observe(
        state.packets,
        state.packets_before,
        state.allocation_hz,
        state.ssr,
        state.spectral_efficiency,
        np.ascontiguousarray(state.backlog),
        kernels.nearby(hex_table(params.rings), state.utilisation),
        np.array(params.packet_bits),
    )
