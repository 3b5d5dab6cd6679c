"""Losses and gradients equal d3rlpy's with copied weights on the same batch."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from networld_algos import make
from networld_algos.data.batch import WindowSampler
from networld_algos.ma_cql.config import PAPER as CQL_PAPER
from networld_algos.ma_dt.config import PAPER

pytestmark = pytest.mark.interop
d3rlpy = pytest.importorskip("d3rlpy", reason="d3rlpy is absent: pip install 'networld[interop]'")
from d3rlpy.torch_utility import TorchMiniBatch  # noqa: E402

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def linears(module):
    return [m for m in module.modules() if isinstance(m, nn.Linear)]


@torch.no_grad()
def copy(source, target):
    """Weights of all linear layers, in the order they are applied."""
    pairs = list(zip(linears(source), linears(target), strict=True))
    for mine, theirs in pairs:
        theirs.load_state_dict(mine.state_dict())
    return pairs


def assert_same_gradients(pairs):
    for mine, theirs in pairs:
        torch.testing.assert_close(theirs.weight.grad, mine.weight.grad, **CLOSE)
        torch.testing.assert_close(theirs.bias.grad, mine.bias.grad, **CLOSE)


class Case:
    """Our algorithm after some updates, with targets of their own, and one batch as both see it."""

    def __init__(self, toy, name, kind, **config):
        data = toy(kind).collect(8)
        self.ours = make(name, data.spec, {"hidden": 32, "network": "mlp", "polyak": 0.3, **config})
        self.ours.prepare(data, 100)
        sampler = WindowSampler(data, 1, 12)
        for k in range(5):
            batch = sampler.sample(np.random.default_rng(k))
            self.ours.update(batch, torch.Generator().manual_seed(k))
        batch = sampler.sample(np.random.default_rng(9))
        batch.terminated[:5] = True
        inputs = self.ours.inputs(batch, torch.Generator().manual_seed(0)).detach()
        self.x, self.x_next = inputs[:, 0], inputs[:, 1]  # (B, N, F)
        self.actions = batch.actions[:, 0]
        if kind == "box":
            self.actions = self.actions / 2.0  # from [-2, 2]
        self.rewards = self.ours.reward_scale(batch.rewards[:, 0])
        self.alive = (~batch.terminated[:, :1]).float()
        self.weights = torch.ones(self.x.shape[:2])
        self.shape = (self.x.shape[-1],)
        self.choices = data.spec.action_dim if kind == "box" else data.spec.num_choices

    def target(self, next_value):
        return self.rewards + self.ours.config.discount * self.alive * next_value

    @property
    def theirs(self):
        """The batch as d3rlpy has it: a row for each agent."""
        rows = self.weights.numel()
        column = torch.zeros(rows, 1)
        done = (1.0 - self.alive).expand_as(self.weights)
        return TorchMiniBatch(
            observations=self.x.reshape(rows, -1),
            actions=self.actions.reshape(rows, -1),
            rewards=self.rewards.reshape(rows, 1),
            next_observations=self.x_next.reshape(rows, -1),
            next_actions=column,
            returns_to_go=column,
            terminals=done.reshape(rows, 1),
            intervals=column + 1,
            device="cpu",
        )


def created(config, case):
    config.actor_encoder_factory = config.critic_encoder_factory = encoder()
    peer = config.create(device="cpu")
    peer.create_impl(case.shape, case.choices)
    return peer.impl


def encoder():
    return d3rlpy.models.VectorEncoderFactory(hidden_units=[32, 32])


def test_cql(toy):
    paper = {**CQL_PAPER, "conservative_weight": 10.0}
    case = Case(toy, "ma-cql", "box", action_samples=10, **paper)
    ours = case.ours
    impl = created(
        d3rlpy.algos.CQLConfig(
            initial_alpha=1.0,
            alpha_threshold=0.0,
            conservative_weight=10.0,
            alpha_learning_rate=0.0,
            temp_learning_rate=0.0,
            initial_temperature=math.exp(ours.log_temperature.item()),
        ),
        case,
    )
    parts = impl.modules
    pairs = copy(ours.critic, parts.q_funcs)
    copy(ours.target_critic, parts.targ_q_funcs)
    mine, theirs = linears(ours.actor), linears(parts.policy)
    with torch.no_grad():
        for a, b in zip(mine[:-1], theirs[:-2], strict=True):
            b.load_state_dict(a.state_dict())
        for b, rows in zip(theirs[-2:], (slice(0, 2), slice(2, 4)), strict=True):
            b.weight.copy_(mine[-1].weight[rows])
            b.bias.copy_(mine[-1].bias[rows])
    batch, rows = case.theirs, case.weights.numel()

    torch.manual_seed(3)
    target = impl.compute_target(batch)
    loss = impl.compute_critic_loss(batch, target)
    loss.critic_loss.backward()

    # The same draws in the same order, arranged (n, B, N, A).
    torch.manual_seed(3)
    zeros, layout = torch.zeros(10, rows, 2), (10, *case.weights.shape, 2)
    eps, eps_next = (torch.normal(zeros, torch.ones_like(zeros)).view(layout) for _ in range(2))
    flat = torch.zeros(rows * 10, 2).uniform_(-1.0, 1.0).view(rows, 10, 2)
    u = (flat.transpose(0, 1).reshape(layout) + 1.0) / 2.0
    next_value = ours.next_value(case.x_next, case.x_next)
    torch.testing.assert_close(target.view_as(next_value), next_value, **CLOSE)
    proposals, log_density = ours.propose(case.x, case.x_next, eps, eps_next, u)
    values = ours.critic.of_many(case.x, torch.cat([case.actions[None], proposals]))
    bellman = ours.bellman_loss(values[:, 0], case.target(next_value), case.weights)
    gap = ours.conservative_loss(values[:, 1:], log_density, values[:, 0], case.weights)
    torch.testing.assert_close(10.0 * gap, loss.conservative_loss, **CLOSE)
    torch.testing.assert_close(bellman + 10.0 * gap, loss.critic_loss, **CLOSE)
    ours.critic.zero_grad()
    (bellman + 10.0 * gap).backward()
    assert_same_gradients(pairs)

    torch.manual_seed(4)
    theirs = impl.compute_actor_loss(batch, parts.policy(batch.observations))
    torch.manual_seed(4)
    noise = torch.normal(torch.zeros(rows, 2), torch.ones(rows, 2)).view(*case.weights.shape, 2)
    mine, log_pi = ours.actor_loss(case.x, noise, case.weights)
    torch.testing.assert_close(mine, theirs.actor_loss, **CLOSE)
    assert (log_pi != 0).all()


@pytest.mark.parametrize("kind", ["discrete", "ordered"])
def test_discrete_cql(toy, kind):
    case = Case(toy, "ma-cql", kind)
    ours = case.ours
    peer = d3rlpy.algos.DiscreteCQLConfig(encoder_factory=encoder(), alpha=10.0).create("cpu")
    peer.create_impl(case.shape, case.choices)
    impl = peer.impl
    pairs = copy(ours.critic, impl.modules.q_funcs)
    copy(ours.target_critic, impl.modules.targ_q_funcs)
    batch = case.theirs
    target = impl.compute_target(batch)
    next_value = ours.next_value(case.x_next, case.x_next)
    torch.testing.assert_close(target.view_as(next_value), next_value, **CLOSE)
    theirs = impl.compute_loss(batch, target)
    theirs.loss.backward()
    values = ours.critic(case.x).squeeze(-2)
    bellman, gap = ours.choice_losses(values, case.actions, case.target(next_value), case.weights)
    torch.testing.assert_close(bellman, theirs.td_loss, **CLOSE)
    torch.testing.assert_close(gap, theirs.conservative_loss, **CLOSE)
    ours.critic.zero_grad()
    (bellman + 10.0 * gap).backward()
    assert_same_gradients(pairs)


def test_iql(toy):
    case = Case(toy, "ma-iql", "box", beta=3.0)
    ours = case.ours
    config = d3rlpy.algos.IQLConfig(expectile=0.7, weight_temp=3.0, max_weight=100.0)
    config.value_encoder_factory = encoder()
    impl = created(config, case)
    parts = impl.modules
    pairs = copy(ours.critic, parts.q_funcs)
    copy(ours.target_critic, parts.targ_q_funcs)
    pairs += copy(ours.value, parts.value_func)
    actor_pairs = copy(ours.actor, parts.policy)
    low, high = parts.policy._min_logstd, parts.policy._max_logstd
    with torch.no_grad():  # theirs is low + (high - low) sigmoid(parameter)
        share = (ours.actor.log_std.clamp(*ours.actor.LOG_STD_RANGE) - low) / (high - low)
        parts.policy._logstd.copy_(torch.logit(share))
    batch = case.theirs
    theirs = impl.compute_critic_loss(batch, impl.compute_target(batch))
    theirs.critic_loss.backward()

    with torch.no_grad():
        q = ours.target_critic(case.x, case.actions).amin(0)
        target = case.target(ours.value(case.x_next).squeeze(-1))
    value_loss, advantage = ours.value_loss(case.x, q, case.weights)
    critic_loss = ours.critic_loss(case.x, case.actions, target, case.weights)
    torch.testing.assert_close(value_loss, theirs.v_loss, **CLOSE)
    torch.testing.assert_close(critic_loss, theirs.q_loss, **CLOSE)
    ours.zero_grad()
    (value_loss + critic_loss).backward()
    assert_same_gradients(pairs)

    loss = impl.compute_actor_loss(batch, parts.policy(batch.observations)).actor_loss
    mine = ours.actor_loss(case.x, case.actions, advantage, case.weights)
    torch.testing.assert_close(mine, loss, **CLOSE)
    parts.policy.zero_grad()
    loss.backward()
    mine.backward()
    assert_same_gradients(actor_pairs)


def transformer(toy, kind):
    """Our model after some updates, d3rlpy's with its weights, and one batch of sequences.

    Theirs differs in fixed parts, which are set to ours: the constant in LayerNorms, and for
    choices the LayerNorm after the embeddings in place of a tanh.
    """
    data = toy(kind).collect(8)
    config = {"hidden": 32, "context": 6, "kept": 6, "heads": 2, "dropout": 0.0, "decode": "argmax"}
    ours = make("ma-dt", data.spec, {**PAPER, **config, "learning_rate": 3e-3})
    ours.prepare(data, 100)
    sampler = WindowSampler(data, 6, 8)
    for k in range(5):
        ours.update(sampler.sample(np.random.default_rng(k)), torch.Generator().manual_seed(k))
    model, width = ours.model, ours.inputs.width
    parts = d3rlpy.models.torch.transformers
    common = {
        "encoder": nn.Linear(width, 32),
        "embed_size": 32,
        "position_encoding": parts.SimplePositionEncoding(32, 256),
        "num_heads": 2,
        "context_size": 6,
        "num_layers": 3,
        "attn_dropout": 0.0,
        "resid_dropout": 0.0,
        "embed_dropout": 0.0,
        "activation": nn.ReLU(),
    }
    with torch.no_grad():
        if kind == "box":
            peer = parts.ContinuousDecisionTransformer(action_size=2, **common)
            peer._embed_ln.load_state_dict(model.norm.state_dict())
            peer._output.load_state_dict(model.head.state_dict())
        else:
            choices = data.spec.num_choices
            peer = parts.DiscreteDecisionTransformer(
                action_size=choices, embed_activation=nn.Identity(), **common
            )
            peer._gpt2._dropout = model.norm  # applied to the tokens, as ours is
            model.head.linear.bias.zero_()  # theirs has none
            peer._output.weight.copy_(model.head.linear.weight)
        peer._encoder.load_state_dict(model.state.state_dict())
        peer._rtg_embed.load_state_dict(model.return_to_go.state_dict())
        peer._action_embed.load_state_dict(model.action.state_dict())
        peer._position_encoding._embed.load_state_dict(model.time.state_dict())
        for mine, theirs in zip(model.body.blocks, peer._gpt2._transformer, strict=True):
            rows = mine.qkv.weight.chunk(3), mine.qkv.bias.chunk(3)
            for i, name in enumerate("qkv"):
                layer = getattr(theirs._attention, f"_{name}")
                layer.weight.copy_(rows[0][i])
                layer.bias.copy_(rows[1][i])
            theirs._attention._proj.load_state_dict(mine.proj.state_dict())
            theirs._mlp._l1.load_state_dict(mine.mlp[0].state_dict())
            theirs._mlp._l2.load_state_dict(mine.mlp[2].state_dict())
            theirs._layer_norm1.load_state_dict(mine.norm1.state_dict())
            theirs._layer_norm2.load_state_dict(mine.norm2.state_dict())
        peer._gpt2._layer_norm.load_state_dict(model.body.norm.state_dict())
        for layer in peer.modules():
            if isinstance(layer, nn.LayerNorm):
                layer.eps = 1e-5
    batch = sampler.sample(np.random.default_rng(9))
    inputs = ours.inputs.of_obs(batch.obs, batch.neighbours).detach()
    inputs = inputs[:, :-1, 0].contiguous()
    actions = ours._scaled(batch.actions[:, :, 0])
    mean, std = ours.return_stats
    returns = (batch.returns_to_go[:, :, 0] - mean) / std
    return ours, peer, inputs, actions, returns, batch


@pytest.mark.parametrize("kind", ["box", "discrete", "ordered"])
def test_decision_transformer(toy, kind):
    ours, peer, states, actions, returns, batch = transformer(toy, kind)
    mine = ours.model(returns, states, actions, batch.timesteps)
    column = actions if kind == "box" else actions.unsqueeze(-1)
    padding = 1.0 - batch.mask.float()
    given = (states, column, returns.unsqueeze(-1), batch.timesteps, padding)
    real = batch.mask.unsqueeze(-1)
    assert not real.all()  # some steps are padding, and their outputs may differ
    full = batch.mask.all(1)
    raw = batch.actions[full][:, :, 0]
    if kind == "box":
        theirs = peer(*given)
        torch.testing.assert_close(torch.tanh(mine) * real, theirs * real, **CLOSE)
        shell = d3rlpy.algos.DecisionTransformerConfig(context_size=6).create("cpu")
        shell.create_impl((states.shape[-1],), 2)
    else:
        _, theirs = peer(*given)
        torch.testing.assert_close(mine.squeeze(-2) * real, theirs * real, **CLOSE)
        shell = d3rlpy.algos.DiscreteDecisionTransformerConfig(context_size=6).create("cpu")
        shell.create_impl((states.shape[-1],), ours.spec.num_choices)
    # Their mean counts padding, so the losses are compared where there is none.
    both = d3rlpy.torch_utility.TorchTrajectoryMiniBatch(
        observations=states[full],
        actions=column[full],
        rewards=returns[full].unsqueeze(-1),
        returns_to_go=returns[full].unsqueeze(-1),
        terminals=torch.zeros_like(returns[full]).unsqueeze(-1),
        timesteps=batch.timesteps[full],
        masks=torch.ones_like(returns[full]),
        device="cpu",
    )
    shell.impl._modules = replace(shell.impl.modules, transformer=peer)
    expected = shell.impl.compute_loss(both)
    loss = ours.sequence_loss(mine[full], raw, torch.ones_like(returns[full]))
    torch.testing.assert_close(loss, expected, **CLOSE)
    ours.zero_grad()
    loss.backward()
    expected.backward()
    torch.testing.assert_close(ours.model.state.weight.grad, peer._encoder.weight.grad, **CLOSE)
