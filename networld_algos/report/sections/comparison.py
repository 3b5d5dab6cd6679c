"""Section "Comparison": headline scores, learning curves, aggregates over tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from functools import partial

import numpy as np

from networld_algos.report import summary
from networld_algos.report.scoring import Panel, Reference, grouped
from networld_algos.report.sections import comparison_figures, comparison_tables, versus
from networld_algos.report.source import Section, Source
from networld_algos.report.summary import Curve, Final
from networld_algos.report.table import interval_text, panel_name
from networld_algos.report.verdicts import representatives
from networld_algos.results import stats
from networld_algos.results.aggregates import mean_interval
from networld_algos.results.display import Display
from networld_algos.results.profiles import performance_profile, profile_band
from networld_algos.results.stats import Floats, Interval
from networld_algos.results.text import minus

THRESHOLDS = np.linspace(0.0, 120.0, 61)


def make(source: Source) -> Section:
    """Headline scores, learning curves, aggregates over tasks."""
    section = Section("comparison", "Comparison")
    finals = source.finals("comparison")
    curves = source.curves("comparison")
    section.text.append(
        "The headline is the last checkpoint: the mean over training seeds, evaluated on test "
        "networks, with a 95% confidence interval. No number is a maximum over checkpoints, except "
        'in the column "Best checkpoint".'
    )
    if warning := comparison_tables.under_trained(finals, source.display):
        section.text.append(warning)
    if curves:
        drawn = summary.leading(curves, source.focus)
        policies = beside(drawn, source)
        figures = source.forms(
            "comparison",
            lambda columns: comparison_figures.comparison_figure(
                drawn, policies, source.look, columns, source.behaviours
            ),
        )
        caption = (
            "Average reward per agent and step during training. Lines: mean over training seeds. "
            "Bands: 95% interval, as in the tables. Horizontal lines: reference policies on the "
            "same networks (dotted: random; dashed: static and heuristic; solid: expert; dash-dot: "
            "genie, which has global or future knowledge"
            + ("; brown: the training data, on its own networks" if source.behaviours else "")
            + "). An arrow names a reference outside the range."
        )
        if len(drawn) < len(curves):
            caption += (
                " Only one variant of each algorithm is shown: the one with its plain name, or "
                "otherwise the best on average over panels."
            )
        if any(c.eval_seed_set == "validation" for c in drawn):
            caption += (
                " Curves are on validation networks where a method was evaluated on them more "
                "often than on test networks, so they may end at another value than the scores, "
                "which are on test networks."
            )
        section.parts.append(
            source.picture("comparison", figures, describe_curves(drawn, source.display), caption)
        )
    competing = representatives(finals, source.focus)
    add_scores(section, competing, "comparison", source)
    section.parts += versus.tables(source, "comparison")
    groups = summary.by_quality(finals)
    compete = {(f.panel, f.label) for f in competing}
    labels = {
        name: {f.label for f in group if (f.panel, f.label) in compete}
        for name, group in groups.items()
    }
    section.finding = finding(groups, labels, source.display)
    table = comparison_tables.aggregates(
        groups, source.rng("comparison", "aggregates"), source.display, source.focus
    )
    if table is not None:
        section.parts.append(table)
        _add_profiles(section, groups, labels, source)
    if finals:
        section.parts.append(comparison_tables.details(finals, source.display))
    return section


def beside(curves: Sequence[Curve], source: Source) -> dict[Panel, list[Reference]]:
    """The policies of each panel on the networks of most of its curves; none if not scored there.

    Networks differ in how much anybody can earn on them, so that lines of other networks would lie
    too high or too low.
    """
    by_set = {"test": source.references, "validation": source.validation_references}
    found: dict[Panel, list[Reference]] = {}
    for panel, group in grouped(curves, lambda c: c.panel):
        ((name, _),) = Counter(c.eval_seed_set for c in group).most_common(1)
        found[panel] = by_set[name].get(panel[0], [])
    return found


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
    figures = source.forms(
        f"{name}_scores",
        lambda columns: comparison_figures.score_figure(
            scored, source.look, columns, source.behaviours
        ),
    )
    caption = (
        "Normalised score of the last checkpoint. Marker: mean. Bar: 95% interval. Ticks: single "
        "training seeds. Dotted line: random (0). Solid line: expert (100). Bars may extend beyond "
        "the axes; an arrow gives a mean outside them"
    )
    caption += "; brown dashes: training data." if source.behaviours else "."
    section.parts.append(
        source.picture(f"{name}_scores", figures, describe_scores(scored, source.display), caption)
    )


def finding(
    groups: Mapping[str, Sequence[Final]], labels: Mapping[str, Container[str]], display: Display
) -> str:
    """The highest mean over all tasks, and its lead over the next, for each quality of the data.

    The lead is the mean over tasks of the paired differences, with its interval. Where the two have
    no seed in common, both means are given in its place.
    """
    parts: list[str] = []
    for name, finals in groups.items():
        means = {
            label: float(np.mean([scores.mean() for scores in panels]))
            for label, panels in summary.strata(finals).items()
            if label in labels[name]
        }
        first, *others = sorted(means, key=lambda label: -means[label]) or [""]
        if others:
            where = f" on {name} data" if len(groups) > 1 else ""
            second = display.method(others[0])
            lead = _lead(finals, first, others[0])
            if lead is None:
                by = f"ahead of {second} with {means[others[0]]:.1f}"
            else:
                by = f"{minus(interval_text(lead, 1))} more than {second}"
            parts.append(f"{display.method(first)}{where} ({means[first]:.1f}, {by})")
    if not parts:
        return ""
    return f"The highest mean score over all tasks is that of {', '.join(parts)}."


def _lead(finals: Sequence[Final], first: str, second: str) -> Interval | None:
    """Paired difference, mean over panels; None where the two share no seed."""
    at = {(f.panel, f.label): f for f in finals}
    pairs = [
        (panel[0], summary.pairs(at[panel, first], at[panel, second]))
        for panel in dict.fromkeys(f.panel for f in finals)
    ]
    tables = [(task, stats.seed_differences(both)) for task, both in pairs]
    return mean_interval(tables, np.random.default_rng(0), paired=True)


def _add_profiles(
    section: Section,
    groups: Mapping[str, Sequence[Final]],
    labels: Mapping[str, Container[str]],
    source: Source,
) -> None:
    rng = source.rng("comparison", "profiles")
    profiles = {
        name: {
            label: (
                performance_profile(scores, THRESHOLDS),
                *profile_band(scores, THRESHOLDS, rng),
            )
            for label, scores in summary.strata(finals).items()
            if label in labels[name]
        }
        for name, finals in groups.items()
    }
    profiles = {name: found for name, found in profiles.items() if found}
    draw = partial(comparison_figures.profile_figure, profiles, THRESHOLDS, source.look)
    section.parts.append(
        source.picture(
            "profiles",
            source.forms("profiles", draw),
            describe_profiles(profiles, THRESHOLDS, source.display),
            "Performance profiles over all tasks, one method for each algorithm: share of "
            "training runs whose score exceeds the value on the horizontal axis. Bands: pointwise "
            "95% stratified bootstrap. Curves further to the upper right are better. Vertical "
            "line: expert.",
        )
    )
