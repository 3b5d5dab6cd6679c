"""Steps of the packet model against a plain-loop oracle, and its laws."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from networld_envs import ns
from networld_envs.ns import packets
from networld_envs.ns.packet_types import FLAGS
from tests.helpers.packets import ALL_FLAGS, TIGHT, check_laws, generators, random_action, rollout


class OracleCell:
    """One cell: users with lists of packets, served slot by slot."""

    def __init__(self, params, state, cell):
        self.params = params
        kinds = [kind for kind, count in enumerate(params.users) for _ in range(count)]
        self.users = [
            {
                "kind": kind,
                "number": int(state.number[0, cell, i]),
                "km": max(np.hypot(*state.user_m[0, cell, i]), params.min_distance_m) / 1e3,
                "due": int(state.due[0, cell, i]),
                "packets": [],
            }
            for i, kind in enumerate(kinds)
        ]
        self.pointer = [0, 0, 0]

    def start_window(self, hz):
        self.blocks = [int(x / self.params.block_hz + 1e-6) for x in hz]
        zero = [0.0, 0.0, 0.0]
        self.arrived, self.arrived_bits = list(zero), list(zero)
        self.in_time, self.expired, self.dropped = list(zero), list(zero), list(zero)
        self.delivered = self.offered = self.granted = 0.0
        if self.params.pointer_by_number:
            self.pointer = [0, 0, 0]

    def size(self, kind, u):
        if kind == 0:
            return self.params.volte_bits
        if kind == 1:
            scale, most = self.params.video_bits
            return min(scale * ((1 - u) ** (-1 / self.params.video_shape) - 1), most)
        return self.params.urllc_bits[int(u * len(self.params.urllc_bits))]

    def gap(self, kind, u):
        scale, most = self.params.video_gap_s
        seconds = (
            self.params.volte_gap_s * u,
            min(scale * ((1 - u) ** (-1 / self.params.video_shape) - 1), most),
            -self.params.urllc_gap_s * np.log(1 - u),
        )[kind]
        return int(np.ceil(seconds / self.params.slot_s))

    def arriving(self, slot):
        due = [user for user in self.users if user["due"] <= slot]
        if self.params.stall_sources:
            due = [user for user in due if len(user["packets"]) < self.params.buffer]
        return due

    def arrive(self, user, slot, size):
        if len(user["packets"]) == self.params.buffer:
            self.dropped[user["kind"]] += 1
        else:
            user["packets"].append({"left": size, "size": size, "born": slot, "late": False})
        self.arrived[user["kind"]] += 1
        self.arrived_bits[user["kind"]] += size

    @property
    def active(self):
        return [user for user in self.users if user["packets"]]

    def shares(self, kind):
        active = sorted(u["number"] for u in self.active if u["kind"] == kind)
        if not active:
            return {}
        whole, rest = divmod(self.blocks[kind], len(active))
        at = self.pointer[kind]
        if not self.params.pointer_by_number:
            ring = [n for n in active if n >= at] + [n for n in active if n < at]
            lucky = ring[:rest]
            mover = lucky[-1:]
        elif sum(n > at for n in active) >= rest:
            lucky = mover = [n for n in active if at <= n < at + rest]
        else:
            above = [n for n in active if n > at]
            mover = active[: rest - len(above)]
            lucky = set(above) | set(mover)
        if mover:
            self.pointer[kind] = mover[-1] + 1
        return {n: whole + (n in lucky) for n in active}

    def serve(self, slot, normal):
        params = self.params
        shares = [self.shares(kind) for kind in range(3)]
        for user, shadow in zip(self.active, normal, strict=True):
            blocks = shares[user["kind"]][user["number"]]
            if not blocks:
                continue
            self.granted += blocks
            hz = blocks * params.block_hz
            loss_db = params.path_loss_1km_db + params.path_loss_slope_db * np.log10(user["km"])
            loss_db += params.shadowing_db * shadow
            db = params.power_dbm + params.receive_gain_db - loss_db - params.noise_dbm_hz
            snr = 10 ** (db / 10) / hz
            rate = params.layers * hz * np.log2(1 + snr)
            if params.decimal_logarithm:
                rate = params.layers * hz * np.log10(1 + snr)
            room = rate * params.slot_s
            self.offered += room
            while user["packets"] and room > 0:
                packet = user["packets"][0]
                sent = min(room, packet["left"])
                self.delivered += sent
                if sent < packet["left"]:
                    packet["left"] -= sent
                    break
                room -= sent
                user["packets"].pop(0)
                self.settle(user["kind"], packet, slot, rate)
        for user in self.users:
            for packet in user["packets"]:
                seconds = (slot + 2 - packet["born"]) * params.slot_s  # if it left in the next slot
                too_late = seconds > params.sla_latency_s[user["kind"]] - 1e-9
                if too_late and not packet["late"]:
                    packet["late"] = True
                    self.expired[user["kind"]] += 1

    def settle(self, kind, packet, slot, rate):
        params = self.params
        seconds = (slot + 1 - packet["born"]) * params.slot_s
        mean = rate if slot == packet["born"] else packet["size"] / seconds
        if packet["late"]:
            return
        fine = mean >= params.sla_rate_bps[kind] and seconds < params.sla_latency_s[kind] - 1e-9
        (self.in_time if fine else self.expired)[kind] += 1

    def end_window(self):
        for user in self.users:
            user["due"] -= self.params.slots
            for packet in user["packets"]:
                packet["born"] -= self.params.slots
                if self.params.wipe_queues:
                    self.dropped[user["kind"]] += not packet["late"]
            if self.params.wipe_queues:
                user["packets"] = []


@pytest.mark.parametrize(
    "flags", [{}, *({flag: True} for flag in FLAGS), ALL_FLAGS], ids=lambda f: "+".join(f) or "none"
)
def test_transition_equals_the_oracle(flags):
    params = replace(TIGHT, **flags)
    rng, twin, choose = (np.random.default_rng(s) for s in (3, 3, 4))
    state = ns.reset(params, [rng])
    ns.reset(params, [twin])
    cells = [OracleCell(params, state, n) for n in range(7)]
    seen = np.zeros(4)
    for _ in range(3):
        action = random_action(params, choose)
        after = ns.transition(params, state, action, [rng])
        stream = iter(twin.random(packets.POOL).tolist())
        applied = ns.applied_allocation(params.bandwidth_hz, action)[0]
        for cell, hz in zip(cells, applied, strict=True):
            cell.start_window(hz)
        for slot in range(params.slots):
            new = [(cell, user) for cell in cells for user in cell.arriving(slot)]
            for cell, user in new:
                cell.arrive(user, slot, cell.size(user["kind"], next(stream)))
            for cell, user in new:
                user["due"] = slot + 1 + cell.gap(user["kind"], next(stream))
            for cell in cells:
                draws = [next(stream) for _ in cell.active]
                cell.serve(slot, -norm.isf(np.maximum(draws, 2.0**-53)))
        for n, cell in enumerate(cells):
            kinds = [[u for u in cell.users if u["kind"] == kind] for kind in range(3)]
            waiting = [[p for u in group for p in u["packets"]] for group in kinds]
            expected = {
                "packets": cell.arrived,
                "arrived_bits": cell.arrived_bits,
                "in_time": cell.in_time,
                "expired": cell.expired,
                "backlog": [0 if params.wipe_queues else len(w) for w in waiting],
                "queued": [
                    0 if params.wipe_queues else sum(not p["late"] for p in w) for w in waiting
                ],
            }
            for name, value in expected.items():
                np.testing.assert_allclose(getattr(after, name)[0, n], value, err_msg=name)
            seconds = params.slots * params.slot_s
            carried = cell.offered if params.offered_efficiency else cell.delivered
            assert after.spectral_efficiency[0, n] == pytest.approx(carried / 2e6 / seconds)
            assert after.utilisation[0, n] == pytest.approx(cell.granted / 11 / params.slots)
            cell.end_window()
            np.testing.assert_allclose(after.dropped[0, n], cell.dropped)
            seen += [sum(cell.in_time), sum(cell.expired), sum(cell.dropped), cell.delivered]
        state = after
    assert (seen[[0, 1, 3]] > 0).all()  # the parameters do make packets late
    assert (seen[2] > 0) == (params.wipe_queues or not params.stall_sources)


@settings(max_examples=25, deadline=None)
@given(
    rings=st.integers(0, 1),
    users=st.tuples(*[st.integers(0, 6)] * 3).filter(any),
    layers=st.sampled_from([0.01, 0.5, 64.0]),
    bandwidth=st.sampled_from([1e3, 5e5, 1e7]),
    slots=st.integers(1, 40),
    buffer=st.integers(1, 5),
    flags=st.tuples(*[st.booleans()] * len(FLAGS)),
    seed=st.integers(0, 1000),
)
def test_packets_are_conserved_and_bounds_hold(
    rings, users, layers, bandwidth, slots, buffer, flags, seed
):
    params = replace(
        TIGHT,
        rings=rings,
        users=users,
        layers=layers,
        bandwidth_hz=bandwidth,
        slots=slots,
        buffer=buffer,
        **dict(zip(FLAGS, flags, strict=True)),
    )
    states, rewards = rollout(params, [seed, seed + 1], 3)
    check_laws(params, states)
    assert np.isfinite(rewards).all()


def test_no_bandwidth_delivers_nothing():
    states, rewards = rollout(TIGHT, [0], 3, (0, 0, 0))
    assert all((s.in_time == 0).all() and (s.utilisation == 0).all() for s in states)
    assert (rewards == 0).all()


def test_cells_do_not_disturb_each_other():
    first, _ = rollout(TIGHT, [5], 1, (0.6, 0.6, 0.6))
    state = ns.reset(TIGHT, generators([5]))
    assert (state.user_m == first[0].user_m).all()
    rates = [
        ns.transition(replace(TIGHT, slots=1), state, np.zeros((1, 7, 3), np.float32) + hz, [rng])
        for hz, rng in zip((0.0, 6e5), generators([1, 1]), strict=True)
    ]
    assert rates[0].spectral_efficiency.sum() == 0
    alone = np.zeros((1, 7, 3), np.float32)
    alone[0, 2] = 6e5
    one = ns.transition(replace(TIGHT, slots=1), state, alone, generators([1]))
    assert one.spectral_efficiency[0, 2] == rates[1].spectral_efficiency[0, 2]


def test_a_batch_is_exactly_its_members():
    params, seeds = replace(TIGHT, slots=80), list(range(6))
    together, rewards = rollout(params, seeds, 3)
    for e in (0, 5):
        alone, reward = rollout(params, [seeds[e]], 3)
        np.testing.assert_array_equal(rewards[:, e], reward[:, 0])
        for a, b in zip(alone, together, strict=True):
            for field in fields(ns.PacketState):
                np.testing.assert_array_equal(getattr(a, field.name)[0], getattr(b, field.name)[e])


def test_a_pool_that_runs_out_is_refilled_alike_in_every_batch(monkeypatch):
    monkeypatch.setattr(packets, "POOL", 150)
    together, _ = rollout(TIGHT, [0, 1, 2], 2)
    alone, _ = rollout(TIGHT, [1], 2)
    np.testing.assert_array_equal(alone[-1].bits[0], together[-1].bits[1])
    assert together[-1].in_time.sum() > 0
