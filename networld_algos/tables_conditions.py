"""Tables of ablations, robustness, cost, reference policies and diagnostics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from networld_algos.plot_style import display, factor_name, level_text
from networld_algos.scoring import Condition, Reference
from networld_algos.summary import Final
from networld_algos.table import (
    DASH,
    SCORE_HINT,
    Cell,
    Column,
    Table,
    interval_cell,
    number_cell,
    panel_name,
    several_datasets,
    text_cell,
)
from networld_algos.tables import verdict
from networld_algos.variations import AblationChange, Response

PARAMETERS = "parameters"
ONE_AGENT_MS = "decision_ms_one_agent"
"""Keys of `Row.extra` that the cost table shows."""


def ablations(found: Sequence[AblationChange]) -> Table:
    """Task x ablation: score, score of the whole method, and the paired change."""
    several = several_datasets([a.panel for a in found])
    lines = [
        [
            text_cell(panel_name(a.panel, several)),
            text_cell(display(a.label)),
            interval_cell(a.score, 1),
            interval_cell(a.base, 1),
            interval_cell(a.change, 1, sign=True),
            text_cell(verdict(a.change)),
        ]
        for a in found
    ]
    columns = [
        Column("Task", False),
        Column("Ablation", False),
        Column("Score", hint=SCORE_HINT),
        Column("Unablated", hint="score of the whole method over the same seeds"),
        Column("Change", hint="ablation minus whole method, paired by seed"),
        Column("Verdict", False),
    ]
    caption = (
        "Normalised score of each ablation beside the whole method, and their difference paired "
        "by training seed, mean [95% interval]. Gain or loss: the interval excludes zero. "
        "No correction is made for the number of ablations."
    )
    return Table("Ablations", caption, columns, lines)


def robustness(found: Sequence[Response]) -> Table:
    """Task x method: score at each level of one factor."""
    factor = found[0].factor
    levels = sorted({level for r in found for level in r.levels})
    several = several_datasets([r.panel for r in found])
    lines = []
    for r in found:
        at = dict(zip(r.levels, r.points, strict=True))
        lines.append(
            [
                text_cell(panel_name(r.panel, several)),
                text_cell(display(r.label)),
                *(interval_cell(at.get(level), 1) for level in levels),
                interval_cell(r.change, 1, sign=True),
            ]
        )
    columns = [Column("Task", False), Column("Method", False)]
    columns += [Column(level_text(factor, level), hint=SCORE_HINT) for level in levels]
    columns += [Column("First to last", hint="change in score, paired by seed")]
    caption = (
        f"{factor_name(factor)}: normalised score at each level, mean [95% interval] over "
        "training seeds, and the change from the first to the last level, paired by seed."
    )
    tasks = ", ".join(dict.fromkeys(r.panel[0].upper() for r in found))
    return Table(f"{factor_name(factor)}: {tasks}", caption, columns, lines)


def cost(finals: Sequence[Final]) -> Table:
    """Task x method x decision setting: score, latency, bytes, parameters, training time."""
    several = several_datasets([f.panel for f in finals])
    lines: list[list[Cell]] = []
    for f in finals:
        lines.append(
            [
                text_cell(panel_name(f.panel, several)),
                text_cell(display(f.label)),
                _condition_cell(f.condition),
                interval_cell(f.score, 1),
                number_cell(f.latency_p50_ms, 1),
                number_cell(f.extra.get(ONE_AGENT_MS), 2),
                number_cell(f.bytes_per_step, 0),
                number_cell(f.extra.get(PARAMETERS), 0),
                number_cell(f.train_seconds, 0),
            ]
        )
    columns = [
        Column("Task", False),
        Column("Method", False),
        Column("Setting", False, "what differs from the decisions of the comparison"),
        Column("Score", hint=SCORE_HINT),
        Column("Latency p50 (ms)", hint="one decision of the whole batch"),
        Column("One agent (ms)", hint="one decision of one agent alone"),
        Column("Sent (B)", hint="bytes sent per agent and decision"),
        Column("Parameters"),
        Column("Training (s)"),
    ]
    caption = (
        "What a score costs: median decision time, bytes sent per agent and decision, trainable "
        "parameters, wall-clock training time; medians over training seeds."
    )
    return Table("Cost", caption, columns, lines)


def references(policies: Mapping[Condition, Mapping[str, Sequence[Reference]]]) -> Table:
    """Every reference policy under every condition: reward, score, latency."""
    several = len(policies) > 1
    lines = [
        [
            text_cell(task.upper()),
            text_cell(p.label),
            text_cell(p.role),
            *([_condition_cell(condition)] if several else []),
            interval_cell(p.reward, 3),
            interval_cell(p.score, 1),
            Cell(str(p.reward.count), float(p.reward.count)),
            number_cell(p.latency_p50_ms, 1),
        ]
        for condition, by_task in policies.items()
        for task, group in by_task.items()
        for p in group
    ]
    columns = [
        Column("Task", False),
        Column("Policy", False),
        Column("Role", False),
        *([Column("Condition", False)] if several else []),
        Column("Average reward"),
        Column("Score"),
        Column("Episodes"),
        Column("Latency p50 (ms)"),
    ]
    caption = "Reference policies: mean [95% t interval] over evaluation episodes."
    return Table("Reference policies", caption, columns, lines)


def health(found: Sequence[tuple[str, Final]]) -> Table | None:
    """Diagnostics of every method, one column a quantity; None where none was recorded."""
    shown_elsewhere = (PARAMETERS, ONE_AGENT_MS)
    keys = dict.fromkeys(k for _, f in found for k in f.extra if k not in shown_elsewhere)
    several = several_datasets([f.panel for _, f in found])
    lines = [
        [
            text_cell(experiment),
            text_cell(panel_name(f.panel, several)),
            text_cell(display(f.label)),
            *(number_cell(f.extra.get(key), None) for key in keys),
        ]
        for experiment, f in found
        if any(key in f.extra for key in keys)
    ]
    if not lines:
        return None
    columns = [Column(name, False) for name in ("Experiment", "Task", "Method")]
    columns += [Column(key) for key in keys]
    caption = "Diagnostics recorded with the final evaluation."
    return Table("Diagnostics", caption, columns, lines, folded=True)


def _condition_cell(condition: Condition) -> Cell:
    factor, level = condition
    if factor is None or level is None:
        return Cell(DASH, "")
    text = f"{factor_name(factor)} {level_text(factor, level)}"
    return Cell(text, f"{factor} {level:012.4f}")
