"""What the few-shot section says first: whether pre-training helps, and why that is believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from networld_algos.report.scoring import Panel, grouped
from networld_algos.report.sections.fewshot_curves import FewShotCurve, place_name
from networld_algos.report.sections.fewshot_pairs import Gain
from networld_algos.report.table import episodes_text, interval_text, several_datasets
from networld_algos.results.claims.paper import CONTROLS
from networld_algos.results.display import Display
from networld_algos.results.stats import ENOUGH_SEEDS
from networld_algos.results.text import capital, minus

SHARES = {"fewshot": 1 / 30, "deployments": 4 / 450}
"""Experiment -> share of the data that the finding is about: that of the claims about transfer."""
ANSWERS = {
    "gain": "pre-training helps {} more than its controls",
    "loss": "pre-training does less for {} than one of its controls",
    "harm": "pre-training hurts {}",
    "no gain": "pre-training does not help {} more than its controls",
    "undecided": "it is open whether pre-training helps {} more than its controls",
    "few seeds": f"fewer than {ENOUGH_SEEDS} training seeds do not show whether pre-training helps "
    "{}",
}
"""Worst verdict against any control -> what follows; ``"harm"`` is a loss to no pre-training."""


def transfer_sentence(
    found: Sequence[Gain], experiment: str, where: str, focus: str, display: Display
) -> str:
    """Whether pre-training helps with few data, by the control with the smallest lead.

    It is about the focus method or, if that has no controls here, about the first method that has
    some. Empty if no method has any.

    Args:
        found: From `networld_algos.report.sections.fewshot_pairs.gains`.
        experiment: Key in `SHARES`.
        where: What models are carried across.
        focus: Label of the focus method.
        display: Names of methods.
    """
    checked = [gain for gain in found if gain.has_controls]
    if not checked:
        return ""
    label = focus if any(gain.label == focus for gain in checked) else checked[0].label
    mine = [gain for gain in checked if gain.label == label]
    gain = next((gain for gain in mine if gain.is_mean), mine[0])
    wanted = np.log(SHARES[experiment])
    share = float(min(gain.x.tolist(), key=lambda x: abs(np.log(x) - wanted)))
    answer, control = gain.verdict(share)
    if not answer:
        return ""
    scratch = gain.against.get(CONTROLS[0])
    if scratch is not None and share in scratch.leads and scratch.leads[share].verdict == "loss":
        answer = "harm"
    name = display.method(label)
    count = float(gain.episodes[gain.x.tolist().index(share)])
    data = f"{100 * share:.3g}% of the data" if np.isnan(count) else episodes_text(count)
    text = f"{capital(where)}, {ANSWERS[answer].format(name)}: with {data}, its lead is "
    text += f"{_leads(gain, share, control)}."
    if missing := [control for control in CONTROLS if control not in gain.against]:
        others = " or ".join(map(_words, missing))
        text += f" These rows do not compare it with {others}, so the cause is open."
    return text


def _leads(gain: Gain, share: float, decides: str) -> str:
    """The leads over the first control and over the one that decides.

    ``"+9.1 [7.0, 11.2] over training from scratch and ..., on average over 3 targets"``.
    """
    found = [
        (control, of, lead)
        for control in CONTROLS
        if control in (CONTROLS[0], decides)
        and (of := gain.against.get(control)) is not None
        and (lead := of.at(share)) is not None
    ]
    counts = {of.panels for _, of, _ in found}
    parts = []
    for control, of, lead in found:
        text = f"{_signed(interval_text(lead, 1))} over {_words(control)}"
        parts.append(text if len(counts) == 1 else f"{text} ({of.panels} targets)")
    text = " and ".join(parts)
    if not gain.is_mean:
        return f"{text} ({place_name(gain.panel, False)})"
    return text if len(counts) > 1 else f"{text}, on average over {counts.pop()} targets"


def _signed(text: str) -> str:
    return minus(text if text.startswith("-") else f"+{text}")


def _words(control: str) -> str:
    """A control as a noun."""
    words = {
        "from scratch": "training from scratch",
        "random frozen": "random frozen networks",
        "shuffled pre-training": "pre-training on shuffled data",
    }
    return words[control]


def focus_sentence(
    curves: Mapping[str, Sequence[FewShotCurve]],
    found: Mapping[str, Sequence[Gain]],
    focus: str,
    display: Display,
) -> str:
    """Where the focus method was not run, or lacks the controls that another method has.

    Args:
        curves: What models are carried across -> curves.
        found: The same -> gains.
        focus: Label of the focus method.
        display: Names of methods.
    """
    absent = [where for where in curves if all(c.label != focus for c in curves[where])]
    checked = {where: {g.label for g in found[where] if g.has_controls} for where in found}
    bare = [
        w for w, labels in checked.items() if w not in absent and labels and focus not in labels
    ]
    parts = [f"was not run {' or '.join(absent)}"] if absent else []
    parts += [f"has no controls {' or '.join(bare)}"] if bare else []
    return f"{display.method(focus)} {' and '.join(parts)}." if focus and parts else ""


def convergence_sentence(curves: Sequence[FewShotCurve]) -> str:
    """How many trainings had converged; empty if rows do not say it."""
    counts = [count for c in curves for count in c.converged.values()]
    converged, known = sum(c for c, _ in counts), sum(n for _, n in counts)
    if not known:
        return ""
    if converged == known:
        return f"All {known} trainings converged."
    return (
        f"Of {known} trainings, {known - converged} had not converged when they reached their "
        "largest number of updates (↑ in the tables)."
    )


def coverage_sentence(
    curves: Sequence[FewShotCurve], compared: Sequence[str], display: Display
) -> str:
    """Methods of the comparison that were not run here, or on some targets only, and why.

    Args:
        curves: Curves of every target.
        compared: Algorithms of the comparison.
        display: Names of methods.
    """
    here = {c.algorithm for c in curves}
    parts = []
    if missing := [display.method(name) for name in compared if name not in here]:
        parts.append(f"Not run here: {', '.join(missing)}.")
    every = list(dict.fromkeys(c.panel for c in curves))
    several = several_datasets(every)
    for panels, labels in grouped(_partly(curves), lambda label: _panels(curves, label)):
        places = "; ".join(place_name(panel, several) for panel in every if panel in panels)
        names = ", ".join(map(display.method, labels))
        parts.append(f"Only on {len(panels)} of {len(every)} targets ({places}): {names}.")
    if not parts:
        return ""
    why = (
        "The reason is cost: each method needs a training of its own for every target, share and "
        "seed."
    )
    return " ".join([*parts, why])


def _panels(curves: Sequence[FewShotCurve], label: str) -> frozenset[Panel]:
    return frozenset(c.panel for c in curves if c.label == label)


def _partly(curves: Sequence[FewShotCurve]) -> list[str]:
    """Labels that lack a target, without the controls of methods that lack it, too."""
    every = frozenset(c.panel for c in curves)
    algorithms = {c.label: c.algorithm for c in curves}
    partly = [label for label in algorithms if _panels(curves, label) != every]
    return [x for x in partly if x == algorithms[x] or algorithms[x] not in partly]
