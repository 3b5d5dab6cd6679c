"""Trained models: their score and the health of their latents."""

from __future__ import annotations

import pytest

from networld_algos.networld.config import DIFFUSION
from networld_algos.networld.health import DIAGNOSTICS
from tests.helpers.algorithms import prepared, train


@pytest.fixture(scope="module")
def trained(toy):
    """NetWorld on the toy task, as by default, and end to end with the published message."""
    data = toy("ordered").collect(48)
    models = {}
    published = {"message": "latent", "aggregate": "mean", **DIFFUSION}
    for mode, updates, changes in (
        ("none", 300, {}),
        ("end_to_end", 150, published),
    ):
        model = prepared("networld", data, total=updates, encoder_grad=mode, hidden=128, **changes)
        train(model, [data], 0, updates)
        models[mode] = model
    return models


def test_networld_plans_better_than_random(toy, trained):
    task = toy("ordered")
    random, expert = task.score("random"), task.score("expert")
    score = task.score(trained["none"])
    assert score > random + 0.6 * (expert - random)


def test_default_latents_are_healthy_and_end_to_end_ones_are_not(toy, trained):
    held_out = toy("ordered").collect(12, seed=99)
    good = trained["none"].health(held_out)
    assert set(good) == set(DIAGNOSTICS)
    assert [name for name, found in good.items() if not found.is_healthy] == []
    bad = trained["end_to_end"].health(held_out)
    assert bad["effective_rank"].value < bad["effective_rank"].low == 3.0
    assert bad["inverse_error_noised"].value > good["inverse_error_noised"].value
