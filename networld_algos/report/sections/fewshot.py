"""Section "Few-shot adaptation": score against data, and the gain from pre-training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from networld_algos.report.sections import fewshot_curves
from networld_algos.report.sections.fewshot_curves import FewShotCurve, place_name, shared_panels
from networld_algos.report.sections.fewshot_figures import describe, figure
from networld_algos.report.sections.fewshot_finding import (
    convergence_sentence,
    coverage_sentence,
    focus_sentence,
    transfer_sentence,
)
from networld_algos.report.sections.fewshot_pairs import Gain, gains
from networld_algos.report.sections.fewshot_tables import focus_table, gain_table, score_table
from networld_algos.report.source import Picture, Section, Source
from networld_algos.report.table import several_datasets
from networld_algos.results.text import capital

KINDS = {
    "fewshot": ("across layers", "pre-trained on the other tasks"),
    "deployments": ("across deployments", "trained on the task's default deployment"),
}
"""Experiment -> what a model is carried across, and what it was before."""
MEANS = {"fewshot": "mean over tasks", "deployments": "mean over deployments"}
"""Experiment -> name of the panel with the mean."""
POSITIVE_CONTROL = "deployments"
"""Where models should carry over: without a gain there, no gain elsewhere would mean little."""
BANDS = (
    "Lines: mean over training seeds. Bands: 95% interval, as in the tables. A horizontal line is "
    "a model that was not trained on the target."
)


def make(source: Source) -> Section:
    """Score against the amount of target data, across layers and across deployments."""
    section = Section("fewshot", "Few-shot adaptation")
    found = {
        name: fewshot_curves.fewshot_curves(
            source.rows, source.rng(name, "curves"), experiment=name
        )
        for name in KINDS
    }
    found = {name: curves for name, curves in found.items() if curves}
    if not found:
        return section
    means = {name: _mean(curves, source, name) for name, curves in found.items()}
    if len(found) > 1:
        section.parts.append(_summary(source, found, means))
    changes = {
        name: gains(curves, source.rng(name, "gains"), MEANS[name])
        for name, curves in found.items()
    }
    for name, curves in found.items():
        averaged = means[name] if means[name] is not curves else []
        _add_kind(section, source, name, curves, averaged, changes[name])
    section.finding = _finding(source, found, changes)
    return section


def _finding(
    source: Source,
    found: Mapping[str, Sequence[FewShotCurve]],
    changes: Mapping[str, Sequence[Gain]],
) -> str:
    """Whether pre-training helps in each kind, and what readers must know about that."""
    focus, display = source.focus, source.display
    wheres = {name: KINDS[name][0] for name in found}
    sentences = []
    for name, where in wheres.items():
        is_control = name == POSITIVE_CONTROL and len(found) > 1
        at = f"{where}, the positive control" if is_control else where
        sentences.append(transfer_sentence(changes[name], name, at, focus, display))
    curves = {where: found[name] for name, where in wheres.items()}
    by_where = {where: changes[name] for name, where in wheres.items()}
    sentences.append(focus_sentence(curves, by_where, focus, display))
    sentences.append(convergence_sentence([c for curves in found.values() for c in curves]))
    return " ".join(filter(None, sentences))


def make_alone(source: Source) -> Section:
    """The section of rows that have deployments only; without content if `make` shows them."""
    if "fewshot" in source.experiments:
        return Section("fewshot", "Few-shot adaptation")
    return make(source)


def _mean(curves: list[FewShotCurve], source: Source, name: str) -> list[FewShotCurve]:
    """Means over the panels that have every method; ``curves`` itself if there is one panel."""
    if len({c.panel for c in curves}) == 1:
        return curves
    averaged = fewshot_curves.average_over_shared(curves, source.rng(name, "average"))
    return [replace(c, panel=(MEANS[name], "")) for c in averaged]


def _summary(
    source: Source,
    found: Mapping[str, Sequence[FewShotCurve]],
    means: Mapping[str, Sequence[FewShotCurve]],
) -> Picture:
    """Both kinds in one figure, each as a mean over its targets."""
    titled = [
        replace(c, panel=(capital(KINDS[name][0]), ""))
        for name, curves in means.items()
        for c in curves
    ]
    draw = partial(figure, titled, source.references, source.look)
    kinds = ". ".join(
        f"{capital(KINDS[name][0])} (mean over {_places(curves)}), models are {KINDS[name][1]}"
        for name, curves in found.items()
    )
    caption = f"Normalised score against the episodes of the target. {kinds}. {BANDS}"
    alt = describe(titled, source.display)
    return source.picture("fewshot_summary", source.forms("fewshot_summary", draw), alt, caption)


def _places(curves: Sequence[FewShotCurve]) -> str:
    """``"CBF, dense; RB, ring6"``: the targets behind a mean."""
    several = several_datasets([c.panel for c in curves])
    return "; ".join(place_name(panel, several) for panel in shared_panels(curves))


def _add_kind(
    section: Section,
    source: Source,
    name: str,
    curves: Sequence[FewShotCurve],
    averaged: Sequence[FewShotCurve],
    changes: Sequence[Gain],
) -> None:
    """Append the figure and the tables of one kind."""
    drawn = [*curves, *averaged]
    draw = partial(figure, drawn, source.references, source.look)
    how, what = KINDS[name]
    caption = (
        f"{capital(how)}, from models {what}: normalised score at the end of training against "
        "the amount of target data. Smaller subsets lie inside larger ones. Where a part of "
        "the few episodes is held out, the score is that of the weights with the smallest "
        f"error on it. {BANDS} Lower tick labels: share of the dataset."
    )
    compared = {r.algorithm: None for r in source.rows if r.experiment == "comparison"}
    if coverage := coverage_sentence(curves, list(compared), source.display):
        caption += f" {coverage}"
    alt = describe(drawn, source.display)
    section.parts.append(source.picture(name, source.forms(name, draw), alt, caption))
    section.parts.append(score_table(drawn, source.display, how, source.rng(name, "reach")))
    if changes:
        section.parts.append(gain_table(changes, source.display, how, what))
    rng = source.rng(name, "versus")
    versus = focus_table(curves, source.focus, rng, source.display, how, MEANS[name])
    if versus is not None:
        section.parts.append(versus)
