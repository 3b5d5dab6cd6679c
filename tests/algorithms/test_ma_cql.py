from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from networld_algos import make, make_config
from networld_algos.data.batch import WindowSampler
from networld_algos.nn.actor_critic import RewardScale, SquashedActor
from networld_algos.nn.layers import Hidden
from networld_algos.nn.optim import cosine_decay
from networld_envs.spec import TaskSpec


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def prepared(toy, kind, **config):
    data = toy(kind).collect(8)
    algorithm = make("ma-cql", data.spec, {"hidden": 32, **config})
    algorithm.prepare(data, 100)
    return algorithm, WindowSampler(data, 1, 8).sample(np.random.default_rng(0))


def test_squashed_density_is_that_of_torch_and_integrates_to_one():
    torch.manual_seed(0)
    actor = SquashedActor(3, 1, Hidden("mlp", 8, 1))
    x = torch.randn(5, 3)
    noise = torch.randn(4, 5, 1)
    actions, log_density = actor.draw(x, noise)
    mu, log_std = actor(x)
    reference = torch.distributions.TransformedDistribution(
        torch.distributions.Normal(mu, log_std.exp()), torch.distributions.TanhTransform()
    )
    torch.testing.assert_close(log_density, reference.log_prob(actions).sum(-1), rtol=1e-4, atol=0)
    grid = torch.linspace(-0.9999, 0.9999, 20_001)
    row = torch.atanh(grid)[:, None]
    _, density = actor.draw(x[:1], (row - mu[0]) / log_std[0].exp())
    assert torch.trapezoid(density.exp(), grid).item() == pytest.approx(1.0, abs=2e-3)


def test_importance_sampling_estimates_the_log_integral(toy):
    """With Q(x, a) = c a_1, log of the integral of exp(Q) over the box is 2 sinh(c)/c * 2."""
    algorithm, batch = prepared(toy, "box", action_samples=4000, network="mlp")
    x = algorithm.inputs.of_obs(batch.obs, batch.neighbours)[:2, 0, :1]  # (2, 1, F)
    shape = (4000, 2, 1, 2)
    noise = [torch.randn(shape, generator=generator(k)) for k in (1, 2)]
    u = torch.rand(shape, generator=generator(3))
    actions, log_density = algorithm.propose(x, x, *noise, u)
    assert actions.abs().max() <= 1.0
    c = 1.5
    values = (c * actions[..., 0]).expand(2, -1, -1, -1)
    zero, one = torch.zeros(2, 2, 1), torch.ones(2, 1)
    gap = algorithm.conservative_loss(values, log_density, zero, one).item() / 2
    exact = math.log(2 * math.sinh(c) / c * 2)
    assert gap - math.log(3 * 4000) == pytest.approx(exact, abs=0.05)


def test_many_actions_are_valued_as_each_alone(toy):
    algorithm, batch = prepared(toy, "box")
    x = algorithm.inputs.of_obs(batch.obs, batch.neighbours)[:, 0]
    actions = 2.0 * torch.rand(19, *x.shape[:2], 2, generator=generator()) - 1.0
    each = torch.stack([algorithm.critic(x, a) for a in actions], dim=1)
    torch.testing.assert_close(algorithm.critic.of_many(x, actions), each, rtol=1e-5, atol=1e-6)


def test_actions_of_the_next_state_are_scored_at_the_present_one(toy):
    algorithm, batch = prepared(toy, "box")
    seen = []
    critic = algorithm.critic.of_many

    def spy(x, actions):
        seen.append((x, actions))
        return critic(x, actions)

    algorithm.critic.of_many = spy
    inputs = algorithm.inputs(batch, generator())
    algorithm.update(batch, generator())
    x, actions = seen[0]
    torch.testing.assert_close(x, inputs[:, 0])
    assert actions.shape == (31, *inputs[:, 0].shape[:2], 2)  # data, 10 + 10 + 10


def test_losses_by_hand():
    """One agent, two choices, linear critics of known weights."""
    spec = TaskSpec("one", 1, 1, "discrete", 1, (0.0,), (1.0,), 1)
    algorithm = make("ma-cql", spec, {"mean_field": False})
    values = torch.tensor([[[2.0, -1.0]], [[0.5, 3.0]]])  # (B, N, K)
    actions = torch.tensor([[0], [0]])
    target = torch.tensor([[2.3], [4.0]])
    bellman, gap = algorithm.choice_losses(values, actions, target, torch.ones(2, 1))
    assert bellman.item() == pytest.approx((0.5 * 0.3**2 + (3.5 - 0.5)) / 2)
    two = math.log(math.exp(2) + math.exp(-1)) - 2, math.log(math.exp(0.5) + math.exp(3)) - 0.5
    assert gap.item() == pytest.approx(sum(two) / 2, rel=1e-6)
    only = algorithm.choice_losses(values, actions, target, torch.tensor([[1.0], [0.0]]))
    assert only[0].item() == pytest.approx(0.5 * 0.3**2)


@pytest.mark.parametrize("kind", ["box", "ordered"])
def test_bootstraps_through_truncation_but_not_termination(toy, kind, monkeypatch):
    algorithm, batch = prepared(toy, kind)
    targets = []
    name = "bellman_loss" if kind == "box" else "choice_losses"
    loss = getattr(algorithm, name)

    def spy(*args):
        targets.append(args[1] if kind == "box" else args[2])
        return loss(*args)

    setattr(algorithm, name, spy)
    monkeypatch.setattr("networld_algos.ma_cql.algorithm.descend", lambda optimizer, loss: None)
    batch.terminated[:], batch.truncated[:] = False, True
    algorithm.update(batch, generator())
    batch.terminated[:] = True
    algorithm.update(batch, generator())
    torch.testing.assert_close(targets[1], algorithm.reward_scale(batch.rewards[:, 0]))
    assert (targets[0] != targets[1]).all()


def test_messages_serve_the_policy_and_do_not_inflate_its_value(toy):
    """The critic's estimate may change the sender through the action alone."""
    algorithm, batch = prepared(toy, "box")
    inputs = algorithm.inputs
    x = inputs.of_obs(batch.obs, batch.neighbours)[:, 0]
    noise = torch.randn(*x.shape[:2], 2, generator=generator())
    sender = list(inputs.sender.parameters())
    gradients = []
    for critic in (algorithm.critic, lambda x, actions: algorithm.critic(x.detach(), actions)):
        drawn, log_pi = algorithm.actor.draw(x, noise)
        eta = algorithm.log_temperature.detach().exp()
        loss = (eta * log_pi - critic(x, drawn).amin(0)).mean()
        gradients.append(torch.autograd.grad(loss, sender, retain_graph=True))
    loss, _ = algorithm.actor_loss(x, noise, torch.ones(x.shape[:2]))
    mine = torch.autograd.grad(loss, sender)
    for own, through_state, through_action in zip(mine, *gradients, strict=True):
        torch.testing.assert_close(own, through_action)
        assert not torch.allclose(through_state, through_action)


def test_the_bootstrap_reads_target_messages_where_its_loss_trains_them(toy):
    algorithm, batch = prepared(toy, "ordered", polyak=0.5, learning_rate=0.01)
    slow, fast = algorithm.target_inputs, algorithm.inputs
    before = [p.detach().clone() for p in fast.parameters()]
    assert before
    for old, target in zip(before, slow.parameters(), strict=True):
        assert torch.equal(old, target)
    algorithm.update(batch, generator())
    moved = [p.detach() for p in fast.parameters()]
    assert any(not torch.equal(old, new) for old, new in zip(before, moved, strict=True))
    for old, new, target in zip(before, moved, slow.parameters(), strict=True):
        torch.testing.assert_close(target.detach(), (old + new) / 2)
    for name, value in fast.features.named_buffers():
        assert torch.equal(slow.features.get_buffer(name), value)
    read = []
    algorithm.next_value = lambda x, other: read.append((x, other)) or torch.zeros(x.shape[:2])
    algorithm.update(batch, generator())
    online, target = read[0]
    assert not torch.allclose(online, target)


def test_illegal_choices_are_never_valued_nor_taken():
    spec = TaskSpec("late", 2, 3, "ordered", 1, (2.0,), (5.0,), 1)
    config = {"hidden": 16, "mean_field": False, "decode": "sample", "features": "symlog"}
    algorithm = make("ma-cql", spec, config)
    values = algorithm.critic(torch.randn(7, 3, generator=generator())).squeeze(-2)
    assert torch.isneginf(values[:, :2]).all()
    torch.testing.assert_close(torch.logsumexp(values, -1), torch.logsumexp(values[:, 2:], -1))
    carry = algorithm.initial_carry(64, "late")
    obs, table = torch.randn(64, 2, 3), torch.full((64, 2, 1), -1)
    actions, _ = algorithm.act(obs, table, carry, generator())
    assert set(actions.flatten().tolist()) == {2, 3, 4, 5}


def test_conservatism_widens_the_gap_between_data_and_other_actions(toy):
    gaps = []
    for weight in (0.0, 10.0):
        algorithm, batch = prepared(toy, "ordered", conservative_weight=weight)
        for k in range(200):
            algorithm.update(batch, generator(k))
        x = algorithm.inputs.of_obs(batch.obs, batch.neighbours)[:, 0]
        values = algorithm.critic(x).squeeze(-2)
        chosen = F.one_hot(batch.actions[:, 0], values.shape[-1]).bool()
        gaps.append((values[chosen].mean() - values[~chosen].mean()).item())
    assert gaps[1] > gaps[0] + 0.5
    defaults = [prepared(toy, kind)[0].alpha for kind in ("box", "discrete", "ordered")]
    assert defaults == [10.0, 1.0, 1.0]


def test_given_actions_have_the_density_that_they_were_drawn_with():
    torch.manual_seed(0)
    actor = SquashedActor(3, 2, Hidden("mlp", 8, 1))
    x = torch.randn(5, 3)
    actions, log_density = actor.draw(x, 0.5 * torch.randn(5, 2))
    torch.testing.assert_close(actor.log_density(x, actions), log_density, rtol=1e-3, atol=1e-3)
    assert actor.log_density(x, torch.ones(5, 2)).isfinite().all()


def test_values_do_not_grow_without_bound(toy):
    """The policy stays where it is, far from the data, and without a margin values run away.

    Rewards have unit deviation, so true values are within about 10. A policy's actions are valued
    at most about the margin below the data's, which the bootstrap adds up to ``5 / (1 - 0.9)``.
    """
    data = toy("box").collect(16)
    sampler, found = WindowSampler(data, 1, 16), {}
    for margin in (None, 5.0):
        config = {"hidden": 32, "discount": 0.9, "margin": margin, "actor_learning_rate": 1e-9}
        config |= {"learning_rate": 3e-3, "polyak": 0.05, "network": "mlp"}
        algorithm = make("ma-cql", data.spec, config)
        algorithm.prepare(data, 400)
        metrics = [
            algorithm.update(sampler.sample(np.random.default_rng(k)), generator(k))
            for k in range(400)
        ]
        found[margin] = [
            np.mean([m["data_value"] for m in metrics[at]])
            for at in (slice(180, 220), slice(360, 400))
        ] + [np.mean([m["bellman_loss"] for m in metrics[360:]])]
    assert abs(found[None][1]) > 60.0 > 50.0 > abs(found[5.0][1])
    assert found[None][2] > 100.0 > 40.0 > found[5.0][2]


def test_the_penalty_of_choices_is_the_loss_of_cloning(toy):
    """With a large alpha, Q is the logits of a cloned policy."""
    task = toy("ordered")
    data = task.collect(16)
    options = {"hidden": 32, "features": "both", "network": "mlp", "layers": 2}
    cql = make("ma-cql", data.spec, {**options, "conservative_weight": 1e4})
    bc = make("bc", data.spec, options)
    for algorithm in (cql, bc):
        algorithm.prepare(data, 100)
    batch = WindowSampler(data, 1, 8).sample(np.random.default_rng(0))
    bc.inputs.load_state_dict(cql.inputs.state_dict())
    bc.trunk.load_state_dict(cql.critic.trunk.state_dict())
    bc.head.linear.load_state_dict(cql.critic.head.linear.state_dict())
    cloning = bc.cloning_loss(batch, generator()).item()
    assert cql.update(batch, generator())["conservative_loss"] == pytest.approx(cloning)
    sampler = WindowSampler(data, 1, 16)
    for k in range(300):
        for algorithm in (cql, bc):
            algorithm.update(sampler.sample(np.random.default_rng(k)), generator(k))
    random, expert = task.score("random"), task.score("expert")
    gap = abs(task.score(cql) - task.score(bc)) / (expert - random)
    assert gap < 0.1


def test_the_policy_clones_first_and_follows_the_critic_then(toy):
    algorithm, batch = prepared(toy, "box", cloning_share=0.5)  # of 100 updates
    used = []
    for name in ("cloning_loss", "actor_loss"):
        real = getattr(algorithm, name)
        setattr(algorithm, name, lambda *a, n=name, f=real: used.append(n) or f(*a))
    metrics = [algorithm.update(batch, generator(k)) for k in range(60)]
    assert used == ["cloning_loss"] * 50 + ["actor_loss"] * 10
    assert metrics[49]["actor_loss"] < metrics[0]["actor_loss"]
    assert {"data_value", "other_value", "bellman_loss"} <= metrics[0].keys()
    whole, _ = prepared(toy, "box", cloning_share=0.0)
    assert not whole.is_cloning


@pytest.mark.parametrize("kind", ["box", "discrete", "ordered"])
def test_approaches_the_policy_of_the_data(toy, kind):
    task = toy(kind)
    data = task.collect(32)
    algorithm = make("ma-cql", data.spec, {"hidden": 64, "learning_rate": 1e-3})
    algorithm.prepare(data, 400)
    sampler = WindowSampler(data, 1, 16)
    for k in range(400):
        algorithm.update(sampler.sample(np.random.default_rng(k)), generator(k))
    random, expert = task.score("random"), task.score("expert")
    assert task.score(algorithm) > random + 0.6 * (expert - random)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"action_samples": 0}, "action_samples .* got 0"),
        ({"conservative_weight": -1.0}, "conservative_weight .* got -1.0"),
        ({"margin": -1.0}, "margin .* got -1.0"),
        ({"cloning_share": 1.5}, "cloning_share .* got 1.5"),
        ({"cloning_weight": -1.0}, "cloning_weight .* got -1.0"),
        ({"decode": "mean"}, "decode .* got 'mean'"),
    ],
)
def test_bad_configs_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        make_config("ma-cql", values)


def test_rewards_are_centred_only_where_no_episode_terminates(toy):
    data = toy("box").collect(8)
    data = replace(data, rewards=data.rewards * 3 + 50)
    endless = replace(data, terminated=np.zeros_like(data.terminated))
    ended = replace(data, terminated=np.ones_like(data.terminated))
    rewards = torch.from_numpy(data.rewards[data.step_mask])
    scale = RewardScale()
    scale.fit(endless, "agent", centre=True)
    assert abs(scale(rewards).mean().item()) < 1e-3
    assert scale(rewards).std().item() == pytest.approx(1.0, abs=1e-3)
    for episodes, centre in ((endless, False), (ended, True)):
        scale.fit(episodes, "agent", centre)
        torch.testing.assert_close(scale(rewards), rewards / scale.std)


@pytest.mark.parametrize(("kind", "name"), [("box", "actor"), ("discrete", "critic")])
def test_the_learning_rate_of_what_decides_decays(toy, kind, name):
    """As in the other methods; that of a critic beside an actor stays, and so do the paper's."""
    rates = {}
    for decay in (True, False):
        algorithm, batch = prepared(toy, kind, decay=decay)
        algorithm.counters["updates"] = 75
        algorithm.update(batch, generator())
        rates[decay] = {k: o.param_groups[0]["lr"] for k, o in algorithm._optimizers.items()}
    decayed, whole = rates[True], rates[False]
    assert decayed.pop(name) == pytest.approx(whole.pop(name) * cosine_decay(75, 100))
    assert decayed == whole
    assert make_config("ma-cql", "paper").decay is False
