import json
from dataclasses import asdict, fields, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

import networld_envs
from networld_envs import ns
from networld_envs.ns import packets
from networld_envs.ns.packet_types import FLAGS
from networld_envs.policies import best_policy, get_policy, task_policies, usable_policies
from networld_envs.simulator import make_params

DEFAULT = ns.PRESETS["hua2019"]
W = DEFAULT.bandwidth_hz
ALL_FLAGS = dict.fromkeys(FLAGS, True)
# A few users who get so little that packets queue, go out in parts, come late and are blocked.
TIGHT = ns.PacketParams(
    rings=1,
    users=(3, 4, 2),
    bandwidth_hz=2e6,
    layers=0.5,
    slots=150,
    volte_gap_s=4e-3,
    urllc_gap_s=8e-3,
    urllc_bits=(800.0, 2500.0, 9000.0),
    sla_rate_bps=(1e5, 1e6, 5e5),
)


def generators(seeds):
    return [np.random.default_rng(seed) for seed in seeds]


def random_action(params, rng):
    shape = (1, params.num_agents, 3)
    return rng.uniform(0, params.bandwidth_hz, shape).astype(np.float32)


def rollout(params, seeds, steps, split=None):
    """States and rewards; actions are the same for a seed whatever the batch."""
    rngs, own = generators(seeds), generators([[seed, 1] for seed in seeds])
    states, rewards = [ns.reset(params, rngs)], []
    for _ in range(steps):
        action = np.concatenate([random_action(params, rng) for rng in own])
        if split is not None:
            action = np.broadcast_to(np.float32(split) * np.float32(1e6), action.shape)
        states.append(ns.transition(params, states[-1], action, rngs))
        rewards.append(ns.reward(params, states[-2], action, states[-1]))
    return states, np.stack(rewards)


# -- The slow, obvious model -----------------------------------------------------------------


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


# -- Published values ------------------------------------------------------------------------


@pytest.mark.parametrize(("split", "published"), [((10 / 3,) * 3, 5.25), ((1, 8, 1), 7.40)])
def test_the_published_utilities(split, published):
    """With the public code's defects on, one cell, 64 layers and small URLLC packets."""
    _, rewards = rollout(ns.PRESETS["hua2019_code"], range(24), 1, split)
    assert rewards.mean() == pytest.approx(published, abs=0.05)


def test_traffic_has_the_stated_means():
    states, _ = rollout(replace(DEFAULT, rings=1), range(2), 2, (10 / 3,) * 3)
    count = np.mean([s.packets.mean(axis=(0, 1)) for s in states[1:]], axis=0)
    bits = np.sum([s.arrived_bits.sum(axis=(0, 1)) for s in states[1:]], axis=0)
    mean_bits = bits / np.sum([s.packets.sum(axis=(0, 1)) for s in states[1:]], axis=0)
    # A gap is rounded up to slots (half a slot on average, but 12.5 ms are whole slots), and one
    # slot passes at least.
    np.testing.assert_allclose(count[0], 46 / (0.08 + 1.5 * 0.5e-3), rtol=0.03)
    np.testing.assert_allclose(count[2], 8 / (0.18 + 1.5 * 0.5e-3), rtol=0.15)
    mean_s = 30e-3 * (1 - (1 + 12.5 / 6) ** -0.2)  # of min(6 ms (v^(-1/1.2) - 1), 12.5 ms)
    longest = (1 + 12.5 / 6) ** -1.2
    np.testing.assert_allclose(count[1], 46 / (mean_s + (1.5 - 0.5 * longest) * 0.5e-3), rtol=0.01)
    assert mean_bits[0] == 320
    assert mean_bits[1] == pytest.approx(4000 * (1 - 3.5**-0.2), rel=0.02)
    assert mean_bits[2] == pytest.approx(np.mean(DEFAULT.urllc_bits), rel=0.05)


# -- The flags, one by one -------------------------------------------------------------------


def test_the_decimal_logarithm_divides_rates_by_the_binary_logarithm_of_ten():
    params = replace(TIGHT, slots=1, offered_efficiency=True, volte_gap_s=0.0)
    binary, decimal = (
        rollout(replace(params, decimal_logarithm=on), [1], 2, (1, 1, 1))[0][1].spectral_efficiency
        for on in (False, True)
    )
    assert (binary > 0).all()
    np.testing.assert_allclose(decimal / binary, np.log10(2))


def test_delivered_efficiency_counts_bits_that_left():
    params = replace(TIGHT, slots=60, stall_sources=True)  # no bits are dropped
    delivered, _ = rollout(params, [5], 4)
    offered, _ = rollout(replace(params, offered_efficiency=True), [5], 4)
    band_seconds = params.bandwidth_hz * params.slots * params.slot_s
    for before, after, other in zip(delivered[:-1], delivered[1:], offered[1:], strict=True):
        inflow = before.bits.sum(axis=(2, 3)) + after.arrived_bits.sum(axis=-1)
        left = after.bits.sum(axis=(2, 3))
        np.testing.assert_allclose(inflow - left, after.spectral_efficiency * band_seconds)
        assert (other.spectral_efficiency >= after.spectral_efficiency - 1e-9).all()
        np.testing.assert_array_equal(other.in_time, after.in_time)  # only the figure differs
    assert offered[-1].spectral_efficiency.sum() > delivered[-1].spectral_efficiency.sum() * 1.01


def test_queues_are_wiped_only_on_request():
    params = replace(TIGHT, stall_sources=True)  # nothing is dropped at full buffers
    kept, _ = rollout(params, [2], 3, (0.2, 0.2, 0.2))
    wiped, _ = rollout(replace(params, wipe_queues=True), [2], 3, (0.2, 0.2, 0.2))
    assert kept[-1].backlog.sum() > 0
    assert (kept[-1].dropped == 0).all()
    assert (wiped[-1].backlog == 0).all()
    assert (wiped[-1].bits == 0).all()
    assert wiped[-1].dropped.sum() > 0


def test_full_buffers_drop_packets_or_stall_their_sources():
    silent = (0, 0, 0)
    dropped, _ = rollout(TIGHT, [3], 2, silent)
    stalled, _ = rollout(replace(TIGHT, stall_sources=True), [3], 2, silent)
    full = np.broadcast_to(TIGHT.buffer * np.array(TIGHT.users), (1, 7, 3))
    for states in (dropped, stalled):
        np.testing.assert_array_equal(states[-1].backlog, full)
    assert (dropped[-1].dropped > 0).all()
    assert (stalled[-1].dropped == 0).all()
    total = stalled[-2].packets + stalled[-1].packets
    np.testing.assert_array_equal(total, full)


def test_the_round_robin_gives_every_block_and_the_public_one_does_not():
    params = replace(TIGHT, users=(9, 9, 9), layers=0.01, slots=80)  # everybody has packets
    split = (2 / 3, 2 / 3, 2 / 3)  # 3 blocks each
    right, _ = rollout(params, [7], 2, split)
    public, _ = rollout(replace(params, pointer_by_number=True), [7], 2, split)
    np.testing.assert_allclose(right[-1].utilisation, 9 / 11)
    assert public[-1].utilisation.max() < 0.95 * 9 / 11


def test_users_are_dropped_in_a_disc_or_in_a_square():
    disc = ns.reset(DEFAULT, generators([0])).user_m
    square = ns.reset(replace(DEFAULT, square_drop=True), generators([0])).user_m
    radius = np.linalg.norm(disc, axis=-1)
    assert radius.max() <= 40.0
    assert radius.mean() == pytest.approx(80 / 3, rel=0.03)
    assert np.abs(square).max() <= 40.0
    assert np.abs(square).mean() == pytest.approx(20.0, rel=0.03)
    assert np.linalg.norm(square, axis=-1).max() > 45.0


# -- Laws ------------------------------------------------------------------------------------


def check_laws(params, states):
    space = ns.observation_space(params)
    for before, after in pairwise(states):
        inflow = before.queued + after.packets
        outflow = after.in_time + after.expired + after.dropped + after.queued
        np.testing.assert_array_equal(inflow, outflow)
        for name in ("in_time", "expired", "dropped", "queued", "bits"):
            assert (getattr(after, name) >= 0).all()
        assert (after.backlog >= after.queued).all()
        assert (after.bits <= after.size).all()
        assert ((after.ssr >= 0) & (after.ssr <= 1)).all()
        assert ((after.utilisation >= 0) & (after.utilisation <= 1)).all()
        obs = ns.observe(params, after)
        assert np.isfinite(obs).all()
        assert all(space.contains(o) for o in obs.reshape(-1, obs.shape[-1]))


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


# -- Interfaces ------------------------------------------------------------------------------


@pytest.mark.parametrize("rings", [0, 1])
def test_every_view_has_the_preset(rings):
    kwargs = {"preset": "hua2019", "rings": rings, "slots": 40, "users": (3, 3, 2)}
    vec = networld_envs.make_vec("ns", 3, max_cycles=2, **kwargs)
    obs, _ = vec.reset(seed=[4, 5, 6])
    env = networld_envs.make("ns", max_cycles=2, render_mode="rgb_array", **kwargs)
    first, _ = env.reset(seed=5)
    np.testing.assert_array_equal(np.stack(list(first.values())), obs[1])
    assert env.state_space.contains(env.state())
    assert env.render().shape == (480, 640, 3)
    vec.action_space.seed(0)
    action = vec.action_space.sample()
    obs, _, _, _, info = vec.step(action)
    mine, rewards, *_ = env.step(dict(zip(env.agents, action[1], strict=True)))
    np.testing.assert_array_equal(np.stack(list(mine.values())), obs[1])
    np.testing.assert_array_equal(np.float32(list(rewards.values())), info["agent_rewards"][1])
    assert env.render().shape == (480, 640, 3)
    mask = np.array([True, False, False])
    again, _ = vec.reset(seed=9, options={"reset_mask": mask})
    np.testing.assert_array_equal(again[1:], obs[1:])


def test_usable_policies_act_legally():
    params = make_params("ns", "hua2019", rings=1, slots=30, users=(4, 4, 2))
    names = usable_policies("ns", params)
    assert names == ["random", "demand", "published", "hard", "static"]
    assert best_policy("ns", params) == "static"
    with pytest.raises(ValueError, match=r"'genie' cannot act .* random, demand, published, hard"):
        get_policy("ns", "genie", params)
    state = rollout(params, [0], 1)[0][-1]
    space = ns.action_space(params)
    for name in names:
        obs, table = ns.observe(params, state), ns.neighbours(params, state)
        action = task_policies("ns")[name].local(params, obs, table, generators([0]), 1)
        assert all(space.contains(a) for a in action[0])
    assert set(task_policies("ns")) - set(usable_policies("ns", ns.Params())) == {"published"}


def test_the_observation_counts_bits_and_buffers():
    states, rewards = rollout(TIGHT, [1], 2)
    state, obs = states[-1], ns.observe(TIGHT, states[-1])
    for name, value in {
        "packets": state.packets,
        "bits": state.arrived_bits,
        "packets_before": states[-2].packets,
        "bits_before": states[-2].arrived_bits,
        "allocation_hz": state.allocation_hz,
        "ssr": state.ssr,
        "backlog": state.backlog,
    }.items():
        np.testing.assert_allclose(obs[..., ns.OBSERVATION[name]], value, rtol=1e-6)
    utility = 0.01 * state.spectral_efficiency + state.ssr.sum(axis=-1)
    np.testing.assert_allclose(rewards[-1], utility, rtol=1e-6)
    weighted = replace(TIGHT, slice_weights=(0.0, 0.0, 2.0), se_weight=0.0)
    nothing = np.zeros((1, 7, 3), np.float32)
    np.testing.assert_allclose(ns.reward(weighted, state, nothing, state), 2 * state.ssr[..., 2])


def test_metrics_are_zero_after_reset():
    state = ns.reset(TIGHT, generators([1]))
    assert all((value == 0).all() for value in ns.metrics(TIGHT, state).values())


# -- Parameters ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rings", -1),
        ("users", (1, 2)),
        ("users", (0, 0, 0)),
        ("users", (1.5, 2, 3)),
        ("radius_m", 0.0),
        ("min_distance_m", 50.0),
        ("layers", 0.0),
        ("slots", 0),
        ("buffer", 0),
        ("noise_dbm_hz", float("nan")),
        ("video_gap_s", (1.0, 2.0, 3.0)),
        ("urllc_bits", ()),
        ("urllc_bits", (0.0,)),
        ("sla_latency_s", (10e-3, 10e-3, 0.5e-3)),
        ("slice_weights", (-1.0, 1.0, 1.0)),
        ("wipe_queues", 1),
    ],
)
def test_bad_parameters_are_named(name, value):
    with pytest.raises(ValueError, match=name):
        ns.PacketParams(**{name: value})


def test_unknown_parameters_are_those_of_the_preset():
    with pytest.raises(TypeError, match="no parameter 'load'"):
        make_params("ns", "hua2019", load=0.5)
    with pytest.raises(TypeError, match="no parameter 'mimo'"):
        make_params("ns", mimo=3)


def test_parameters_survive_json():
    values = json.loads(json.dumps(asdict(DEFAULT)))
    assert ns.PacketParams(**values) == DEFAULT
