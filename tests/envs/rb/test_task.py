"""Steps against a plain-loop oracle, closed forms and symmetries."""

from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from networld_envs import rb
from networld_envs.physics.queueing import success_probability
from tests.helpers.rb import DEFAULT, generators, random_actions, rollout


def oracle_step(params, state, actions, rng):
    """One frame of environment 0, one packet and one node at a time."""
    clusters, nodes, frame = params.num_clusters, params.nodes_per_cluster, params.resource_blocks
    agents = clusters * nodes
    uniform = rng.random(agents + clusters)
    grants = [0] * agents
    for c in range(clusters):
        members = range(c * nodes, (c + 1) * nodes)
        total = sum(int(actions[i]) for i in members)
        if total <= frame:
            for i in members:
                grants[i] = int(actions[i])
            continue
        exact = {i: (int(actions[i]) * frame) % total for i in members}
        for i in members:
            grants[i] = (int(actions[i]) * frame) // total
        order = sorted(members, key=lambda i: exact[i] + uniform[i], reverse=True)
        for i in order[: frame - sum(grants[j] for j in members)]:
            grants[i] += 1
    load = [sum(grants[c * nodes : (c + 1) * nodes]) / frame for c in range(clusters)]
    success, burst = [], []
    for c in range(clusters):
        p = 1.0
        for other in state.conflicts[0, c]:
            if other >= 0:
                p *= 1.0 - params.conflict * load[other]
        success.append(p)
        burst.append(bool(state.burst[0, c]) != (uniform[agents + c] < params.burst_flip))
    sent = [min(grants[i], int(state.queue[0, i])) for i in range(agents)]
    served = [int(rng.binomial(sent[i], success[i // nodes])) for i in range(agents)]
    queue, dropped, arrivals, rewards = [], [], [], []
    for i in range(agents):
        level = params.burst_high if burst[i // nodes] else params.burst_low
        a = int(rng.poisson(params.load * frame * level * state.weights[0, i]))
        waiting = int(state.queue[0, i]) - served[i] + a
        arrivals.append(a)
        queue.append(min(waiting, params.buffer))
        dropped.append(waiting - queue[-1])
        rewards.append(
            -params.queue_cost * queue[i]
            - params.drop_cost * dropped[i]
            - params.unused_cost * (grants[i] - sent[i])
        )
    return grants, served, arrivals, queue, dropped, burst, rewards


@pytest.mark.parametrize(
    "params",
    [DEFAULT, rb.PRESETS["ring6"], replace(DEFAULT, nodes_per_cluster=3, load=0.9, buffer=30)],
)
def test_transition_equals_the_oracle(params):
    rng, twin = np.random.default_rng(3), np.random.default_rng(3)
    choose = np.random.default_rng(4)
    state = rb.reset(params, [rng])
    rb.reset(params, [twin])
    for _ in range(60):
        action = random_actions(params, 1, choose)
        after = rb.transition(params, state, action, [rng])
        grants, served, arrivals, queue, dropped, burst, rewards = oracle_step(
            params, state, action[0], twin
        )
        np.testing.assert_array_equal(after.grants[0], grants)
        np.testing.assert_array_equal(after.served[0], served)
        np.testing.assert_array_equal(after.arrivals[0], arrivals)
        np.testing.assert_array_equal(after.queue[0], queue)
        np.testing.assert_array_equal(after.dropped[0], dropped)
        np.testing.assert_array_equal(after.burst[0], burst)
        np.testing.assert_allclose(rb.reward(params, state, action, after)[0], rewards, rtol=1e-6)
        state = after


def test_observation_has_the_documented_columns():
    states, _ = rollout(DEFAULT, [5, 6], 8)
    state, obs = states[-1], rb.observe(DEFAULT, states[-1])
    for e in range(2):
        for i in range(24):
            members = slice(i // 4 * 4, i // 4 * 4 + 4)
            sent = state.sent[e, i]
            expected = [
                state.arrivals[e, i],
                state.queue[e, i],
                state.grants[e, i],
                state.served[e, i],
                state.queue[e, members].sum(),
                state.grants[e, members].sum() / 40,
                state.served[e, i] / sent if sent else 0.0,
                state.requests[e, i],
            ]
            np.testing.assert_allclose(obs[e, i], expected, rtol=1e-6)
    space = rb.observation_space(DEFAULT)
    assert all(space.contains(o) for o in obs.reshape(-1, 8))
    assert obs.dtype == np.float32
    assert rb.spec(DEFAULT).obs_dim == obs.shape[-1]
    assert rb.spec(DEFAULT).num_choices == rb.action_space(DEFAULT).n == 41


def test_neighbours_are_the_nodes_of_conflicting_clusters():
    state = rb.reset(DEFAULT, generators(range(5)))
    table = rb.neighbours(DEFAULT, state)
    assert table.shape == (5, 24, rb.spec(DEFAULT).neighbour_slots)
    for e in range(5):
        for i in range(24):
            delta = state.heads[e] - state.heads[e, i // 4]
            near = np.flatnonzero(np.hypot(*delta.T) < DEFAULT.conflict_radius)
            expected = {4 * c + k for c in near if c != i // 4 for k in range(4)}
            assert set(table[e, i][table[e, i] >= 0]) == expected
    assert rb.layout(DEFAULT, state).shape == (5, 24, 2)


@settings(max_examples=40, deadline=None)
@given(
    clusters=st.integers(1, 8),
    nodes=st.integers(1, 5),
    conflict=st.sampled_from([0.0, 0.7, 1.0]),
    load=st.sampled_from([0.0, 0.17, 3.0]),
    buffer=st.integers(1, 60),
    ring=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_packets_are_conserved_and_bounds_hold(clusters, nodes, conflict, load, buffer, ring, seed):
    params = rb.Params(
        num_clusters=clusters,
        nodes_per_cluster=nodes,
        topology="ring" if ring else "random",
        conflict=conflict,
        conflict_radius=0.8,
        load=load,
        buffer=buffer,
        initial_backlog=min(25, buffer),
    )
    states, rewards = rollout(params, [seed, seed + 1], 6)
    assert np.isfinite(rewards).all()
    space = rb.observation_space(params)
    for before, after in pairwise(states):
        np.testing.assert_array_equal(
            before.queue + after.arrivals, after.served + after.dropped + after.queue
        )
        assert (after.served <= after.sent).all()
        assert (after.sent <= np.minimum(after.grants, before.queue)).all()
        assert (after.grants <= after.requests).all()
        total = after.grants.reshape(2, clusters, nodes).sum(axis=2)
        wanted = after.requests.reshape(2, clusters, nodes).sum(axis=2)
        np.testing.assert_array_equal(total, np.minimum(wanted, params.resource_blocks))
        obs = rb.observe(params, after)
        assert all(space.contains(o) for o in obs.reshape(-1, obs.shape[-1]))
        if conflict == 0.0:
            np.testing.assert_array_equal(after.served, after.sent)
        if load == 0.0:
            assert after.arrivals.sum() == after.dropped.sum() == 0


def test_a_batch_is_exactly_its_members():
    seeds = list(range(12))
    together, rewards = rollout(DEFAULT, seeds, 10)
    for e in (0, 5, 11):
        alone, reward = rollout(DEFAULT, [seeds[e]], 10)
        np.testing.assert_array_equal(rewards[:, e], reward[:, 0])
        for a, b in zip(alone, together, strict=True):
            for field in fields(rb.State):
                np.testing.assert_array_equal(getattr(a, field.name)[0], getattr(b, field.name)[e])
            np.testing.assert_array_equal(
                rb.global_state(DEFAULT, a)[0], rb.global_state(DEFAULT, b)[e]
            )


def test_different_seeds_differ_at_reset_and_later():
    params = replace(DEFAULT, topology="ring")
    rngs = generators([0, 1])
    state = rb.reset(params, rngs)
    assert (state.queue[0] != state.queue[1]).any()
    assert not np.allclose(state.weights[0], state.weights[1])
    # From the same state, too: the seed drives the steps.
    twin = rb.State(
        **{f.name: np.repeat(getattr(state, f.name)[:1], 2, axis=0) for f in fields(rb.State)}
    )
    after = rb.transition(params, twin, np.full((2, 24), 5), rngs)
    assert (after.arrivals[0] != after.arrivals[1]).any()


class Relabelled:
    """A generator whose draws are made in the old order of agents and returned in the new one."""

    def __init__(self, rng, old_agent, old_cluster):
        self.rng, self.old = rng, old_agent
        self.uniform = np.concatenate([old_agent, len(old_agent) + old_cluster])

    def random(self, size):
        return self.rng.random(size)[self.uniform]

    def binomial(self, n, p):
        back = np.argsort(self.old)
        return self.rng.binomial(n[back], p[back])[self.old]

    def poisson(self, mean):
        return self.rng.poisson(mean[np.argsort(self.old)])[self.old]


def test_relabelling_agents_permutes_the_results():
    shuffle = np.random.default_rng(9)
    cluster = shuffle.permutation(6)  # new cluster c is old cluster[c]
    agent = np.concatenate([4 * c + shuffle.permutation(4) for c in cluster])
    rng, twin = np.random.default_rng(2), np.random.default_rng(2)
    state = rb.reset(DEFAULT, [rng])
    rb.reset(DEFAULT, [twin])
    renamed = np.argsort(cluster).astype(np.int32)
    conflicts = state.conflicts[:, cluster]
    other = replace(
        state,
        heads=state.heads[:, cluster],
        conflicts=np.where(conflicts >= 0, renamed[conflicts], -1),
        burst=state.burst[:, cluster],
        weights=state.weights[:, agent],
        queue=state.queue[:, agent],
    )
    names = ["queue", "arrivals", "grants", "sent", "served", "dropped", "weights"]
    for _ in range(20):
        action = random_actions(DEFAULT, 1, shuffle)
        state = rb.transition(DEFAULT, state, action, [rng])
        other = rb.transition(DEFAULT, other, action[:, agent], [Relabelled(twin, agent, cluster)])
        for name in names:
            np.testing.assert_array_equal(getattr(state, name)[:, agent], getattr(other, name))
        np.testing.assert_array_equal(
            rb.observe(DEFAULT, state)[:, agent], rb.observe(DEFAULT, other)
        )


def test_metrics_are_zero_after_reset_and_observation_holds_the_action():
    state = rb.reset(DEFAULT, generators([1]))
    assert all((value == 0).all() for value in rb.metrics(DEFAULT, state).values())
    action = random_actions(DEFAULT, 1, np.random.default_rng(0))
    after = rb.transition(DEFAULT, state, action, generators([1]))
    np.testing.assert_array_equal(rb.observe(DEFAULT, after)[..., 7], action)


def test_mean_queue_of_a_single_server():
    """One node, one RB, no losses: E[q] = lambda + lambda^2 / (2 (1 - lambda)) (M/D/1)."""
    rate = 0.6
    params = rb.Params(
        num_clusters=1,
        nodes_per_cluster=1,
        channels=1,
        slots=1,
        conflict=0.0,
        buffer=10**9,
        load=rate,
        burst_low=1.0,
        burst_high=1.0,
        initial_backlog=0,
    )
    rngs = generators(range(256))
    state, total, steps = rb.reset(params, rngs), 0.0, 400
    action = np.ones((256, 1), dtype=np.int64)
    for t in range(steps + 100):
        state = rb.transition(params, state, action, rngs)
        total += state.queue.mean() if t >= 100 else 0.0
    assert total / steps == pytest.approx(rate + rate**2 / (2 * (1 - rate)), rel=0.03)


def test_without_conflict_clusters_are_independent():
    state = rb.reset(DEFAULT, generators([3]))
    params = replace(DEFAULT, conflict=0.0)
    quiet = np.full((1, 24), 7)
    loud = quiet.copy()
    loud[0, 4:] = 40
    first = rb.transition(params, state, quiet, generators([8]))
    second = rb.transition(params, state, loud, generators([8]))
    np.testing.assert_array_equal(first.served[0, :4], second.served[0, :4])
    # With conflict the neighbours do hurt.
    params = replace(DEFAULT, conflict=1.0)
    second = rb.transition(params, state, np.full((1, 24), 40), generators([8]))
    assert second.served.sum() == 0


@pytest.mark.parametrize("clusters", [2, 3, 4, 6])
def test_throughput_of_a_regular_graph_peaks_where_it_should(clusters):
    """All clusters in conflict, degree d: u (1 - kappa u)^d peaks at min(1, 1/(kappa (d+1)))."""
    degree, kappa = clusters - 1, 0.7
    table = np.array([[[j for j in range(clusters) if j != c] for c in range(clusters)]], np.int32)
    load = np.linspace(0.0, 1.0, 1001)
    throughput = []
    for u in load:
        p = success_probability(np.full((1, clusters), u), table, kappa)
        throughput.append(u * p[0, 0])
    best = load[int(np.argmax(throughput))]
    assert best == pytest.approx(min(1.0, 1.0 / (kappa * (degree + 1))), abs=1.5e-3)


def test_served_share_matches_the_success_probability():
    params = replace(DEFAULT, conflict_radius=1.5, load=20.0, initial_backlog=50)
    rngs = generators(range(200))
    state = rb.reset(params, rngs)
    state = replace(state, queue=np.full_like(state.queue, 50))
    after = rb.transition(params, state, np.full((200, 24), 3), rngs)  # u = 12/40 everywhere
    share = after.served.sum() / after.sent.sum()
    assert share == pytest.approx((1 - 0.7 * 0.3) ** 5, abs=0.015)
