"""Tables of the comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from networld_algos.report import training
from networld_algos.report.scoring import grouped
from networld_algos.report.summary import Final, network_strata, strata
from networld_algos.report.table import (
    DASH,
    FAILED_HINT,
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
from networld_algos.results import stats
from networld_algos.results.aggregates import (
    improvement_interval,
    mean_interval,
    paper_score,
    pooled_iqm,
)
from networld_algos.results.display import Display
from networld_algos.results.networks import FAILED_BELOW
from networld_algos.results.text import count

BOOTSTRAP_SEEDS = 10
"""Fewest seeds from which a bootstrap over seeds covers about what it says."""
MOST_NAMED = 6
"""Most under-trained results that a sentence names."""


def details(finals: Sequence[Final], display: Display) -> Table:
    """(Task, dataset) x method: score, single networks, reward, what training took, latency."""
    several = several_datasets([f.panel for f in finals])
    lines = [
        [
            text_cell(panel_name(f.panel, several)),
            text_cell(display.method(f.label)),
            interval_cell(f.score, 1),
            number_cell(f.median, 1),
            number_cell(f.failed_percent, 1),
            interval_cell(f.reward, 3),
            Cell(str(f.reward.seeds), float(f.reward.seeds)),
            number_cell(f.updates, 0),
            number_cell(f.epochs, None),
            number_cell(None if f.train_seconds is None else f.train_seconds / 60, 1),
            _rise_cell(f),
            number_cell(f.latency_p50_ms, 1),
            number_cell(f.latency_p99_ms, 1),
            number_cell(f.bytes_per_step, 0),
            interval_cell(f.best_score, 1, starred=f.best_by == "test"),
        ]
        for f in finals
    ]
    columns = [
        Column("Task", False),
        Column("Method", False),
        Column("Score", hint=SCORE_HINT),
        Column("Median", hint="median score over all networks of all seeds"),
        Column("Failed (%)", hint=FAILED_HINT),
        Column("Average reward", hint="per agent and step, mean [95% interval]"),
        Column("Seeds"),
        Column("Updates", hint="gradient steps"),
        Column("Epochs", hint="transitions seen over transitions in the data"),
        Column("Training (min)"),
        Column("Last quarter", hint=f"rise of the score: {training.DEFINITION}"),
        Column("Latency p50 (ms)", hint="one decision of the whole batch"),
        Column("Latency p99 (ms)", hint="one decision of the whole batch"),
        Column("Sent (B)", hint="bytes sent per agent and step"),
        Column("Best checkpoint", hint="secondary: score of the best checkpoint"),
    ]
    caption = (
        "Last checkpoint of every method: normalised score and average reward, mean [95% "
        "confidence interval] over training seeds and networks. Median and failed: over all "
        f"networks of all seeds; a method fails where it scores less than {FAILED_BELOW:g}. "
        "The best checkpoint is chosen on validation networks or, where marked *, on the test "
        "networks themselves, which is "
        "optimistic; a dash where test networks were scored only once. Updates, "
        "epochs (transitions seen over transitions in the data) and minutes: medians over seeds. "
        f"Last quarter: {training.DEFINITION}. A result whose score rises by more than "
        f"{training.RISE:g} point is under-trained. A dash: not recorded, or too few evaluations."
    )
    return Table(
        "Medians, failed networks, rewards, training", caption, columns, lines, folded=True
    )


def _rise_cell(final: Final) -> Cell:
    cell = interval_cell(final.rise, 1, sign=True)
    if final.is_under_trained:
        return replace(cell, strong=True, mark="under-trained")
    return cell


def under_trained(finals: Sequence[Final], display: Display) -> str:
    """A sentence that names the under-trained results; empty if no result is known to be one."""
    known = [f for f in finals if f.rise is not None]
    found = [f for f in known if f.is_under_trained]
    if not found:
        return ""
    several = several_datasets([f.panel for f in finals])
    names = [f"{display.method(f.label)} on {panel_name(f.panel, several)}" for f in found]
    named = ", ".join(names[:MOST_NAMED])
    if len(names) > MOST_NAMED:
        named += f" and {len(names) - MOST_NAMED} more, which the tables mark"
    return (
        f"{len(found)} of {len(known)} results are under-trained: their score still rises by more "
        f"than {training.RISE:g} point over the last quarter of the training, so what they show is "
        f"in part their budget. They are {named}."
    )


def aggregates(
    groups: Mapping[str, Sequence[Final]],
    rng: np.random.Generator,
    display: Display,
    focus: str = "",
) -> Table | None:
    """Over all tasks: IQM, mean, probability that ``focus`` is better, min-max score.

    Args:
        groups: Quality of the data -> final scores, from
            `networld_algos.report.summary.by_quality`.
        rng: Source of the bootstrap.
        display: Names of methods.
        focus: Label of the focus method; the first one if it is not scored on all tasks.

    Returns:
        The table; None if fewer than two methods are scored on all tasks.
    """
    labels = [label for finals in groups.values() for label in strata(finals)]
    against = focus if focus in labels else next(iter(labels), "")
    lines: list[list[Cell]] = []
    fewest = min((f.reward.seeds for finals in groups.values() for f in finals), default=0)
    for name, finals in groups.items():
        scores, tables = strata(finals), network_strata(finals)
        if len(scores) < 2:
            continue
        by_task = {
            label: [(f.panel[0], f.by_seed) for f in group]
            for label, group in grouped(finals, lambda f: f.label)
        }
        means = {
            panel: {f.label: f.reward.value for f in group}
            for panel, group in grouped(finals, lambda f: f.panel)
        }
        paper = paper_score(means)
        for label, mine in scores.items():
            improvement = Cell(DASH, None)
            if label != against and against in scores:
                found = improvement_interval(scores[against], mine, rng)
                improvement = interval_cell(found, 2)
            lines.append(
                [
                    *([text_cell(name)] if len(groups) > 1 else []),
                    text_cell(display.method(label)),
                    interval_cell(stats.network_bootstrap(tables[label], pooled_iqm, rng), 1),
                    interval_cell(mean_interval(by_task[label], rng), 1),
                    improvement,
                    number_cell(paper.get(label), 1),
                ]
            )
    if not lines:
        return None
    columns = [
        *([Column("Data", False)] if len(groups) > 1 else []),
        Column("Method", False),
        Column("IQM score", hint="mean of the middle half of all runs"),
        Column("Mean score"),
        Column(f"P({display.method(against)} better)", hint="ties count half"),
        Column("paper_score", hint="min-max across these methods, secondary"),
    ]
    caption = (
        "Over all tasks: interquartile mean (IQM) of the normalised scores of all runs, mean over "
        "tasks with the 95% interval of single results, and probability that a run of "
        f"{display.method(against)} beats a run of the method. The IQM and the probability have a "
        "stratified bootstrap 95% interval. paper_score (min-max across methods, averaged over "
        "tasks) depends on which methods are compared."
    )
    if fewest < BOOTSTRAP_SEEDS:
        caption += f" With {count(fewest, 'seed')} per task, bootstrap intervals are too narrow."
    return Table("Over all tasks", caption, columns, lines)
