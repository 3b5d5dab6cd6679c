"""Rough run times on one core, used to order runs, by ``--dry-run`` and by the progress bar."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from networld_algos.bench.runs import Condition, Run
from networld_algos.registry import ALGORITHMS, make_config
from networld_algos.results.rows import Row
from networld_envs.simulator import make_params, task_module
from networld_envs.spec import TaskSpec

REFERENCE_S = 0.7
START_S = 3.0  # to read the data, diagnose and save
BASE_AGENTS = 20


def run_seconds(run: Run, rates: Mapping[tuple[str, str], float] | None = None) -> float:
    """Estimated seconds on one core.

    Args:
        run: The run.
        rates: Measured seconds per update, see `known_rates`.
    """
    if run.stage == "reference":
        return sum(_size(run, c) * REFERENCE_S for c in _distinct(run))
    if run.stage == "evaluate":
        return sum(_evaluation_s(run, c) for c in _distinct(run)) + START_S / 3
    known = [(rates or {}).get((run.task, c.label)) for c in run.conditions]
    update_s = next((rate for rate in known if rate is not None), _update_s(run))
    evaluations = sum(_evaluation_s(run, c) for c in _distinct(run)) * run.evaluations
    return START_S + run.updates * update_s + evaluations


def known_rates(rows: Iterable[Row]) -> dict[tuple[str, str], float]:
    """(task, label) -> seconds per update, measured in finished runs of the comparison."""
    seconds: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        timed = row.train_seconds is not None and row.updates
        if row.experiment == "comparison" and row.is_last and timed:
            assert row.train_seconds is not None
            assert row.updates is not None
            key = (row.task, row.label)
            seconds.setdefault(key, []).append(row.train_seconds / row.updates)
    return {key: sum(values) / len(values) for key, values in seconds.items()}


def _distinct(run: Run) -> list[Condition]:
    return list({c.what: c for c in run.conditions}.values())


def _size(run: Run, condition: Condition) -> float:
    """Size of an evaluation relative to 16 episodes of `BASE_AGENTS` agents."""
    agents = condition.level if condition.factor == "agents" and condition.level else BASE_AGENTS
    return run.eval_episodes / 16 * max(0.3, agents / BASE_AGENTS)


@lru_cache(maxsize=64)
def _spec(task: str) -> TaskSpec:
    return task_module(task).spec(make_params(task))


def _update_s(run: Run) -> float:
    algorithm = ALGORITHMS[run.algorithm][1]
    return algorithm.update_seconds(make_config(run.algorithm, run.config), _spec(run.task))


def _evaluation_s(run: Run, condition: Condition) -> float:
    config = make_config(run.algorithm, {**run.config, **condition.decision})
    return _size(run, condition) * ALGORITHMS[run.algorithm][1].evaluation_seconds(config)
