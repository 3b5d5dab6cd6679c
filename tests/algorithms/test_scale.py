"""A model trained on 19 agents acts for 7, 37 and 1,027, and each of them sees only its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from networld_algos import ALGORITHMS, make
from networld_algos.data.load import load_episodes
from networld_algos.training.train import train
from networld_envs import make_vec
from networld_envs.policies.rollout import Behaviour
from networld_envs.store import Recipe, build
from tests.helpers.algorithms import fitting

SMALL = {"hidden": 32, "batch_size": 2}
CONFIGS = {
    "ma-dt": {"context": 4, "kept": 2, "sequences": 16},
    "ma-dd": {"dim": 8, "sequences": 16, "temperature": 0.0},
    "networld": {"dim": 8, "latent": 16, "hidden": 32, "sequences": 16},
}
TEAMS = {7: {"rings": 1}, 37: {"rings": 3}, 1027: {"rings": 18, "max_links": 32}}


@pytest.fixture(scope="module")
def episodes(tmp_path_factory):
    """A little data of 19 agents."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(tmp_path_factory.mktemp("minari")))
        build(Recipe("networld/cbf/tiny-v0", "cbf", 3, 10, 5, (Behaviour("expert", 0.1),)))
        return load_episodes("networld/cbf/tiny-v0")


@pytest.fixture(scope="module", params=sorted(ALGORITHMS))
def model(request, episodes):
    """Each algorithm, trained a little on 19 agents."""
    assert episodes.spec.num_agents == 19
    config = fitting(request.param, **SMALL) | CONFIGS.get(request.param, {})
    algorithm = make(request.param, episodes.spec, config)
    algorithm.prepare(episodes, 10)
    train(algorithm, [episodes], 3, seed=0)
    return algorithm.eval()


def decide(model, obs, table):
    """Actions of one team ``(N, A)`` from observations ``(N, O)`` and neighbours ``(N, D)``."""
    carry = model.initial_carry(1, "cbf")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        actions, _ = model.act(obs[None], table[None], carry, generator)
    return actions[0]


@pytest.mark.parametrize("agents", TEAMS)
def test_any_number_of_agents(model, agents):
    envs = make_vec("cbf", 1, max_cycles=5, **TEAMS[agents])
    spec = envs.simulator.spec
    assert spec.num_agents == agents
    assert model.specs["cbf"].mismatch(spec) is None
    obs, info = envs.reset(seed=[1])
    obs, table = torch.from_numpy(obs[0]), torch.from_numpy(info["neighbours"][0]).long()
    actions = decide(model, obs, table)
    low, high = torch.tensor(spec.action_low), torch.tensor(spec.action_high)
    assert actions.shape == (agents, spec.action_dim)
    assert bool(((actions >= low) & (actions <= high)).all())
    _, rewards, _, _, _ = envs.step(actions[None].numpy())
    assert np.isfinite(rewards).all()
    envs.close()


def test_equal_local_inputs_give_equal_actions(model):
    """An agent and its neighbours are put into the middle of 1,027 others."""
    if "deviation" in model.decision_fields:
        model.reconfigure(deviation=0.0)  # a plan's noise belongs to the agent's number
    small, large = make_vec("cbf", 1), make_vec("cbf", 1, **TEAMS[1027])
    (near, few), (far, many) = (envs.reset(seed=[2]) for envs in (small, large))
    near, far = torch.from_numpy(near[0]), torch.from_numpy(far[0])
    few = torch.from_numpy(few["neighbours"][0]).long()
    many = torch.from_numpy(many["neighbours"][0]).long()
    agent, there = 0, 500
    assert few[agent].min() >= 0  # both have six neighbours
    assert many[there].min() >= 0
    before = decide(model, far, many)[there]
    far[there] = near[agent]
    far[many[there]] = near[few[agent]]
    expected = decide(model, near, few)[agent]
    torch.testing.assert_close(decide(model, far, many)[there], expected, rtol=1e-4, atol=1e-5)
    assert (before - expected).abs().max() > 1e-4  # it is not that any input gives this
    for envs in (small, large):
        envs.close()
