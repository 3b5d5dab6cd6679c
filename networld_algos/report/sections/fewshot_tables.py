"""Tables of the few-shot section: scores, gains over controls, differences from the focus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from networld_algos.report.scoring import Panel, grouped
from networld_algos.report.sections import versus
from networld_algos.report.sections.fewshot_curves import FewShotCurve, place_name
from networld_algos.report.sections.fewshot_pairs import (
    CONTRASTS,
    Difference,
    Gain,
    difference,
    mean_difference,
)
from networld_algos.report.sections.fewshot_reach import TARGETS, reach_cell, reaches
from networld_algos.report.table import (
    DASH,
    Cell,
    Column,
    Table,
    episodes_text,
    interval_cell,
    several_datasets,
    text_cell,
)
from networld_algos.results.claims.paper import CONTROLS
from networld_algos.results.display import Display
from networld_algos.results.stats import MATTERS

RISING = "\N{UPWARDS ARROW}"
"""Mark of a score whose trainings have not all converged."""


def score_table(
    curves: Sequence[FewShotCurve], display: Display, how: str, rng: np.random.Generator
) -> Table:
    """Task x method: score at each share, convergence, area, data to come near all data.

    Args:
        curves: From `fewshot_curves`, with the averaged ones appended.
        display: Names of methods.
        how: What models are carried across, for the title.
        rng: Source of bootstraps.
    """
    shares = _every_share(curves)
    several = several_datasets([c.panel for c in curves])
    order = list(dict.fromkeys(c.panel for c in curves))
    lines = [
        [
            text_cell(place_name(c.panel, several)),
            text_cell(display.method(c.label)),
            *(_score_cell(c, share) for share in shares),
            _converged_cell(c, shares),
            interval_cell(c.area, 1),
            *(reach_cell(found, c) for found in reaches(c, curves, rng)),
        ]
        for c in sorted(curves, key=lambda c: order.index(c.panel))
    ]
    columns = [
        Column("Target", False),
        Column("Method", False),
        *(Column(f"{100 * share:.3g}%", hint="share of target data") for share in shares),
        Column("Converged", False, "trainings that have converged, for each share"),
        Column("Area", hint="area under the curve over log share, in units of the score"),
        *(
            Column(f"Episodes to {100 * part:g}%", hint="of the score with all data, from scratch")
            for part in TARGETS
        ),
    ]
    caption = (
        "Normalised score at each share of target data: mean [95% interval] over training seeds "
        f"and networks. Converged: number of trainings at each share; {RISING} marks scores of "
        "trainings that have not all converged. A training has converged if the last fifth of its "
        "updates brought no smaller error on held-out data; the others were ended by their largest "
        "number of updates. Area: area under the curve over the logarithm of the share, which is "
        "its average height. "
        "Episodes to 90% and 95%: number at which the mean curve first reaches that share of what "
        "the same algorithm scores from scratch with all data, so a method that scores little with "
        "all data has little to reach; with a 95% bootstrap interval over seeds and networks, "
        "which is too narrow for few seeds. A dash: the algorithm was not trained from scratch "
        "with all data here."
    )
    return Table(f"Score by share of target data, {how}", caption, columns, lines)


def _every_share(curves: Sequence[FewShotCurve]) -> list[float]:
    return sorted({float(x) for c in curves for x in c.x})


def _score_cell(curve: FewShotCurve, share: float) -> Cell:
    at = dict(zip(curve.x.tolist(), curve.points, strict=True))
    converged, known = curve.converged.get(share, (0, 0))
    return replace(interval_cell(at.get(share), 1), mark=RISING if converged < known else "")


def _converged_cell(curve: FewShotCurve, shares: Sequence[float]) -> Cell:
    """``"3, 3, 2, 1 of 3"``; a dash if rows do not say it."""
    counts = [curve.converged.get(share, (0, 0)) for share in shares]
    known = {n for _, n in counts if n}
    if not known:
        return Cell(DASH, None)
    if len(known) == 1:
        text = ", ".join(str(c) if n else DASH for c, n in counts) + f" of {known.pop()}"
    else:
        text = ", ".join(f"{c} of {n}" if n else DASH for c, n in counts)
    return Cell(text, sum(c for c, _ in counts) / sum(n for _, n in counts))


def gain_table(found: Sequence[Gain], display: Display, how: str, what: str) -> Table:
    """Task x share: score of a method minus that of each of its controls.

    Args:
        found: From `networld_algos.report.sections.fewshot_pairs.gains`.
        display: Names of methods.
        how: What models are carried across, for the title.
        what: How they were trained before.
    """
    several = several_datasets([gain.panel for gain in found])
    shown = [name for name in CONTRASTS if any(name in gain.against for gain in found)]
    lines: list[list[Cell]] = []
    for gain in found:
        for share, episodes in zip(gain.x.tolist(), gain.episodes.tolist(), strict=True):
            changes = [gain.against[n].at(share) if n in gain.against else None for n in shown]
            if not any(changes):
                continue
            verdict, control = gain.verdict(share)
            note = f"against {control}" if verdict != "gain" and control else ""
            lines.append(
                [
                    text_cell(place_name(gain.panel, several)),
                    text_cell(display.method(gain.label)),
                    Cell(
                        f"{100 * share:.3g}%",
                        share,
                        "" if np.isnan(episodes) else episodes_text(episodes),
                    ),
                    *(interval_cell(change, 1, sign=True) for change in changes),
                    Cell(verdict or DASH, verdict, note),
                ]
            )
    columns = [
        Column("Target", False),
        Column("Method", False),
        Column("Target data", hint="share of the dataset"),
        *(Column(f"Minus {name}", hint="difference in score") for name in shown),
        Column("Verdict", False, "the worst of the verdicts against single controls"),
    ]
    caption = (
        f"Models {what}: their normalised score minus that of the same method under a control, "
        "paired by seed and network: mean [95% interval]. Gain: the interval is above zero and not "
        f"below {MATTERS:g} point. No gain: a wider interval, corrected for the number of "
        f"comparisons with controls, is below {MATTERS:g} point. Loss: that is below zero. "
        "The verdict is the worst against any control that was run, which is named "
        f"({', '.join(CONTROLS)}): a gain over training from scratch alone may come from more "
        "updates, or from networks that merely stay as they are. The difference from a model that "
        "was not tuned is what the target's data add. A mean is over all targets where the control "
        "was run."
    )
    return Table(f"Gain from pre-training, {how}", caption, columns, lines)


def focus_table(
    curves: Sequence[FewShotCurve],
    focus: str,
    rng: np.random.Generator,
    display: Display,
    how: str,
    mean: str,
) -> Table | None:
    """Task x other method: score of the focus method minus that of the other, at each share.

    The controls of the focus method are left out, because `gain_table` has them.

    Args:
        curves: Curves of every target.
        focus: Label of the focus method.
        rng: Source of bootstraps.
        display: Names of methods.
        how: What models are carried across, for the title.
        mean: Name of the mean over targets.

    Returns:
        The table; None if the method was not run, or no other one was beside it.
    """
    controls = {f"{focus} ({name})" for name in CONTRASTS}
    mine = {c.panel: c for c in curves if c.label == focus}
    others = [c for c in curves if c.panel in mine and c.label not in {focus, *controls}]
    found: list[tuple[Panel, str, Difference | None]] = [
        (c.panel, c.label, difference(mine[c.panel], c, rng)) for c in others
    ]
    for label, group in grouped(others, lambda c: c.label):
        pairs = [(mine[c.panel], c) for c in group]
        found.append(((mean, ""), label, mean_difference(pairs, rng)))
    compared = [(panel, label, change) for panel, label, change in found if change is not None]
    if not compared:
        return None
    several = several_datasets([panel for panel, _, _ in compared])
    shares = sorted({x for _, _, change in compared for x in change.leads})
    name = display.method(focus)
    lines = [
        [
            text_cell(place_name(panel, several)),
            text_cell(display.method(label)),
            *(versus.difference_cell(change.at(share)) for share in shares),
        ]
        for panel, label, change in compared
    ]
    columns = [
        Column("Target", False),
        Column(f"{name} minus", False),
        *(Column(f"{100 * share:.3g}%", hint="share of target data") for share in shares),
    ]
    caption = (
        f"Normalised score of {name} minus that of each other method with as much data, "
        f"{versus.PAIRED} A mean is over all targets that have both methods."
    )
    return Table(f"Differences from {name}, {how}", caption, columns, lines, folded=True)
