"""Section "Comparison": headline scores, learning curves, aggregates over tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from networld_algos.report import summary
from networld_algos.report.sections import comparison_figures, comparison_tables, versus
from networld_algos.report.source import Section, Source
from networld_algos.report.summary import Curve, Final
from networld_algos.report.table import interval_text, panel_name
from networld_algos.results import stats
from networld_algos.results.display import Display
from networld_algos.results.stats import Floats

THRESHOLDS = np.linspace(0.0, 120.0, 121)


def make(source: Source) -> Section:
    """Headline scores, learning curves, aggregates over tasks."""
    section = Section("comparison", "Comparison")
    finals = source.finals("comparison")
    curves = summary.learning_curves(source.rows, "comparison", source.rng("comparison", "curves"))
    section.text.append(
        "The headline is the last checkpoint: the mean over training seeds, evaluated on test "
        "seeds, with a 95% confidence interval. No number is a maximum over checkpoints, except in "
        'the column "Best checkpoint".'
    )
    if warning := comparison_tables.under_trained(finals, source.display):
        section.text.append(warning)
    if any(f.score is not None for f in finals):
        section.parts.append(comparison_tables.headline(finals, source.behaviours, source.display))
    if curves:
        drawn = summary.leading(curves, source.focus)
        figures = [
            comparison_figures.comparison_figure(
                drawn, source.references, source.look, c, source.behaviours
            )
            for c in (None, 1)
        ]
        caption = (
            "Average reward per agent and step during training. Lines: mean over training seeds. "
            "Bands: 95% interval, as in the tables. Horizontal lines: reference policies (dotted: "
            "random; dashed: static and heuristic; solid: expert; dash-dot: genie, which has "
            "global or future knowledge"
            + ("; brown: the training data" if source.behaviours else "")
            + "). An arrow names a reference outside the range."
        )
        if len(drawn) < len(curves):
            caption += (
                " Only one variant of each algorithm is shown: the one with its plain name, or "
                "otherwise the best on average over panels. The next figure shows all variants."
            )
        if any(c.eval_seed_set == "validation" for c in drawn):
            caption += " Curves of methods with a single test checkpoint use validation seeds."
        section.parts.append(
            source.picture("comparison", figures, describe_curves(drawn, source.display), caption)
        )
    add_scores(section, finals, "comparison", source)
    section.parts += versus.tables(source, "comparison")
    groups = summary.by_quality(finals)
    table = comparison_tables.aggregates(
        groups, source.rng("comparison", "aggregates"), source.display, source.focus
    )
    if table is not None:
        section.parts.append(table)
        _add_profiles(section, groups, source)
    if finals:
        section.parts.append(comparison_tables.details(finals, source.display))
    return section


def describe_curves(curves: Sequence[Curve], display: Display) -> str:
    """Alternative text of the comparison figure."""
    ends = [
        f"{display.method(c.label)} {c.points[-1].value:.3g} on {c.panel[0].upper()}"
        f" ({c.panel[1] or 'no dataset'})"
        for c in curves
    ]
    return (
        "Line charts of average reward against gradient updates, one panel per task. At the last "
        f"checkpoint: {'; '.join(ends)}."
    )


def describe_scores(finals: Sequence[Final], display: Display) -> str:
    """Alternative text of the score figure."""
    scores = [
        f"{display.method(f.label)} {interval_text(f.score, 1)} on {panel_name(f.panel, True)}"
        for f in finals
        if f.score is not None
    ]
    return f"Interval chart of normalised scores, mean and 95% interval: {'; '.join(scores)}."


def describe_profiles(
    groups: Mapping[str, Mapping[str, tuple[Floats, Floats, Floats]]],
    thresholds: Floats,
    display: Display,
) -> str:
    """Alternative text of the profile figure."""
    at = int(np.searchsorted(thresholds, 80.0))
    shares = [
        f"{display.method(label)} {100 * p[0][at]:.0f}%" + (f" ({name})" if len(groups) > 1 else "")
        for name, profiles in groups.items()
        for label, p in profiles.items()
    ]
    return (
        "Performance profiles. Share of runs with a normalised score above "
        f"{thresholds[at]:.0f}: {'; '.join(shares)}."
    )


def add_scores(section: Section, finals: Sequence[Final], name: str, source: Source) -> None:
    """Append the figure of normalised scores, if any method has one."""
    scored = [f for f in finals if f.score is not None]
    if not scored:
        return
    figures = [
        comparison_figures.score_figure(scored, source.look, c, source.behaviours)
        for c in (None, 1)
    ]
    caption = (
        "Normalised score of the last checkpoint. Marker: mean. Bar: 95% interval. Ticks: single "
        "training seeds. Dotted line: random (0). Solid line: expert (100). Bars may extend beyond "
        "the axes; an arrow gives a mean outside them"
    )
    caption += "; brown dashes: training data." if source.behaviours else "."
    section.parts.append(
        source.picture(f"{name}_scores", figures, describe_scores(scored, source.display), caption)
    )


def _add_profiles(section: Section, groups: dict[str, list[Final]], source: Source) -> None:
    rng = source.rng("comparison", "profiles")
    profiles = {
        name: {
            label: (
                stats.performance_profile(scores, THRESHOLDS),
                *stats.profile_band(scores, THRESHOLDS, rng),
            )
            for label, scores in summary.strata(finals).items()
        }
        for name, finals in groups.items()
    }
    profiles = {name: found for name, found in profiles.items() if found}
    wide = comparison_figures.profile_figure(profiles, THRESHOLDS, source.look)
    narrow = wide
    if len(profiles) > 1:
        narrow = comparison_figures.profile_figure(profiles, THRESHOLDS, source.look, 1)
    section.parts.append(
        source.picture(
            "profiles",
            (wide, narrow),
            describe_profiles(profiles, THRESHOLDS, source.display),
            "Performance profiles over all tasks: share of training runs whose score exceeds "
            "the value on the horizontal axis. Bands: pointwise 95% stratified bootstrap. Curves "
            "further to the upper right are better. Vertical line: expert.",
        )
    )
