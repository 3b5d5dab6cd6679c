"""The sections of a report, one function an experiment."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from networld_algos import (
    alt_text,
    fewshot,
    plots,
    plots_conditions,
    scoring,
    stats,
    summary,
    tables,
    tables_conditions,
    variations,
)
from networld_algos.plot_style import factor_name
from networld_algos.report_parts import Section, Source
from networld_algos.summary import Final
from networld_algos.variations import Response

THRESHOLDS = np.linspace(0.0, 120.0, 121)


def sections(source: Source) -> list[Section]:
    """Every section that has something to show, in the order of the page."""
    known = {
        "comparison": comparison,
        "fewshot": few_shot,
        "ablation": ablation,
        "robustness": robustness,
        "cost": cost,
    }
    found = [make(source) for name, make in known.items() if name in source.experiments]
    found += [other(source, name) for name in source.experiments if name not in known]
    return [s for s in [*found, references(source), health(source)] if s.parts]


def comparison(source: Source) -> Section:
    """Headline scores, learning curves, aggregates over tasks."""
    section = Section("comparison", "Comparison")
    finals = source.finals("comparison")
    curves = summary.learning_curves(source.rows, "comparison", source.rng)
    section.text.append(
        "The last checkpoint is the headline: mean over training seeds on test seeds, with a 95% "
        "confidence interval. No number here is a maximum over checkpoints, except in the column "
        "that says so."
    )
    if any(f.score is not None for f in finals):
        section.parts.append(tables.headline(finals, source.behaviours))
    if curves:
        drawn = summary.leading(curves)
        figures = [
            plots.comparison_figure(drawn, source.references, source.look, c, source.behaviours)
            for c in (None, 1)
        ]
        caption = (
            "Average reward per agent and step during training. Lines: mean over training seeds; "
            "bands: 95% t interval over seeds. Horizontal lines: reference policies (dotted: "
            "random; dashed: static and heuristic; solid: expert; dash-dot: genie, which has "
            "global or future knowledge"
            + ("; brown: what the training data would score" if source.behaviours else "")
            + "). An arrow names a reference outside the range."
        )
        if len(drawn) < len(curves):
            caption += (
                " One variant of each algorithm: the one with its plain name, or else the best on "
                "average over panels; the next figure has all."
            )
        if any(c.eval_seed_set == "validation" for c in drawn):
            caption += " Curves of methods with one test checkpoint use validation seeds."
        section.parts.append(
            source.picture("comparison", figures, alt_text.describe_curves(drawn), caption)
        )
    _add_scores(section, finals, "comparison", source)
    groups = summary.by_quality(finals)
    table = tables.aggregates(groups, source.rng)
    if table is not None:
        section.parts.append(table)
        _add_profiles(section, groups, source)
    if finals:
        section.parts.append(tables.details(finals))
    return section


def few_shot(source: Source) -> Section:
    """Score against the amount of target data, and what pre-training adds."""
    section = Section("fewshot", "Few-shot adaptation")
    curves = fewshot.fewshot_curves(source.rows, source.rng)
    if not curves:
        return section
    averaged = fewshot.average_over_tasks(curves) if len({c.panel for c in curves}) > 1 else []
    drawn = [*curves, *averaged]
    figures = [plots.fewshot_figure(drawn, source.references, source.look, c) for c in (None, 1)]
    section.parts.append(
        source.picture(
            "fewshot",
            figures,
            alt_text.describe_fewshot(drawn),
            "Normalised score at the end of training against the amount of target-task data, in "
            "nested subsets; with early stopping, of the weights with the least loss on held-out "
            "episodes. Lines: mean over training seeds; bands: 95% t interval over seeds "
            "(last panel: over seeds averaged over tasks). Lower tick labels: share of the "
            "dataset.",
        )
    )
    section.parts.append(tables.fewshot(drawn))
    gains = fewshot.pretraining_gains(curves, source.rng)
    if gains:
        section.text.append(alt_text.gain_sentence(gains))
        section.parts.append(tables.gains(gains))
    return section


def ablation(source: Source) -> Section:
    """What each part of the method is worth."""
    section = Section("ablation", "Ablations")
    finals = source.finals("ablation")
    found = variations.ablations(finals, source.rng)
    if not found:
        section.text.append(
            "Differences need the whole method among the rows of this experiment, under the name "
            "of its algorithm, with at least one seed of each ablation."
        )
        section.parts.append(tables.details(finals))
        return section
    figures = [plots_conditions.ablation_figure(found, source.look, c) for c in (None, 1)]
    section.parts.append(
        source.picture(
            "ablations",
            figures,
            alt_text.describe_ablations(found),
            "Change in normalised score when one part of the method is taken out or replaced, "
            "paired by training seed. Marker: mean; bar: 95% interval. Left of the line: worse "
            "than the whole method.",
        )
    )
    section.parts += [tables_conditions.ablations(found), tables.details(finals)]
    return section


def robustness(source: Source) -> Section:
    """Score under conditions that the method was not trained for, one factor after another."""
    section = Section("robustness", "Robustness")
    section.text.append(
        "Models of the comparison, evaluated under other conditions without further training. "
        "Where the condition changes the environment (number of agents), random and expert of "
        "that same condition make the scale; lost or late messages leave the scale as it is."
    )
    found = variations.responses(source.finals("robustness"), source.rng)
    for factor, group in scoring.grouped(found, lambda r: r.factor):
        figures = [plots_conditions.robustness_figure(group, source.look, c) for c in (None, 1)]
        section.parts.append(
            source.picture(
                f"robustness_{_slug(factor)}",
                figures,
                alt_text.describe_responses(group),
                f"{factor_name(factor)}: normalised score, mean and 95% interval over training "
                "seeds. Solid line: expert (100).",
            )
        )
        section.parts += [tables_conditions.robustness(part) for part in _with_equal_levels(group)]
    return section


def cost(source: Source) -> Section:
    """Score against decision time, with bytes, parameters and training time."""
    section = Section("cost", "Cost")
    finals = source.finals("cost")
    settings = [f for f in finals if f.condition != scoring.PLAIN]
    panels = {f.panel for f in finals}
    fixed = [f for f in finals if f.condition == scoring.PLAIN]
    if not fixed:
        fixed = [f for f in source.finals("comparison") if f.panel in panels]
    found = variations.responses(settings, source.rng)
    if plots_conditions.timed_panels(found, fixed):
        factors = dict.fromkeys(factor_name(r.factor).lower() for r in found)
        figures = [plots_conditions.cost_figure(found, fixed, source.look, c) for c in (None, 1)]
        section.parts.append(
            source.picture(
                "cost",
                figures,
                alt_text.describe_responses(found),
                "Normalised score against the median time of one decision of the whole batch, on "
                f"a log axis. Lines: one decision setting varied ({', '.join(factors)}), its "
                "values beside the markers; single markers: methods as they decide in the "
                "comparison. Vertical bars: 95% interval over training seeds.",
            )
        )
    section.parts.append(tables_conditions.cost([*settings, *fixed]))
    return section


def other(source: Source, name: str) -> Section:
    """An experiment of the user's own: scores and details."""
    section = Section(_slug(name), name.replace("_", " ").capitalize())
    finals = source.finals(name)
    _add_scores(section, finals, _slug(name), source)
    if finals:
        section.parts.append(tables.details(finals))
    return section


def references(source: Source) -> Section:
    """Every reference policy under every condition."""
    section = Section("references", "Reference policies")
    policies = {c: scoring.references(source.rows, c) for c in scoring.conditions(source.rows)}
    if policies:
        section.parts.append(tables_conditions.references(policies))
        section.text.append(
            "A genie has global or future knowledge: an upper reference, not a competitor. "
            "Intervals are over evaluation episodes."
        )
    return section


def health(source: Source) -> Section:
    """Diagnostics that the final rows hold."""
    section = Section("health", "Health and further diagnostics")
    section.text.append(
        "Mean over training seeds of what each final row recorded beside its returns."
    )
    found = [(e, f) for e in source.experiments for f in source.finals(e) if f.extra]
    table = tables_conditions.health(found)
    section.parts += [] if table is None else [table]
    return section


def _with_equal_levels(found: Sequence[Response]) -> list[list[Response]]:
    """Responses by the levels their task has, so that a table has no empty columns."""
    levels: dict[str, set[float]] = {}
    for r in found:
        levels.setdefault(r.panel[0], set()).update(r.levels)
    return [part for _, part in scoring.grouped(found, lambda r: frozenset(levels[r.panel[0]]))]


def _add_scores(section: Section, finals: Sequence[Final], name: str, source: Source) -> None:
    scored = [f for f in finals if f.score is not None]
    if not scored:
        return
    figures = [plots.score_figure(scored, source.look, c, source.behaviours) for c in (None, 1)]
    caption = (
        "Normalised score of the last checkpoint. Marker: mean; bar: 95% interval; ticks: single "
        "training seeds. Dotted line: random (0); solid line: expert (100). Bars may leave the "
        "axes; an arrow names a mean outside"
    )
    caption += "; brown dashes: training data." if source.behaviours else "."
    section.parts.append(
        source.picture(f"{name}_scores", figures, alt_text.describe_scores(scored), caption)
    )


def _add_profiles(section: Section, groups: dict[str, list[Final]], source: Source) -> None:
    profiles = {
        name: {
            label: (
                stats.performance_profile(scores, THRESHOLDS),
                *stats.profile_band(scores, THRESHOLDS, source.rng),
            )
            for label, scores in summary.strata(finals).items()
        }
        for name, finals in groups.items()
    }
    profiles = {name: found for name, found in profiles.items() if found}
    wide = plots.profile_figure(profiles, THRESHOLDS, source.look)
    narrow = wide
    if len(profiles) > 1:
        narrow = plots.profile_figure(profiles, THRESHOLDS, source.look, 1)
    section.parts.append(
        source.picture(
            "profiles",
            (wide, narrow),
            alt_text.describe_profiles(profiles, THRESHOLDS),
            "Performance profiles over all tasks: share of training runs whose score exceeds "
            "the value on the axis. Bands: pointwise 95% stratified bootstrap. Further to "
            "the upper right is better; the vertical line is the expert.",
        )
    )


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower())
