"""A training that starts from a model for observations or actions of another size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from networld_algos.data.symmetry import own_columns
from networld_algos.registry import BUILT_IN
from networld_algos.training import checkpoint
from networld_algos.training.resize import inherit
from networld_algos.training.start import find_model, start_from
from networld_envs.simulator import make_params, task_module
from networld_envs.spec import Column
from tests.helpers.algorithms import act, prepared, train, untrained

NAMES = ("level", "demand", "push0", "push1", "one")


@pytest.fixture(scope="module")
def data(toy):
    episodes = toy("box").collect(6)
    named = tuple(map(Column, NAMES))
    return replace(episodes, spec=replace(episodes.spec, obs_columns=named))


def with_column(episodes, at):
    """The same episodes with one more column of the observation, which is noise."""
    spec = episodes.spec
    named = [*spec.obs_columns[:at], Column("extra"), *spec.obs_columns[at:]]
    noise = np.random.default_rng(0).normal(size=episodes.obs.shape[:-1])
    obs = np.insert(episodes.obs, at, noise, axis=-1)
    spec = replace(spec, obs_dim=spec.obs_dim + 1, obs_columns=tuple(named))
    return replace(episodes, spec=spec, obs=obs)


def saved(folder, name, data, **changes):
    model = prepared(name, data, total=3, **changes)
    train(model, [data], 0, 3)
    checkpoint.save(model, folder)
    return model


@pytest.mark.parametrize("name", sorted(BUILT_IN))
@pytest.mark.parametrize("at", [0, 5])
def test_a_model_ignores_a_column_that_is_new_until_it_learns(name, at, toy, data, tmp_path):
    first = saved(tmp_path, name, data)
    more, said = with_column(data, at), []
    model = start_from(find_model(tmp_path, name), more, 5, seed=1, say=said.append)
    assert "obs_dim=5, this data 6: copied" in said[0]
    obs = torch.as_tensor(more.obs[:3, 0])
    # Diffusion over states draws noise for the new column too, and a rotation shows it.
    if name not in ("ma-dd", "networld"):
        seen = torch.as_tensor(data.obs[:3, 0])
        torch.testing.assert_close(act(model, toy("box"), obs), act(first, toy("box"), seen))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    train(model, [more], 0, 2)
    assert any(not torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_a_rotation_keeps_its_columns_and_is_completed(data, tmp_path):
    first = saved(tmp_path, "networld", data, encoder_grad="none")
    model = start_from(find_model(tmp_path, "networld"), with_column(data, 2), 5)
    old, new = (m.nets.task("toy").encoder.weight for m in (first, model))
    width = old.shape[1] // 2  # symlog of each column, then the column itself
    kept = [i for i in range(2 * width + 2) if i % (width + 1) != 2]
    assert torch.equal(new[:, kept], old)
    torch.testing.assert_close(new.T @ new, torch.eye(new.shape[1]))


def cbf(**changes):
    return task_module("cbf").spec(make_params("cbf", **changes))


@pytest.mark.parametrize("name", ["bc", "networld"])
@pytest.mark.parametrize("entities", ["flat", "shared"])
@pytest.mark.parametrize(("antennas", "users"), [(2, 6), (6, 4), (4, 8)])
def test_entries_of_columns_with_the_same_name_are_kept(name, entities, antennas, users):
    before, after = cbf(), cbf(antennas=antennas, neighbours=users)
    first = untrained(name, before, entities=entities)
    model = untrained(name, after, seed=1, entities=entities)
    found = inherit(model, first, after)
    heads = [[m for m in a.modules() if type(m).__name__ == "ActionHead"] for a in (first, model)]
    rows = [head.linear.weight.unflatten(0, (-1, head.choices)) for head, *_ in heads]
    # Columns of the action: real parts of all antennas, then imaginary parts.
    re, im = (part.unflatten(0, (2, -1)) for part in rows)
    common = min(4, antennas)
    assert torch.equal(im[:, :common], re[:, :common])
    assert not torch.equal(im[:, -1:], re[:, -1:]) or antennas == 4
    names = [
        [c.name for i, c in enumerate(spec.obs_columns) if entities == "flat" or i in own]
        for spec, own in ((spec, own_columns(spec)) for spec in (before, after))
    ]
    where = [[i for i, n in enumerate(some) if n in names[0] and n in names[1]] for some in names]
    layers = [
        m.inputs.sender[0] if name == "bc" else m.nets.task("cbf").encoder for m in (first, model)
    ]
    old, new = (layer.weight[:, at] for layer, at in zip(layers, where, strict=True))
    assert torch.equal(old, new)
    assert found.copied
    assert not found.new
    if entities == "shared":
        assert not any(".groups." in layer for layer in found.resized)
        assert found.resized == () or antennas != 4


def test_a_longer_description_of_each_entity_keeps_what_is_common():
    def csi(antennas):
        return cbf(observation="csi", antennas=antennas)

    first, model = (untrained("bc", csi(n), seed=n, entities="shared") for n in (4, 2))
    found = inherit(model, first, csi(2))
    assert found.new == ()
    assert "inputs.features.entities.groups.0.net.0" in found.resized
    old, new = (m.inputs.features.entities.groups[0].net[0].weight for m in (first, model))
    # Of each kind of features: a gain, real parts, imaginary parts, and three reports.
    same = [0, 1, 2, 5, 6, 9, 10, 11]
    assert torch.equal(new[:, :8], old[:, same])
    assert torch.equal(new[:, 8:], old[:, [12 + i for i in same]])


def test_another_number_of_choices_keeps_the_common_ones(tmp_path):
    def rb(slots):
        return task_module("rb").spec(make_params("rb", slots=slots))

    before, after = rb(10), rb(12)
    first, model = untrained("bc", before), untrained("bc", after, seed=1)
    found = inherit(model, first, after)
    choices = first.head.choices
    assert model.head.choices > choices
    assert torch.equal(model.head.linear.weight[:choices], first.head.linear.weight)
    assert found.resized == ("head.linear",)


def test_bins_of_an_action_with_other_bounds_come_from_the_data(toy, data, tmp_path):
    saved(tmp_path, "bc", data)
    wider = replace(data.spec, action_low=(-9.0,) * 2, action_high=(9.0,) * 2)
    more = replace(data, spec=wider, actions=4 * data.actions)
    model = start_from(find_model(tmp_path, "bc"), more, 5)
    high = torch.as_tensor(more.actions[more.step_mask]).amax((0, 1))
    torch.testing.assert_close(model.head.twohot.high, high.double())


def test_parts_that_options_add_are_new(data, tmp_path):
    first, said = saved(tmp_path, "networld", data), []
    found = find_model(tmp_path, "networld")
    config = replace(found.config, weighting="advantage")
    model = start_from(found, data, 5, config=config, say=said.append)
    assert "new, because" in said[0]
    assert "nets.tasks.toy.value" in said[0]
    for name, value in first.state_dict().items():
        if not name.endswith((".low", ".high", "_extra_state")):
            assert torch.equal(model.state_dict()[name], value), name
    train(model, [data], 0, 2)
