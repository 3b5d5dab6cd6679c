"""BC: how close it comes to the policy of the data."""

from __future__ import annotations

from tests.helpers.algorithms import prepared, train

KINDS = ("box", "discrete", "ordered")


def test_bc_approaches_the_policy_of_the_data(toy):
    for kind in KINDS:
        task = toy(kind)
        data = task.collect(32)
        algorithm = prepared("bc", data, total=300)
        train(algorithm, [data], 0, 300)
        random, expert = task.score("random"), task.score("expert")
        assert task.score(algorithm) > random + 0.85 * (expert - random), kind
