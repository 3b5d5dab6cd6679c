"""The focus of a report: the one that all others are compared with.

It comes first in tables, its curves are drawn on top and thicker, and differences are taken
against it. Everything that depends on it reads `networld_algos.report.source.Source.focus` or
`networld_algos.report.style.Look.focus`; no other place names a method.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from networld_algos.report.scoring import grouped, panel_of
from networld_algos.results.display import BUILT_IN, Display
from networld_algos.results.rows import EXPERIMENTS, Row
from networld_algos.results.text import name, suggestion

DEFAULT = "networld"
"""The focus of rows that hold it, unless another is chosen."""


def focus_of(rows: Sequence[Row], display: Display, wanted: str | None = None) -> str:
    """The label of the focus method.

    Args:
        rows: All rows of one suite, after `networld_algos.report.plain.plain_rows`.
        display: Names of methods.
        wanted: A label, as in the rows or as printed (``"ma-iql"`` or ``"MA-IQL"``). None
            chooses `DEFAULT` if it is there, otherwise the best method that is not built in, and
            otherwise the best of all.

    Returns:
        The label; empty if the rows hold no trained method and none is wanted.

    Raises:
        ValueError: If the rows have no such method; the message lists those that there are.
    """
    learned = [r for r in rows if r.kind == "learned"]
    labels = list(dict.fromkeys(r.label for r in learned))
    if wanted is not None:
        return _found(name(wanted), labels, display)
    if DEFAULT in labels or not labels:
        return DEFAULT if labels else ""
    foreign = {r.label for r in learned if r.algorithm not in BUILT_IN}
    plain = {r.label for r in learned if r.label == r.algorithm}
    places = _places(learned)
    return min(labels, key=lambda x: (x not in foreign, x not in plain, places[x]))


def _found(wanted: str, labels: Sequence[str], display: Display) -> str:
    for known in (
        {label: label for label in labels},
        {display.method(label): label for label in labels},
        {display.method(label).lower(): label for label in labels},
    ):
        for word in (wanted, wanted.lower()):
            if word in known:
                return known[word]
    if not labels:
        raise ValueError(f"no method {wanted!r}: these rows hold no trained method to focus on")
    raise ValueError(
        f"no method {wanted!r} in these rows{suggestion(wanted, labels)}; "
        f"choose one of: {', '.join(labels)}"
    )


def _places(learned: Sequence[Row]) -> dict[str, tuple[int, float]]:
    """A sorting key of every label, the smallest for the best method.

    It is the number of panels without the method in the first experiment of `EXPERIMENTS` that
    there is, then minus its mean over the others. Rewards of a panel are scaled to [0, 1] first.
    """
    order = {experiment: i for i, experiment in enumerate(EXPERIMENTS)}
    first = min((r.experiment for r in learned), key=lambda x: order.get(x, len(order)))
    last = [r for r in learned if r.experiment == first and r.is_final]
    scaled: dict[str, list[float]] = {r.label: [] for r in learned}
    panels = grouped(last, panel_of)
    for _, group in panels:
        means = {
            label: float(np.mean([r.mean_return for r in mine]))
            for label, mine in grouped(group, lambda r: r.label)
        }
        low, high = min(means.values()), max(means.values())
        for label, mean in means.items():
            scaled[label].append((mean - low) / max(high - low, 1e-12))
    return {
        label: (len(panels) - len(values), -float(np.mean(values)) if values else 0.0)
        for label, values in scaled.items()
    }
