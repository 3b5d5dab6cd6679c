"""Reset and transition of preset ``hua2019`` of network slicing, packet by packet.

Each slot processes only the users that have packets, in all cells of all environments together.
The many silent users cost nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from networld_envs.ns.cells import applied_allocation, satisfaction_ratio
from networld_envs.ns.packet_types import NUM_SLICES, PacketParams, PacketState

NEVER = 1 << 40  # slot in which no packet arrived
LEAST = 2.0**-53  # smallest uniform number that becomes a normal one: its quantile is finite
POOL = 1 << 15  # uniform numbers drawn at a time


class _Uniforms:
    """Uniform numbers for every environment, drawn in blocks from its own generator."""

    def __init__(self, rngs: Sequence[np.random.Generator], most: int) -> None:
        self.rngs = rngs
        self.size = max(POOL, most)
        self.pool = np.stack([rng.random(self.size) for rng in rngs])
        self.used = np.zeros(len(rngs), np.int64)

    def take(self, env: NDArray[np.int64]) -> NDArray[np.float64]:
        """One number for each entry of the sorted ``env``, at most ``most`` per environment."""
        count = np.bincount(env, minlength=len(self.rngs))
        for e in np.flatnonzero(self.used + count > self.size).tolist():
            self.pool[e] = self.rngs[e].random(self.size)
            self.used[e] = 0
        start = self.used - (np.cumsum(count) - count)
        values = self.pool[env, start[env] + np.arange(len(env))]
        self.used += count
        return values


def reset(params: PacketParams, rngs: Sequence[np.random.Generator]) -> PacketState:
    """Place the users; buffers are empty, and each user's first packet is scheduled.

    Args:
        params: Parameters of the preset.
        rngs: One generator per environment.
    """
    envs, cells, users = len(rngs), params.num_agents, params.users_per_cell
    user_m = np.empty((envs, cells, users, 2))
    number = np.empty((envs, cells, users), np.int64)
    due = np.empty((envs, cells, users), np.int64)
    ends = np.cumsum(params.users)
    kind = np.broadcast_to(params.slice_of_user, (cells, users))
    for e, rng in enumerate(rngs):
        u, v = rng.random((2, cells, users))
        if params.square_drop:
            user_m[e] = params.radius_m * np.stack([2.0 * u - 1.0, 2.0 * v - 1.0], axis=-1)
        else:
            distance_m, azimuth = params.radius_m * np.sqrt(u), 2.0 * np.pi * v
            direction = np.stack([np.cos(azimuth), np.sin(azimuth)], axis=-1)
            user_m[e] = distance_m[..., None] * direction
        shuffled = rng.permuted(np.tile(np.arange(users), (cells, 1)), axis=1)
        parts = np.split(shuffled, ends[:-1], axis=1)
        number[e] = np.concatenate([np.sort(part, axis=1) for part in parts], axis=1)
        due[e] = _gap_slots(params, kind, rng.random((cells, users)))
    per_slice = np.zeros((envs, cells, NUM_SLICES))
    buffers = (envs, cells, users, params.buffer)
    return PacketState(
        user_m=user_m,
        number=number,
        bits=np.zeros(buffers),
        size=np.zeros(buffers),
        born=np.full(buffers, NEVER, np.int64),
        is_late=np.zeros(buffers, bool),
        due=due,
        pointer=np.zeros(per_slice.shape, np.int64),
        packets=per_slice,
        packets_before=per_slice,
        arrived_bits=per_slice,
        arrived_bits_before=per_slice,
        allocation_hz=per_slice,
        in_time=per_slice,
        expired=per_slice,
        dropped=per_slice,
        ssr=np.ones_like(per_slice),
        backlog=per_slice,
        queued=per_slice,
        spectral_efficiency=np.zeros((envs, cells)),
        utilisation=np.zeros((envs, cells)),
        started=np.zeros((envs, cells), bool),
    )


def transition(
    params: PacketParams,
    state: PacketState,
    actions: NDArray[Any],
    rngs: Sequence[np.random.Generator],
) -> PacketState:
    """One window of slots.

    Args:
        params: Parameters of the preset.
        state: State at the start of the window.
        actions: ``(E, N, 3)`` Hz, each in [0, W].
        rngs: One generator per environment.
    """
    allocation = applied_allocation(params.bandwidth_hz, actions)
    window = _Window(params, state, allocation, rngs)
    for slot in range(params.slots):
        window.arrive(slot)
        window.serve(slot)
    return window.close(state, allocation)


class _Window:
    """The buffers during one window, with the users of all cells and environments on one axis.

    ``F = E N U`` users, ``Q = E N S`` queues: the users of one slice in one cell.
    """

    def __init__(
        self,
        params: PacketParams,
        state: PacketState,
        allocation_hz: NDArray[np.float64],
        rngs: Sequence[np.random.Generator],
    ) -> None:
        self.params = params
        envs, cells, users = state.due.shape
        rows = envs * cells * users
        self.users_per_env = cells * users
        self.uniforms = _Uniforms(rngs, 2 * cells * users)
        cell, user = np.divmod(np.arange(rows), users)
        self.kind = params.slice_of_user[user]  # (F,)
        self.queue = cell * NUM_SLICES + self.kind  # (F,)
        self.number = state.number.reshape(-1)
        buffers = (rows, params.buffer)
        self.bits, self.size = (
            state.bits.reshape(buffers).copy(),
            state.size.reshape(buffers).copy(),
        )
        self.born = state.born.reshape(buffers).copy()
        self.is_late = state.is_late.reshape(buffers).copy()
        self.count = (self.born != NEVER).sum(axis=1)  # (F,) packets in the buffer
        self.due = state.due.reshape(-1).copy()
        self.pointer = state.pointer.reshape(-1).copy()
        if params.pointer_by_number:
            self.pointer[:] = 0  # the public code starts every window at number 0
        blocks = np.floor(allocation_hz / params.block_hz + 1e-6)
        self.blocks = blocks.reshape(-1).astype(np.int64)  # (Q,)
        distance_km = np.hypot(state.user_m[..., 0], state.user_m[..., 1]) / 1e3
        distance_km = np.maximum(distance_km, params.min_distance_m / 1e3)
        loss_db = params.path_loss_1km_db + params.path_loss_slope_db * np.log10(distance_km)
        power_db = params.power_dbm + params.receive_gain_db - loss_db - params.noise_dbm_hz
        self.mean_snr_db = power_db.reshape(-1)  # (F,) in a band of 1 Hz
        self.latest_age = np.array(params.latest_age)[self.kind]
        self.sla_rate_bps = np.array(params.sla_rate_bps)[self.kind]
        self.log = np.log10 if params.decimal_logarithm else np.log2
        queues = len(self.blocks)
        self.packets, self.arrived_bits, self.in_time, self.expired = np.zeros((4, queues))
        self.dropped = np.zeros(queues)
        self.delivered_bits, self.offered_bits, self.granted = np.zeros((3, queues))

    def arrive(self, slot: int) -> None:
        """Move due packets into their buffers; if one is full, they are dropped or wait."""
        params = self.params
        fits = self.count < params.buffer
        due = self.due <= slot
        f = np.flatnonzero(due & fits if params.stall_sources else due)
        if not f.size:
            return
        env, kind, queue = f // self.users_per_env, self.kind[f], self.queue[f]
        size = _packet_bits(params, kind, self.uniforms.take(env))
        self.due[f] = slot + 1 + _gap_slots(params, kind, self.uniforms.take(env))
        np.add.at(self.packets, queue, 1.0)
        np.add.at(self.arrived_bits, queue, size)
        enters = fits[f]
        np.add.at(self.dropped, queue[~enters], 1.0)
        f, size = f[enters], size[enters]
        place = self.count[f]
        self.bits[f, place] = self.size[f, place] = size
        self.born[f, place] = slot
        self.count[f] = place + 1

    def serve(self, slot: int) -> None:
        """Share the blocks among users with packets, send, then mark late packets."""
        params = self.params
        f = np.flatnonzero(self.count)
        if not f.size:
            return
        blocks = self._share(f)
        noise = ndtri(np.maximum(self.uniforms.take(f // self.users_per_env), LEAST))
        sends = np.flatnonzero(blocks)
        users = f[sends]
        if users.size:
            band_hz = blocks[sends] * params.block_hz
            snr = 10.0 ** ((self.mean_snr_db[users] - params.shadowing_db * noise[sends]) / 10.0)
            rate_bps = params.layers * band_hz * self.log(1.0 + snr / band_hz)
            np.add.at(self.granted, self.queue[users], blocks[sends])
            np.add.at(self.offered_bits, self.queue[users], rate_bps * params.slot_s)
            self._send(slot, users, rate_bps)
        waiting, place = np.nonzero(self.born[f] == (slot + 1 - self.latest_age[f])[:, None])
        if waiting.size:
            self.is_late[f[waiting], place] = True
            np.add.at(self.expired, self.queue[f[waiting]], 1.0)

    def _share(self, f: NDArray[np.int64]) -> NDArray[np.int64]:
        """Share blocks equally; the rest go one each to the users from the pointer on."""
        queue, number = self.queue[f], self.number[f]
        active = np.bincount(queue, minlength=len(self.blocks))
        whole, rest = np.divmod(self.blocks, np.maximum(active, 1))
        rest[active == 0] = 0
        rank = np.arange(f.size) - (np.cumsum(active) - active)[queue]
        pointer, spare = self.pointer[queue], rest[queue]
        if self.params.pointer_by_number:
            # As in the public code: to the numbers in [pointer, pointer + rest), even if few of
            # them are active; near the end, to those above the pointer and the first active ones.
            above = number > pointer
            after = np.bincount(queue[above], minlength=len(self.blocks))[queue]
            wraps = after < spare
            first = wraps & (rank < spare - after)
            inside = ~wraps & (number >= pointer) & (number < pointer + spare)
            extra = inside | first | (wraps & above)
            last = inside | first  # the largest of these moves the pointer
        else:
            before = np.bincount(queue[number < pointer], minlength=len(self.blocks))[queue]
            turn = rank - before
            turn += active[queue] * (turn < 0)
            extra = turn < spare
            last = turn == spare - 1
        self.pointer[queue[last]] = number[last] + 1
        return whole[queue] + extra

    def _send(self, slot: int, users: NDArray[np.int64], rate_bps: NDArray[np.float64]) -> None:
        """Send oldest packets first; a user continues with its next one while the slot has room."""
        slot_s = self.params.slot_s
        room = rate_bps * slot_s  # bits
        while users.size:
            head = self.bits[users, 0]
            done = room >= head
            np.add.at(self.delivered_bits, self.queue[users], np.minimum(room, head))
            self.bits[users[~done], 0] -= room[~done]
            users, room, rate_bps = users[done], room[done] - head[done], rate_bps[done]
            age = slot + 1 - self.born[users, 0]
            mean_rate = np.where(age == 1, rate_bps, self.size[users, 0] / (age * slot_s))
            met = (mean_rate >= self.sla_rate_bps[users]) & (age <= self.latest_age[users])
            np.add.at(self.in_time, self.queue[users], met)
            np.add.at(self.expired, self.queue[users], ~met & ~self.is_late[users, 0])
            self.count[users] -= 1
            queues_on = self.count[users] > 0
            others = users[queues_on]
            for field, empty in (
                (self.bits, 0.0),
                (self.size, 0.0),
                (self.born, NEVER),
                (self.is_late, False),
            ):
                field[users, 0] = empty
                if others.size:
                    field[others, :-1] = field[others, 1:]
                    field[others, -1] = empty
            more = queues_on & (room > 0.0)
            users, room, rate_bps = users[more], room[more], rate_bps[more]

    def close(self, before: PacketState, allocation_hz: NDArray[np.float64]) -> PacketState:
        """The state after the window."""
        params = self.params
        shape = allocation_hz.shape
        in_buffer = self.born != NEVER
        undecided = in_buffer & ~self.is_late
        backlog, queued = np.zeros((2, len(self.blocks)))
        if params.wipe_queues:
            np.add.at(self.dropped, self.queue, undecided.sum(axis=1))
            self.bits[:] = self.size[:] = 0.0
            self.born[:] = NEVER
            self.is_late[:] = False
        else:
            np.add.at(backlog, self.queue, in_buffer.sum(axis=1))
            np.add.at(queued, self.queue, undecided.sum(axis=1))
        born = np.where(self.born == NEVER, NEVER, self.born - params.slots)
        window_s = params.slots * params.slot_s
        carried = self.offered_bits if params.offered_efficiency else self.delivered_bits
        total = carried.reshape(shape)
        granted = self.granted.reshape(shape)
        most = max(params.band_blocks, 1) * params.slots
        in_time, expired, dropped = (
            x.reshape(shape) for x in (self.in_time, self.expired, self.dropped)
        )
        buffers = before.bits.shape
        return PacketState(
            user_m=before.user_m,
            number=before.number,
            bits=self.bits.reshape(buffers),
            size=self.size.reshape(buffers),
            born=born.reshape(buffers),
            is_late=self.is_late.reshape(buffers),
            due=self.due.reshape(before.due.shape) - params.slots,
            pointer=self.pointer.reshape(shape),
            packets=self.packets.reshape(shape),
            packets_before=before.packets,
            arrived_bits=self.arrived_bits.reshape(shape),
            arrived_bits_before=before.arrived_bits,
            allocation_hz=allocation_hz,
            in_time=in_time,
            expired=expired,
            dropped=dropped,
            ssr=satisfaction_ratio(in_time, expired + dropped),
            backlog=backlog.reshape(shape),
            queued=queued.reshape(shape),
            spectral_efficiency=(total[..., 0] + total[..., 1] + total[..., 2])
            / (params.bandwidth_hz * window_s),
            utilisation=(granted[..., 0] + granted[..., 1] + granted[..., 2]) / most,
            started=np.ones(shape[:2], bool),
        )


def _gap_slots(
    params: PacketParams, kind: NDArray[np.int64], uniform: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Slots until the next packet, rounded up: uniform, truncated Pareto, exponential gaps."""
    scale_s, most_s = params.video_gap_s
    survive = 1.0 - uniform  # in (0, 1]
    volte = params.volte_gap_s * uniform
    video = np.minimum(scale_s * (survive ** (-1.0 / params.video_shape) - 1.0), most_s)
    urllc = -params.urllc_gap_s * np.log(survive)
    gap_s = np.where(kind == 0, volte, np.where(kind == 1, video, urllc))
    return np.ceil(gap_s / params.slot_s).astype(np.int64)


def _packet_bits(
    params: PacketParams, kind: NDArray[np.int64], uniform: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Size of a packet: constant, truncated Pareto, one of a list."""
    scale, most = params.video_bits
    video = np.minimum(scale * ((1.0 - uniform) ** (-1.0 / params.video_shape) - 1.0), most)
    choices = np.array(params.urllc_bits)
    urllc = choices[(uniform * len(choices)).astype(np.int64)]
    return np.where(kind == 0, params.volte_bits, np.where(kind == 1, video, urllc))


def traffic(
    params: PacketParams, state: PacketState
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Bits of the last two windows, latest first, and packets buffered, each ``(E, N, 3)``."""
    del params
    return state.arrived_bits, state.arrived_bits_before, state.backlog


def reward(params: PacketParams, state: PacketState) -> NDArray[np.float64]:
    """Reward ``(E, N)`` of the window that ended in ``state``."""
    ssr, weights = state.ssr, np.array(params.slice_weights)
    value = weights[0] * ssr[..., 0] + weights[1] * ssr[..., 1] + weights[2] * ssr[..., 2]
    value += params.se_weight * state.spectral_efficiency
    return value


def reward_range(params: PacketParams) -> tuple[float | None, float | None]:
    """The reward has no simple bounds."""
    del params
    return None, None


def largest_efficiency(params: PacketParams) -> float:
    """The spectral efficiency has no simple bound; the largest float32 stands for infinity."""
    del params
    return float(np.finfo(np.float32).max)


def hidden(state: PacketState) -> tuple[NDArray[np.float64], ...]:
    """Part of the global state that is not observed: the positions of the users, m."""
    return (state.user_m,)
