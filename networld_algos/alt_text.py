"""What a report says in words: a sentence on pre-training, descriptions of the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from networld_algos.fewshot import FewShotCurve, Gain
from networld_algos.plot_style import display
from networld_algos.stats import Floats
from networld_algos.summary import Curve, Final
from networld_algos.table import episodes_text, interval_text, panel_name
from networld_algos.tables import verdict
from networld_algos.variations import AblationChange, Response

FEW_EPISODES = 5
"""Most target episodes that `gain_sentence` speaks of."""


def describe_curves(curves: Sequence[Curve]) -> str:
    """Alternative text of the comparison figure."""
    ends = [
        f"{display(c.label)} {c.points[-1].value:.3g} on {c.panel[0].upper()}"
        f" ({c.panel[1] or 'no dataset'})"
        for c in curves
    ]
    return (
        "Line charts of average reward against gradient updates, one panel a task. At the last "
        f"checkpoint: {'; '.join(ends)}."
    )


def describe_scores(finals: Sequence[Final]) -> str:
    """Alternative text of the score figure."""
    scores = [
        f"{display(f.label)} {interval_text(f.score, 1)} on {panel_name(f.panel, True)}"
        for f in finals
        if f.score is not None
    ]
    return f"Interval chart of normalised scores, mean and 95% interval: {'; '.join(scores)}."


def describe_fewshot(curves: Sequence[FewShotCurve]) -> str:
    """Alternative text of the few-shot figure."""
    ends = [
        f"{display(c.label)} on {c.panel[0]}: {c.points[0].value:.0f} at {100 * c.x[0]:.3g}%, "
        f"{c.points[-1].value:.0f} at {100 * c.x[-1]:.3g}%"
        for c in curves
    ]
    return (
        "Line charts of normalised score against the share of target data on a log axis. "
        f"{'; '.join(ends)}."
    )


def describe_profiles(
    groups: Mapping[str, Mapping[str, tuple[Floats, Floats, Floats]]], thresholds: Floats
) -> str:
    """Alternative text of the profile figure."""
    at = int(np.searchsorted(thresholds, 80.0))
    shares = [
        f"{display(label)} {100 * p[0][at]:.0f}%" + (f" ({name})" if len(groups) > 1 else "")
        for name, profiles in groups.items()
        for label, p in profiles.items()
    ]
    return (
        "Performance profiles. Share of runs with a normalised score above "
        f"{thresholds[at]:.0f}: {'; '.join(shares)}."
    )


def describe_ablations(found: Sequence[AblationChange]) -> str:
    """Alternative text of the forest plot."""
    changes = [
        f"{display(a.label)} {interval_text(a.change, 1)} on {panel_name(a.panel, True)}"
        for a in found
    ]
    return (
        "Forest plot of the change in normalised score when one part is changed, mean and 95% "
        f"interval: {'; '.join(changes)}."
    )


def describe_responses(found: Sequence[Response]) -> str:
    """Alternative text of a robustness or cost figure."""
    ends = [
        f"{display(r.label)} on {panel_name(r.panel, True)}: {r.points[0].value:.0f} at "
        f"{r.levels[0]:g}, {r.points[-1].value:.0f} at {r.levels[-1]:g}"
        for r in found
    ]
    factor = found[0].factor.replace("_", " ") if found else "nothing"
    return f"Charts of normalised score as {factor} varies. {'; '.join(ends)}."


def gain_sentence(gains: Sequence[Gain]) -> str:
    """Says in a sentence whether pre-training helps with very few episodes."""
    cases = [
        (f"{panel_name(g.panel, False)} ({episodes_text(n)})", verdict(change))
        for g in gains
        for n, change in zip(g.episodes.tolist(), g.points, strict=True)
        if n <= FEW_EPISODES
    ]
    start = f"With at most {FEW_EPISODES} target episodes, pre-training shows"
    if not cases:
        return f"No few-shot run had {FEW_EPISODES} or fewer target episodes."
    verdicts = [found for _, found in cases]
    if set(verdicts) == {"one seed"}:
        return "Each few-shot result is of one training seed, which cannot tell a gain from chance."
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
    return text + ". A gain or loss is an interval over paired seeds that excludes zero."
