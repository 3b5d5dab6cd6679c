"""Which recorded episodes are for fitting, and which are for measuring."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from networld_algos.data.episodes import Episodes
from networld_algos.results.text import count

LEAST = 4
"""Fewest episodes of a dataset, and fewest held-out episodes that are measured on alone."""


def divide(
    data: Episodes, most: int, about: Mapping[str, Any], dataset: str, content: str
) -> tuple[Episodes, Episodes, str]:
    """Divide a dataset into episodes to fit networks on, and others to measure a model on.

    If the model was trained on the same data, it is measured on the episodes that its training held
    out, if there are at least `LEAST`. Otherwise, half of the episodes are measured on.

    Args:
        data: All episodes of the dataset.
        most: Most episodes of each part.
        about: The ``extra`` of the model's checkpoint.
        dataset: Id of the dataset.
        content: Content hash of the dataset.

    Returns:
        Episodes to fit on, episodes to measure on, and what the latter are, in words.

    Raises:
        ValueError: If there are fewer than `LEAST` episodes, or ``most`` is below that.
    """
    if most < LEAST:
        raise ValueError(f"--episodes must be at least {LEAST} with --dataset, got {most}")
    if len(data) < LEAST:
        raise ValueError(
            f"dataset {dataset!r} has {count(len(data), 'episode')}; off-policy evaluation needs "
            f"at least {LEAST}, some to fit on and some to measure on"
        )
    trained = about.get("data_hashes", {}).get(dataset) == content
    if trained and {"episodes", "seed"} <= set(about):
        fitted, heldout = data.training_parts(about["episodes"], about["seed"])
        if heldout is not None and len(heldout) >= LEAST:
            return fitted.first(most), heldout.first(most), "held out of the training"
    fitted, measured = data.split(0.5, seed=0)
    assert measured is not None
    what = "partly in the model's training data" if trained else "of other data than the training's"
    return fitted.first(most), measured.first(most), what
