"""What a run takes, roughly, on one core: to order runs, and for ``--dry-run`` and progress."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from networld_algos.bench.runs import Condition, Run
from networld_algos.registry import make_config
from networld_algos.results.rows import Row

# CPU seconds of one thread, both cores of a two-core AMD machine at work, torch 2.13 with oneDNN,
# for the configurations of the suite `cpu`, from its rows.
UPDATE_S: dict[str, dict[str, float]] = {
    "bc": {"cbf": 0.0145, "rb": 0.014, "ns": 0.0145},
    "ma-cql": {"cbf": 0.027, "rb": 0.0065, "ns": 0.029},
    "ma-dd": {"cbf": 0.023, "rb": 0.020, "ns": 0.021},
    "ma-dt": {"cbf": 0.024, "rb": 0.024, "ns": 0.023},
    "ma-iql": {"cbf": 0.018, "rb": 0.019, "ns": 0.016},
    "networld": {"cbf": 0.050, "rb": 0.055, "ns": 0.055},
}
OTHER_UPDATE_S = 0.03  # of an algorithm of one's own
REGRESSION = 0.60  # an update without a noise model, as a share of one with it
WIDE_DIM, WIDE = 256, 200.0  # U-Nets as wide as published: an update is so many times slower
# Sixteen episodes of 50 steps and of about 20 agents.
EVALUATION_S = {"bc": 0.4, "ma-cql": 0.1, "ma-dd": 2.8, "ma-dt": 1.4, "ma-iql": 0.1}
OTHER_EVALUATION_S = 0.4
PLAN_S = 0.6  # of NetWorld, what does not depend on the solver
FORWARD_S = 0.28  # one solver step of NetWorld more
GRADIENT = 1.1  # a gradient takes so many steps' time
REFERENCE_S = 0.7
START_S = 3.0  # reading the data, diagnostics, checkpoints
BASE_AGENTS = 20


def run_seconds(run: Run, rates: Mapping[tuple[str, str], float] | None = None) -> float:
    """Seconds of one core.

    Args:
        run: The run.
        rates: Seconds of an update where they are known, see `known_rates`.
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
    """(task, label) -> seconds of an update, from finished runs of the comparison."""
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
    """Episodes and agents of an evaluation, in units of 16 and of `BASE_AGENTS`."""
    agents = condition.level if condition.factor == "agents" and condition.level else BASE_AGENTS
    return run.eval_episodes / 16 * max(0.3, agents / BASE_AGENTS)


def _config(run: Run, decision: dict[str, Any]) -> Any:
    return make_config(run.algorithm, {**run.config, **decision})


def _update_s(run: Run) -> float:
    seconds = UPDATE_S.get(run.algorithm, {}).get(run.task, OTHER_UPDATE_S)
    if run.algorithm == "networld":
        config = _config(run, {})
        if config.planner == "regression":
            return seconds * REGRESSION
        if config.dim >= WIDE_DIM:
            return seconds * WIDE
    return seconds


def _evaluation_s(run: Run, condition: Condition) -> float:
    if run.algorithm != "networld":
        seconds = EVALUATION_S.get(run.algorithm, OTHER_EVALUATION_S)
        return _size(run, condition) * seconds
    config = _config(run, condition.decision)
    if config.follows_forecast:
        return _size(run, condition) * PLAN_S
    steps = float(config.steps)
    if config.guidance == "gradient" and config.guidance_weight:
        steps += GRADIENT * max(0, config.steps - 2)
    if config.guidance == "select":
        steps *= config.candidates
    wide = WIDE if config.dim >= WIDE_DIM else 1.0
    return _size(run, condition) * (PLAN_S + steps * FORWARD_S * wide)
