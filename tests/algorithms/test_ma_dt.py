from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from networld_algos import make, make_config
from networld_algos.data.batch import WindowSampler
from networld_algos.ma_dt.transformer import CausalTransformer, dropout
from networld_algos.nn.action_head import ActionHead
from networld_envs.policies.rollout import Behaviour

KINDS = ("box", "discrete", "ordered")
SMALL = {"hidden": 32, "context": 6, "kept": 3, "layers": 2, "sequences": 24}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def prepared(data, **config):
    algorithm = make("ma-dt", data.spec, {**SMALL, **config})
    algorithm.prepare(data, 100)
    return algorithm


def batch_of(algorithm, data, size=8, seed=0):
    return WindowSampler(data, algorithm.window, size).sample(np.random.default_rng(seed))


def test_attention_is_that_of_torch():
    """One block against torch's own pre-norm encoder layer with the same weights."""
    torch.manual_seed(0)
    mine = CausalTransformer(16, 1, 2, 0.0)
    block = mine.blocks[0]
    theirs = torch.nn.TransformerEncoderLayer(
        16, 2, 64, 0.0, F.relu, batch_first=True, norm_first=True
    )
    with torch.no_grad():
        theirs.self_attn.in_proj_weight.copy_(block.qkv.weight)
        theirs.self_attn.in_proj_bias.copy_(block.qkv.bias)
        theirs.self_attn.out_proj.load_state_dict(block.proj.state_dict())
        theirs.linear1.load_state_dict(block.mlp[0].state_dict())
        theirs.linear2.load_state_dict(block.mlp[2].state_dict())
    x = torch.randn(3, 7, 16)
    mask = torch.nn.Transformer.generate_square_subsequent_mask(7)
    expected = mine.norm(theirs(x, src_mask=mask, is_causal=True))
    torch.testing.assert_close(mine(x)[0], expected, rtol=1e-5, atol=1e-5)


def test_attention_is_the_same_with_and_without_a_gradient():
    """Two ways to compute it: for training, and for acting."""
    torch.manual_seed(0)
    model, x = CausalTransformer(16, 2, 2, 0.0), torch.randn(3, 7, 16)
    with torch.no_grad():
        expected = model(x, first=1, stride=2)[0]
    found = model(x, first=1, stride=2)[0]
    assert found.requires_grad
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_dropout_drops_its_share_and_keeps_the_mean():
    torch.manual_seed(0)
    x = torch.ones(1001, 101, requires_grad=True)  # not a multiple of four
    out = dropout(x, 0.1)
    dropped = out == 0
    share = float(dropped.float().mean())
    assert abs(share - 0.1) < 5 * (0.09 / x.numel()) ** 0.5
    assert float(dropped.float().mean(0).std()) < 2 * (0.09 / 1001) ** 0.5  # in every column
    torch.testing.assert_close(
        out[~dropped], torch.full_like(out[~dropped], 1 / 0.9), rtol=1e-4, atol=0
    )
    (gradient,) = torch.autograd.grad(out.sum(), x)
    torch.testing.assert_close(gradient, out.detach())
    assert dropout(x, 0.0) is x


def test_cached_and_partial_outputs_equal_the_full_pass():
    torch.manual_seed(0)
    model = CausalTransformer(16, 3, 2, 0.1)
    x = torch.randn(4, 12, 16)
    full, _ = model(x)
    torch.testing.assert_close(model(x, first=1, stride=3)[0], full[:, 1::3])
    past, parts = None, []
    for piece in x.split([2, 3, 3, 4], dim=1):
        out, past = model(piece, past)
        parts.append(out)
    torch.testing.assert_close(torch.cat(parts, 1), full, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("action_tokens", "kept"), [(True, 3), (False, 3), (True, 1)])
def test_acting_is_the_full_pass_over_the_window(toy, kind, action_tokens, kept):
    """With the cache, and each time the window overflows, nothing but the window is seen."""
    task = toy(kind)
    data = task.collect(8)
    algorithm = prepared(data, action_tokens=action_tokens, kept=kept, decode="argmax")
    for k in range(3):  # past actions must matter
        algorithm.update(batch_of(algorithm, data, seed=k), generator(k))
    table = torch.as_tensor(task.table).long().expand(2, -1, -1)
    carry = algorithm.initial_carry(2, "toy")
    states, taken = [], []
    for now in range(15):
        obs = torch.as_tensor(task.obs(2, seed=10 * now))  # arbitrary observations
        x, _ = algorithm.inputs.receive(obs, table, {}, 5)
        states.append(x.flatten(0, 1))
        actions, carry = algorithm.act(obs, table, carry, generator())
        taken.append(algorithm._scaled(actions).flatten(0, 1))
        count = carry["states"].shape[1]
        assert count == (now + 1 if now < 6 else kept + (now - 6) % (7 - kept))
        assert carry["actions"].shape[1] == count
        times = torch.arange(now + 1 - count, now + 1).expand(12, -1)
        seen = torch.stack(states[-count:], 1)
        output = algorithm.model(
            algorithm.target_returns(seen, times), seen, torch.stack(taken[-count:], 1), times
        )[:, -1]
        if isinstance(algorithm.model.head, ActionHead):
            expected = algorithm.model.head.decode(output, "argmax", 1.0, generator())
        else:
            expected = 2.0 * torch.tanh(output)
        torch.testing.assert_close(actions.flatten(0, 1), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_is_never_seen_and_the_loss_divides_by_real_steps(toy, kind):
    data = toy(kind).collect(8)
    options = {"dropout": 0.0, "action_dropout": 0.0, "box_loss": "mse", "action_tokens": True}
    algorithm = prepared(data, **options)
    sampler = WindowSampler(data, algorithm.window, 1)
    batch = sampler.windows(np.array([0]), np.array([17]))  # three real steps of six
    assert batch.mask.sum() == 3
    losses = algorithm.update(batch, generator())
    other = prepared(data, **options)
    batch.obs[:, 4:] = 1e3
    batch.actions[:, 3:] = 1
    batch.returns_to_go[:, 3:] = -50.0
    assert other.update(batch, generator()) == pytest.approx(losses, rel=1e-5)
    per_step = torch.tensor([[2.0, 4.0, 9.0]])
    if kind == "box":
        output = torch.zeros(1, 3, 2)
        actions = 2.0 * torch.stack([per_step.sqrt(), torch.zeros(1, 3)], -1)
        mask = torch.tensor([[1.0, 1.0, 0.0]])
        assert algorithm.sequence_loss(output, actions, mask).item() == pytest.approx(3.0)


def test_target_is_the_quantile_of_the_returns_left_at_each_step(toy):
    data = toy("box").collect(12)
    algorithm = prepared(data, target="data", target_quantile=0.75)
    states = torch.zeros(20, algorithm.inputs.width)
    rewards = data.rewards * data.step_mask[:, :, None]
    to_go = rewards[:, ::-1].cumsum(1)[:, ::-1]
    mean, std = algorithm.return_stats
    for t in (0, 5, 18):
        real = to_go[data.step_mask[:, t], t]
        target = algorithm.target_returns(states[t], torch.tensor(t)) * std + mean
        assert target.item() == pytest.approx(np.quantile(real, 0.75), rel=1e-4)
    low, high = [], []
    for share, out in ((0.1, low), (0.93, high)):
        algorithm.reconfigure(target_quantile=share)
        out.append(algorithm.target_returns(states, torch.arange(20)))
    assert (high[0] > low[0]).all()


def test_the_target_follows_from_the_state(toy):
    """Two kinds of networks, in which all that happens is worth 0 and 10 a step."""
    data = toy("ordered").collect(16)
    rich = np.arange(16) % 2 == 0
    data.rewards[:] = np.where(rich, 10.0, 0.0)[:, None, None]
    data.obs[..., 0] = np.where(rich, 3.0, -3.0)[:, None, None]
    algorithm = make("ma-dt", data.spec, {**SMALL, "learning_rate": 3e-3, "target_quantile": 0.5})
    algorithm.prepare(data, 150)
    losses = [
        algorithm.update(batch_of(algorithm, data, 16, k), generator(k))["outlook_loss"]
        for k in range(150)
    ]
    assert losses[-1] < 0.1 * losses[0]
    mean, std = algorithm.return_stats
    batch = WindowSampler(data, 1, 2).windows(np.array([0, 1]), np.array([5, 5]))
    states = algorithm.inputs.of_obs(batch.obs, batch.neighbours)[:, 0]  # (2, N, F)
    found = algorithm.target_returns(states, torch.full(states.shape[:2], 5)) * std + mean
    torch.testing.assert_close(found.mean(1), torch.tensor([150.0, 0.0]), atol=15.0, rtol=0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_without_returns_and_with_a_context_of_one_step_it_is_cloning(toy, kind):
    """Given the network of cloning, its loss on a batch is that of cloning."""
    data = toy(kind).collect(8)
    alone = {"context": 1, "kept": 1, "target": "none", "action_dropout": 0.0, "sequences": 10**6}
    algorithm = prepared(data, **alone)
    bc = make("bc", data.spec, {"hidden": 32, "action_dropout": 0.0})
    bc.prepare(data, 100)
    bc.inputs.load_state_dict(algorithm.inputs.state_dict())
    batch = batch_of(algorithm, data)
    seen = []

    def network(returns, states, actions, times, drop):
        seen.append(returns)
        return bc.head(bc.trunk(states))

    algorithm.model.forward = network
    losses = algorithm.update(batch, generator())
    assert not seen[0].any()
    assert losses.keys() == {"sequence_loss"}
    assert losses["sequence_loss"] == pytest.approx(bc.cloning_loss(batch, generator()).item())
    states = torch.randn(3, 6, algorithm.inputs.width, generator=generator())
    assert not algorithm.target_returns(states, torch.zeros(3, 6, dtype=torch.long)).any()


def test_the_default_cannot_repeat_actions_and_the_paper_can(toy):
    task = toy("ordered")
    data = task.collect(8)
    for preset, copies in (("default", False), ("paper", True)):
        config = make_config("ma-dt", preset)
        assert config.action_tokens is copies
        algorithm = prepared(data, action_tokens=copies)
        batch = batch_of(algorithm, data)
        changed = batch.actions.clone()
        changed[:, :-1] = 10 - changed[:, :-1]
        outputs = []
        for actions in (batch.actions, changed):
            states = algorithm.inputs.of_obs(batch.obs, batch.neighbours)[:, :-1, 0]
            times = batch.timesteps
            outputs.append(algorithm.model(0.0 * times, states, actions[..., 0], times)[:, -1])
        assert torch.equal(*outputs) is not copies


def test_the_learning_rate_rises_and_falls(toy):
    data = toy("ordered").collect(4)
    algorithm = prepared(data, learning_rate=1.0, warmup=0.1)
    rates = []
    for k in range(100):
        algorithm.counters["updates"] = k
        algorithm.update(batch_of(algorithm, data, 1), generator())
        rates.append(algorithm.optimizer.param_groups[0]["lr"])
    assert rates[0] == pytest.approx(0.1)
    assert np.argmax(rates) == 9
    assert rates[50] == pytest.approx(0.5)
    assert rates[-1] < 1e-3


def test_steps_beyond_the_data_count_as_its_last(toy):
    task = toy("ordered")
    algorithm = prepared(task.collect(4), context=2, kept=2, decode="argmax")
    obs = torch.as_tensor(task.obs(2))
    table = torch.as_tensor(task.table).long().expand(2, -1, -1)
    carry, actions = algorithm.initial_carry(2, "toy"), []
    for _ in range(26):
        chosen, carry = algorithm.act(obs, table, carry, generator())
        actions.append(chosen)
    assert carry["step"] == 26
    assert torch.equal(actions[-1], actions[-2])
    with pytest.raises(ValueError, match="max_steps=10, an episode has 20 steps"):
        prepared(task.collect(4), max_steps=10)


def test_asking_for_more_return_gets_more(toy):
    """Half of the teams act well, half badly: the target return tells which to follow."""
    task = toy("discrete")
    good, bad = task.collect(24), task.collect(24, seed=1, behaviour=Behaviour("random"))
    fields = {
        name: np.concatenate([getattr(good, name), getattr(bad, name)])
        for name in vars(good)
        if name != "spec"
    }
    data = type(good)(spec=good.spec, **fields)
    config = {**SMALL, "learning_rate": 3e-3, "decode": "sample", "target": "data"}
    algorithm = make("ma-dt", data.spec, config)
    algorithm.prepare(data, 200)
    for k in range(200):
        algorithm.update(batch_of(algorithm, data, 16, k), generator(k))
    scores = []
    for share in (0.02, 0.9):
        algorithm.reconfigure(target_quantile=share)
        scores.append(task.score(algorithm))
    assert scores[1] > scores[0] + 0.1 * (task.score("expert") - task.score("random"))


@pytest.mark.parametrize("options", [{"box_loss": "mse"}, {"box_loss": "two-hot"}], ids=str)
def test_approaches_the_policy_of_the_data(toy, options):
    task = toy("box")
    data = task.collect(32)
    algorithm = make("ma-dt", data.spec, {**SMALL, "learning_rate": 3e-3, **options})
    algorithm.prepare(data, 300)
    for k in range(300):
        algorithm.update(batch_of(algorithm, data, 16, k), generator(k))
    random, expert = task.score("random"), task.score("expert")
    assert task.score(algorithm) > random + 0.7 * (expert - random)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"heads": 3}, "hidden must be a multiple of heads=3, got 128"),
        ({"kept": 21, "context": 20}, "kept must be at most context=20, got 21"),
        ({"target": "best"}, "target .* got 'best'"),
        ({"box_loss": "l1"}, "box_loss .* got 'l1'"),
        ({"target_quantile": 1.2}, "target_quantile .* got 1.2"),
    ],
)
def test_bad_configs_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        make_config("ma-dt", values)
