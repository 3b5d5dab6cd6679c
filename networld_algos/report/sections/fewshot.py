"""Section "Few-shot adaptation": score against data, and the gain from pre-training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from networld_algos.report.axes import (
    arranged,
    grid,
    legend,
    limits,
    lines,
    reference_lines,
    title,
)
from networld_algos.report.scoring import Panel, Reference, grouped
from networld_algos.report.sections import fewshot_curves
from networld_algos.report.sections.comparison_figures import principal, scale_ends
from networld_algos.report.sections.fewshot_curves import FewShotCurve, Gain
from networld_algos.report.sections.fewshot_reach import (
    TARGETS,
    has_all_data,
    reach_cell,
    reach_text,
    reaches,
)
from networld_algos.report.source import Section, Source
from networld_algos.report.style import Look, drawing
from networld_algos.report.summary import quality
from networld_algos.report.table import (
    Cell,
    Column,
    Table,
    episodes_text,
    interval_cell,
    panel_name,
    several_datasets,
    text_cell,
    verdict,
)
from networld_algos.results.display import Display
from networld_algos.results.rows import QUALITIES, SCRATCH
from networld_algos.results.stats import MATTERS
from networld_algos.results.text import capital

FEW_EPISODES = 5
"""`gain_sentence` covers results with at most this many target episodes."""
KINDS = {
    "fewshot": ("across layers", "pre-trained on the other tasks"),
    "deployments": ("across deployments", "trained on the task's default deployment"),
}
"""Experiment -> what a model is carried across, and what it was before."""
MEANS = {"fewshot": "mean over tasks", "deployments": "mean over deployments"}
"""Experiment -> name of the panel with the mean."""


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
        titled = [
            replace(c, panel=(capital(KINDS[name][0]), ""))
            for name, curves in means.items()
            for c in curves
        ]
        figures = [figure(titled, source.references, source.look, c) for c in (None, 1)]
        caption = (
            "Normalised score against the episodes of the target, mean over the tasks or "
            f"deployments that every method has ({_shared(found)}). Models are "
            + "; ".join(f"{how}: {what}" for how, what in KINDS.values())
            + f". {BANDS}"
        )
        alt = describe(titled, source.display)
        section.parts.append(source.picture("fewshot_summary", figures, alt, caption))
    findings = []
    for name, curves in found.items():
        averaged = means[name] if means[name] is not curves else []
        _add_kind(section, source, name, curves, averaged)
        gains = fewshot_curves.pretraining_gains(curves, source.rng(name, "gains"))
        if gains:
            findings.append(f"{capital(KINDS[name][0])}: {_lower(gain_sentence(gains))}")
            section.parts.append(gain_table(gains, source.display, name))
        if finding := reach_sentence(curves, source.focus, source.display):
            findings.append(finding)
    section.finding = " ".join(findings)
    return section


def _mean(curves: list[FewShotCurve], source: Source, name: str) -> list[FewShotCurve]:
    """Means over the panels that have every method; ``curves`` itself if there is one panel."""
    if len({c.panel for c in curves}) == 1:
        return curves
    averaged = fewshot_curves.average_over_shared(curves, source.rng(name, "average"))
    return [replace(c, panel=(MEANS[name], "")) for c in averaged]


def make_alone(source: Source) -> Section:
    """The section of rows that have deployments only; without content if `make` shows them."""
    if "fewshot" in source.experiments:
        return Section("fewshot", "Few-shot adaptation")
    return make(source)


BANDS = (
    "Lines: mean over training seeds. Bands: 95% interval, as in the tables. A horizontal line is "
    "a model that was not trained on the target."
)


def _add_kind(
    section: Section,
    source: Source,
    name: str,
    curves: Sequence[FewShotCurve],
    averaged: Sequence[FewShotCurve],
) -> None:
    drawn = [*curves, *averaged]
    figures = [figure(drawn, source.references, source.look, c) for c in (None, 1)]
    how, what = KINDS[name]
    section.parts.append(
        source.picture(
            name,
            figures,
            describe(drawn, source.display),
            f"{capital(how)}, from models {what}: normalised score at the end of training against "
            "the amount of target data. Smaller subsets lie inside larger ones. Where a part of "
            "the few episodes is held out, the score is that of the weights with the smallest "
            f"error on it. {BANDS} Lower tick labels: share of the dataset.",
        )
    )
    rng = source.rng(name, "reach")
    section.parts.append(score_table(drawn, source.display, how, rng))


def _shared(found: Mapping[str, Sequence[FewShotCurve]]) -> str:
    """Names of the panels that have every method of their kind."""
    names = []
    for curves in found.values():
        labels = {c.label for c in curves}
        groups = grouped(curves, lambda c: c.panel)
        whole = [panel for panel, group in groups if {c.label for c in group} == labels]
        several = several_datasets([c.panel for c in curves])
        shown = [panel for panel, _ in groups] if len(whole) < 2 else whole
        names += [place_name(panel, several) for panel in shown]
    return ", ".join(names)


def place_name(panel: Panel, several: bool) -> str:
    """Task and deployment, ``"RB, ring6"``; the quality of data too if there are ``several``."""
    elsewhere = quality(panel) not in QUALITIES
    return panel_name(panel, several or elsewhere).removesuffix("/expert")


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def figure(
    curves: Sequence[FewShotCurve],
    references: Mapping[str, Sequence[Reference]],
    look: Look,
    columns: int | None = None,
) -> Figure:
    """Normalised score against the amount of target data, log axis, one panel per task.

    Args:
        curves: From `fewshot_curves`, with the averaged ones appended.
        references: Task -> policies; of the roles static and heuristic, only the best is shown.
            They are those of the default deployment, so panels of another one do not show them.
        look: From `networld_algos.report.style.styles`.
        columns: Panels per row.
    """
    panels = arranged([c.panel for c in curves])
    with drawing():
        fig, axes = grid(len(panels), columns, most=2 if len(panels) < 5 else 3)
        for ax, panel in zip(axes, panels, strict=False):
            mine = [c for c in curves if c.panel == panel]
            policies = principal(references.get(panel[0], ()))
            scored = [(p, p.score.value) for p in policies if p.score is not None]
            values = [p.value for c in mine for p in c.points]
            elsewhere = quality(panel) not in QUALITIES
            if references and (panel[0] not in references or elsewhere):
                scored = scale_ends(references)
            ax.set_xscale("log")
            limits(ax, [100.0, *values], values, [v for _, v in scored])
            lines(ax, _stretched(mine), look)
            reference_lines(fig, ax, scored)
            _share_ticks(ax, mine)
            name = place_name(panel, True) if panel[1] and elsewhere else None
            ax.set_title(name or title(panel, panels, look.display), loc="left")
            ax.set_ylabel("Normalised score")
        legend(fig, [c.label for c in curves], look, columns)
    return fig


def _stretched(curves: Sequence[FewShotCurve]) -> list[FewShotCurve]:
    """Constant curves as lines from the smallest to the largest share of the others."""
    shares = np.unique(np.concatenate([c.x for c in curves]))
    return [
        replace(c, x=shares, points=[c.points[0]] * len(shares)) if c.is_constant else c
        for c in curves
    ]


def _share_ticks(ax: Axes, curves: Sequence[FewShotCurve]) -> None:
    """Ticks at the measured shares, labelled with episodes above and shares below."""
    episodes = {float(x): float(n) for c in curves for x, n in zip(c.x, c.episodes, strict=True)}
    shares = sorted(episodes)
    counted = all(np.isfinite(list(episodes.values())))
    ticks = [f"{episodes[x]:.0f}\n{100 * x:.3g}%" if counted else f"{100 * x:.3g}%" for x in shares]
    ax.set_xticks(shares, ticks)
    ax.set_xticks([], minor=True)
    ax.set_xlabel("Target-task episodes, share of all" if counted else "Share of target data")
    ax.set_xlim(shares[0] / 1.25, shares[-1] * 1.25)


def score_table(
    curves: Sequence[FewShotCurve], display: Display, how: str, rng: np.random.Generator
) -> Table:
    """Task x method: score at each share, area under the curve, data to come near all data.

    Args:
        curves: From `fewshot_curves`, with the averaged ones appended.
        display: Names of methods.
        how: What models are carried across, for the title.
        rng: Source of bootstraps.
    """
    shares = sorted({float(x) for c in curves for x in c.x})
    several = several_datasets([c.panel for c in curves])
    order = list(dict.fromkeys(c.panel for c in curves))
    lines: list[list[Cell]] = []
    for c in sorted(curves, key=lambda c: order.index(c.panel)):
        at = {float(x): p for x, p in zip(c.x, c.points, strict=True)}
        lines.append(
            [
                text_cell(place_name(c.panel, several)),
                text_cell(display.method(c.label)),
                *(interval_cell(at.get(share), 1) for share in shares),
                interval_cell(c.area, 1),
                *(reach_cell(found, c) for found in reaches(c, curves, rng)),
            ]
        )
    columns = [
        Column("Target", False),
        Column("Method", False),
        *(Column(f"{100 * share:.3g}%", hint="share of target data") for share in shares),
        Column("Area", hint="area under the curve over log share, in units of the score"),
        *(
            Column(f"Episodes to {100 * part:g}%", hint="of the score with all data, from scratch")
            for part in TARGETS
        ),
    ]
    caption = (
        "Normalised score at each share of target data: mean [95% interval] over training seeds "
        "and networks. Area: area under the curve over the logarithm of the share, which is its "
        "average height. "
        "Episodes to 90% and 95%: number at which the mean curve first reaches that share of what "
        "the same algorithm scores from scratch with all data, so a method that scores little with "
        "all data has little to reach; with a 95% bootstrap interval over seeds and networks, "
        "which is too narrow for few seeds."
    )
    return Table(f"Score by share of target data, {how}", caption, columns, lines)


def gain_table(found: Sequence[Gain], display: Display, kind: str = "fewshot") -> Table:
    """Task x share: gain from pre-training over the same method from scratch.

    Args:
        found: From `pretraining_gains`.
        display: Names of methods.
        kind: Key in `KINDS`.
    """
    how, what = KINDS[kind]
    several = several_datasets([g.panel for g in found])
    lines = [
        [
            text_cell(place_name(g.panel, several)),
            text_cell(display.method(g.label)),
            Cell(f"{100 * share:.3g}%", share, episodes_text(episodes)),
            interval_cell(change, 1, sign=True),
            text_cell(verdict(change)),
        ]
        for g in found
        for share, episodes, change in zip(g.x.tolist(), g.episodes.tolist(), g.points, strict=True)
    ]
    columns = [
        Column("Target", False),
        Column("Method", False),
        Column("Target data", hint="share of the dataset"),
        Column("Gain", hint="pre-trained minus from scratch, paired by seed and network"),
        Column("Verdict", False),
    ]
    caption = (
        f"Gain of models {what}: normalised score with pre-training minus score "
        "from scratch, paired by seed and network: mean [95% interval]."
    )
    return Table(f"Gain from pre-training, {how}", caption, columns, lines)


def describe(curves: Sequence[FewShotCurve], display: Display) -> str:
    """Alternative text of the few-shot figure."""
    ends = [
        f"{display.method(c.label)} on {place_name(c.panel, True)}: {c.points[0].value:.0f} at "
        f"{100 * c.x[0]:.3g}%, {c.points[-1].value:.0f} at {100 * c.x[-1]:.3g}%"
        for c in curves
    ]
    return (
        "Line charts of normalised score against the share of target data on a log axis. "
        f"{'; '.join(ends)}."
    )


def reach_sentence(curves: Sequence[FewShotCurve], focus: str, display: Display) -> str:
    """How much data the focus method needs with and without pre-training, by target.

    Empty without a method that has a counterpart from scratch, trained on all data.
    """
    twins = {(c.panel, c.label): c for c in curves}
    both = {c.label for c in curves if (c.panel, c.label + SCRATCH) in twins}
    if not both:
        return ""
    label = focus if focus in both else sorted(both)[0]
    several = several_datasets([c.panel for c in curves])
    rng = np.random.default_rng(0)  # for the interval, which the sentence does not give
    parts = []
    for curve in (c for c in curves if c.label == label):
        scratch = twins.get((curve.panel, label + SCRATCH))
        if scratch is None or not has_all_data(scratch):
            continue
        tuned, new = (reach_text(reaches(c, curves, rng)[-1], c) for c in (curve, scratch))
        parts.append(f"{place_name(curve.panel, several)} {tuned}, from scratch {new}")
    if not parts:
        return ""
    return (
        f"To reach {100 * TARGETS[-1]:g}% of what training from scratch on all data scores, a "
        f"pre-trained {display.method(label)} needs: {'; '.join(parts)}."
    )


def gain_sentence(gains: Sequence[Gain]) -> str:
    """One sentence on whether pre-training helps with very few episodes."""
    several = several_datasets([g.panel for g in gains])
    cases = [
        (f"{place_name(g.panel, several)} ({episodes_text(n)})", verdict(change))
        for g in gains
        for n, change in zip(g.episodes.tolist(), g.points, strict=True)
        if n <= FEW_EPISODES
    ]
    start = f"With at most {FEW_EPISODES} target episodes, pre-training shows"
    if not cases:
        return f"No few-shot run had {FEW_EPISODES} or fewer target episodes."
    verdicts = [found for _, found in cases]
    if set(verdicts) == {"one seed"}:
        return "Few-shot results come from a single training seed, so a gain may be due to chance."
    gained = [case for case, found in cases if found == "gain"]
    lost = [case for case, found in cases if found == "loss"]
    text = f"{start} no gain over the same method from scratch in any of {len(cases)} cases"
    if gained:
        text = (
            f"{start} a gain over the same method from scratch in {len(gained)} of {len(cases)} "
            f"cases: {', '.join(gained)}"
        )
    if lost:
        text += f"; a loss in {len(lost)}: {', '.join(lost)}"
    return (
        f"{text}. It is a gain or loss if the interval excludes zero and is not within "
        f"{MATTERS:g} point of it."
    )
