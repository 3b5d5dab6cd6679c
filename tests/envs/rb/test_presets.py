"""Presets, topologies and sizes, in every view."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env

import networld_envs
from networld_envs import rb
from tests.helpers.rb import DEFAULT, generators, mean_reward, rollout


@pytest.mark.parametrize(
    ("preset", "nodes"), [("nodes12", 12), ("nodes96", 96), ("nodes1000", 1000)]
)
def test_networks_of_any_size_keep_the_order_of_policies(preset, nodes):
    params = rb.PRESETS[preset]
    assert params.num_agents == nodes
    state = rb.reset(params, generators([0, 1]))
    table = rb.neighbours(params, state)
    assert table.shape == (2, nodes, rb.spec(params).neighbour_slots)
    assert table.shape[-1] <= 24  # bounded degree
    assert (state.conflicts >= 0).any(axis=-1).all()
    episodes = {12: 48, 96: 6, 1000: 1}[nodes]
    names = ("random", "backlog", "expert")
    reward = [mean_reward(params, name, episodes, 30) for name in names]
    assert reward == sorted(reward)
    assert reward[-1] > reward[0] + 0.5


def test_given_edges_are_the_conflicts():
    params = rb.Params(num_clusters=5, topology="edges", edges=[[0, 1], [3, 1], [2, 4]])
    assert params.edges == ((0, 1), (3, 1), (2, 4))
    assert hash(params) == hash(replace(params))
    assert params.cluster_degree == 2
    state = rb.reset(params, generators([0]))
    found = {(c, o) for c, row in enumerate(state.conflicts[0].tolist()) for o in row if o >= 0}
    assert found == {(0, 1), (1, 0), (1, 3), (3, 1), (2, 4), (4, 2)}
    assert rb.neighbours(params, state).shape == (1, 20, 8)
    lonely = rb.Params(topology="edges", edges=())
    assert rb.neighbours(lonely, rb.reset(lonely, generators([0]))).shape == (1, 24, 0)
    # A ring given by its edges is the ring.
    edges = [(c, (c + 1) % 6) for c in range(6)]
    ring = replace(rb.PRESETS["ring6"], topology="edges", edges=edges)
    given, named = (rollout(p, [3], 5) for p in (ring, rb.PRESETS["ring6"]))
    np.testing.assert_array_equal(given[1], named[1])
    for bad in ([(0, 6)], [(1, 1)], [(0, 1), (1, 0)], [(0, 1, 2)], ["ab"], 3):
        with pytest.raises(ValueError, match="edge"):
            rb.Params(topology="edges", edges=bad)
    with pytest.raises(ValueError, match="edges must be given"):
        rb.Params(topology="edges")
    with pytest.raises(ValueError, match="node 0 has 3 neighbours"):
        rb.Params(topology="edges", max_degree=2, edges=[(0, 1), (0, 2), (0, 3)])


def test_cdmp_shows_arrivals_and_queue_of_the_same_network():
    cdmp = rb.PRESETS["cdmp"]
    states, _ = rollout(DEFAULT, [5, 6], 6)
    others, _ = rollout(cdmp, [5, 6], 6)
    full, part = rb.observe(DEFAULT, states[-1]), rb.observe(cdmp, others[-1])
    np.testing.assert_array_equal(part, full[..., :2])
    assert rb.spec(cdmp).obs_dim == 2
    assert rb.observation_space(cdmp).contains(part[0, 0])
    np.testing.assert_array_equal(
        rb.global_state(DEFAULT, states[-1]), rb.global_state(cdmp, others[-1])
    )
    table, plain = rb.neighbours(cdmp, others[-1]), rb.neighbours(DEFAULT, states[-1])
    assert table.shape[-1] == rb.spec(cdmp).neighbour_slots
    np.testing.assert_array_equal(table[..., 3:], plain)
    for i in range(24):
        assert set(table[0, i, :3]) == set(range(i // 4 * 4, i // 4 * 4 + 4)) - {i}


@pytest.mark.parametrize(
    "kwargs",
    [
        {"preset": "cdmp"},
        {"preset": "nodes96"},
        {"num_clusters": 3, "topology": "edges", "edges": [[0, 1]]},
    ],
)
def test_presets_work_in_every_view(kwargs):
    env = gym.make("networld/RB-v0", **kwargs)
    check_env(env.unwrapped)
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    vec = networld_envs.make_vec("rb", 2, **kwargs)
    single = networld_envs.make("rb", render_mode="rgb_array", **kwargs)
    obs, _ = vec.reset(seed=[4, 5])
    own, _ = single.reset(seed=5)
    np.testing.assert_array_equal(again.reset(seed=5)[0], obs[1])
    vec.action_space.seed(0)
    for _ in range(3):
        np.testing.assert_array_equal(obs[1], np.stack(list(own.values())))
        actions = vec.action_space.sample()
        obs, *_ = vec.step(actions)
        own, *_ = single.step(dict(zip(single.agents, actions[1], strict=True)))
    assert single.render().shape == (480, 640, 3)
