"""Whether the numbers of a submission can be those of its trainings.

The committed rows of the reference policies and of the suite's own trainings are the yardstick.
A check of rows cannot prove that somebody trained a model. It finds mistakes, such as two seeds
that are one, and scores that do not follow from the returns beside them.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from networld_algos.bench.parts import FewShot
from networld_algos.bench.submission.budgets import (
    Budget,
    Data,
    Expected,
    Slot,
    budgets,
    slot_of,
    trained_on,
)
from networld_algos.bench.submission.faults import Faults, Line
from networld_algos.bench.suite import Suite
from networld_algos.report.scoring import (
    FactorLevel,
    Scales,
    factor_level_of,
    scale_of,
    scales,
)
from networld_algos.results.rows import EVAL_SEED_SETS, FEW, Row
from networld_algos.results.stats import normalised_score

SCORE_ERROR = 0.01
"""Points by which a stored score may differ from that of its returns; machines round differently.
"""
ABOVE_GENIE = 10.0
"""Points by which an average reward may exceed that of the genie."""
TIMES_FASTER = 20.0
"""How many times as many updates per second as the fastest committed training are accepted."""


def check_numbers(
    lines: Sequence[Line],
    suite: Suite,
    slots: Mapping[Slot, Expected],
    committed: Sequence[Row],
    faults: Faults,
) -> None:
    """Check the scores, the seeds, and what the trainings cost.

    Args:
        lines: The rows of the submission.
        suite: Its suite.
        slots: The slots of the suite.
        committed: The final committed rows, and those of reference policies on other networks.
        faults: Faults are added here.
    """
    _check_scores(lines, committed, faults)
    _check_networks(lines, faults)
    _check_seeds(lines, suite, faults)
    _check_budgets(lines, budgets(suite, slots, committed), faults)
    _check_speed(lines, committed, faults)


def _check_scores(lines: Sequence[Line], committed: Sequence[Row], faults: Faults) -> None:
    by_set = {
        # Where the expert is not above random, there is no score.
        name: {key: ends for key, ends in scales(committed, name).items() if ends[0] < ends[1]}
        for name in EVAL_SEED_SETS
    }
    genies = {name: _genie_scores(committed, name, by_set[name]) for name in EVAL_SEED_SETS}
    for line in lines:
        row = line.row
        scale = scale_of(by_set[row.eval_seed_set], row)
        if scale is None:
            continue
        score = float(normalised_score(row.mean_return, *scale))
        if row.score is None:
            faults.add_to(line, f"score is not recorded; that of its returns is {score:.2f}")
        elif abs(row.score - score) > SCORE_ERROR:
            faults.add_to(line, f"score {row.score:.2f}, but that of its returns is {score:.2f}")
        genie = scale_of(genies[row.eval_seed_set], row)
        if genie is not None and score > genie + ABOVE_GENIE:
            faults.add_to(
                line,
                f"a score of {score:.1f} is not credible: the genie, which knows what no agent can "
                f"know, has {genie:.1f} on the same networks",
            )


def _genie_scores(
    committed: Sequence[Row], seed_set: str, scale: Scales
) -> dict[tuple[str, FactorLevel], float]:
    """Score of the best genie for the tasks and levels that have one."""
    found: dict[tuple[str, FactorLevel], float] = {}
    for row in committed:
        key = (row.task, factor_level_of(row))
        if row.role == "genie" and row.eval_seed_set == seed_set and key in scale:
            score = float(normalised_score(row.mean_return, *scale[key]))
            found[key] = max(score, found.get(key, score))
    return found


def _check_networks(lines: Sequence[Line], faults: Faults) -> None:
    """Scores on test networks must not be those on validation networks."""
    validation = {
        (line.row.run, line.row.updates): line
        for line in lines
        if line.row.eval_seed_set == "validation"
    }
    for line in lines:
        other = validation.get((line.row.run, line.row.updates))
        if line.row.eval_seed_set != "test" or other is None:
            continue
        returns, others = line.row.episode_returns, other.row.episode_returns
        shared = min(len(returns), len(others))
        if returns[:shared] == others[:shared]:
            faults.add_to(
                line, f"its scores on test networks are those on validation networks in {other}"
            )


def _check_seeds(lines: Sequence[Line], suite: Suite, faults: Faults) -> None:
    """All seeds of a result have one configuration and budget, and trainings of their own."""
    first: dict[Hashable, Line] = {}
    evaluated: dict[Hashable, Line] = {}
    early = {name for name in FEW if (part := getattr(suite, name)) and _may_stop_early(part)}
    for line in lines:
        row = line.row
        if not row.is_final:
            continue
        experiment, task, dataset, _, *condition = slot_of(row)
        key = (experiment, task, dataset, row.label, *condition)
        before = first.setdefault(key, line)
        # A training that stops early does so after its own number of updates.
        for name in ("config_hash",) if experiment in early else ("updates", "config_hash"):
            one, other = getattr(before.row, name), getattr(row, name)
            if one != other:
                faults.add_to(
                    line,
                    f"{name} {other!r}, and {one!r} in {before}: all seeds of a result are "
                    "trained alike",
                )
        # A constant has the same returns with every seed, but no training takes the same time.
        same = evaluated.setdefault((key, row.episode_returns, row.train_seconds), line)
        if same.row.seed != row.seed and row.updates and row.train_seconds is not None:
            faults.add_to(
                line, f"the returns and the training time of seed {same.row.seed} in {same}"
            )


def _may_stop_early(part: FewShot) -> bool:
    return part.early_stop or part.patience > 0


def _check_budgets(lines: Sequence[Line], limits: Mapping[Data, Budget], faults: Faults) -> None:
    for line in lines:
        row = line.row
        limit = limits.get(trained_on(slot_of(row)))
        if row.is_final and limit is not None and not limit.allows(row):
            faults.add_to(
                line,
                f"{row.updates} updates, {row.epochs or 0:.3g} epochs and "
                f"{(row.train_seconds or 0) / 60:.3g} minutes, more than any method of the suite; "
                f"allowed are {limit}",
            )


def _check_speed(lines: Sequence[Line], committed: Sequence[Row], faults: Faults) -> None:
    """Refuse trainings that are too fast to be true, because minutes on a CPU are a budget."""
    fastest: dict[str, float] = {}
    for row in committed:
        if row.updates and row.train_seconds and row.device_kind == "cpu":
            speed = row.updates / row.train_seconds
            fastest[row.task] = max(fastest.get(row.task, 0.0), speed)
    for line in lines:
        row = line.row
        limit = TIMES_FASTER * fastest.get(row.task, np.inf)
        if not row.updates or row.train_seconds is None or row.device_kind != "cpu":
            continue
        if row.updates > limit * row.train_seconds:
            faults.add_to(
                line,
                f"{row.updates} updates in {row.train_seconds:.3g} s of training, more than "
                f"{TIMES_FASTER:g} times as many per second as the fastest committed training; "
                "train_seconds must be the time of all updates",
            )
