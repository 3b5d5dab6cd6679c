"""Score a policy or a model under the conditions of a run, and return the result rows."""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import asdict
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

from networld_algos.base import Algorithm
from networld_algos.bench.runs import Condition, Run
from networld_algos.data.episodes import Episodes
from networld_algos.results.rows import STATION_MS, Row
from networld_algos.results.stats import normalised_score
from networld_algos.training.cpu import machine
from networld_algos.training.device import device_name
from networld_algos.training.evaluate import Evaluation, decision_ms_one_agent, evaluate
from networld_algos.training.run import Progress
from networld_envs.policies import get_policy
from networld_envs.policies.references import (
    TEST_SEED,
    VALIDATION_SEED,
    reference_rewards,
    score_ends,
)
from networld_envs.version import __version__


def reference_rows(run: Run) -> list[Row]:
    """One row per condition of a reference policy, for each set of networks of the suite."""
    return [
        _reference_row(run, condition, name)
        for name in _seed_sets(run, is_last=True)
        for condition in run.conditions
    ]


def _reference_row(run: Run, condition: Condition, seed_set: str) -> Row:
    seeds = _seed_sets(run, is_last=True)[seed_set]
    rewards = reference_rewards(run.task, run.algorithm, seeds, **condition.params)
    return _row(
        run,
        condition,
        kind="reference",
        eval_seed_set=seed_set,
        role=get_policy(run.task, run.algorithm).role,
        dataset=None,
        config_hash=None,
        fraction=None,
        episodes=None,
        updates=None,
        is_last=True,
        episode_returns=tuple(rewards.tolist()),
    )


def _seed_sets(run: Run, is_last: bool) -> dict[str, range]:
    """Name of a set of networks -> their seeds, for one evaluation of a run."""
    sets = {}
    if run.curve_episodes:
        sets["validation"] = range(VALIDATION_SEED, VALIDATION_SEED + run.curve_episodes)
    if is_last or not sets:
        sets["test"] = range(TEST_SEED, TEST_SEED + run.eval_episodes)
    return sets


def learned_rows(
    run: Run, algorithm: Algorithm, heldout: Episodes | None, progress: Progress
) -> list[Row]:
    """One row per condition of the run, and set of networks.

    Conditions that differ only in label are evaluated once. Where the run has validation networks,
    the test networks are scored only at its end.

    Args:
        run: The run that lists the conditions.
        algorithm: The model.
        heldout: Episodes of the target task on which the diagnostics of the last rows are measured;
            None leaves the diagnostics out.
        progress: How the model was trained.
    """
    updates, trained = progress.updates, algorithm.config
    is_last = progress.is_over(run.updates)
    extra: dict[str, float] = {
        "parameters": sum(p.numel() for p in algorithm.parameters() if p.requires_grad)
    }
    if progress.best is not None:
        extra |= asdict(progress.best)
    if is_last and heldout is not None:
        extra |= {name: found.value for name, found in algorithm.health(heldout).items()}
    results: dict[tuple[str, str], tuple[Evaluation, dict[str, float]]] = {}
    rows = []
    sets = _seed_sets(run, is_last)
    for name, condition in product(sets, run.conditions):
        algorithm.reconfigure(**condition.decision)
        key = (name, condition.what)
        if key not in results:
            results[key] = _evaluate(run, algorithm, condition, sets[name])
        result, more = results[key]
        config = {"algorithm": run.algorithm, **asdict(algorithm.config)}
        algorithm.config = trained
        rows.append(
            _row(
                run,
                condition,
                kind="learned",
                eval_seed_set=name,
                role=None,
                dataset=run.dataset_ids[-1],
                config_hash=_short_hash(config),
                fraction=run.fraction,
                episodes=progress.episodes,
                updates=updates,
                is_last=is_last,
                episode_returns=tuple(result.episode_rewards.tolist()),
                score=_score(run.task, result.mean, sets[name], condition.network),
                latency_p50_ms=result.latency_p50_ms,
                latency_p99_ms=result.latency_p99_ms,
                bytes_per_step=result.bytes_per_step,
                train_seconds=progress.seconds,
                epochs=_epochs(progress),
                device=device_name(str(next(algorithm.parameters()).device)),
                data_hashes=progress.about.get("data_hashes", {}),
                data_rounded=progress.about.get("data_rounded", {}),
                extra={**extra, **more},
            )
        )
    return rows


def _evaluate(
    run: Run, algorithm: Algorithm, condition: Condition, seeds: range
) -> tuple[Evaluation, dict[str, float]]:
    result = evaluate(
        algorithm,
        run.task,
        seeds,
        sampling_seed=run.seed,
        message_loss=condition.message_loss,
        message_delay=condition.message_delay,
        **condition.params,
    )
    if run.experiment != "cost":
        return result, {}
    alone = decision_ms_one_agent(algorithm, run.task, **condition.params)
    return result, {STATION_MS: alone}


def _epochs(progress: Progress) -> float | None:
    """Epochs that a training has done; None for a checkpoint of an older version."""
    share = progress.about.get("epochs_per_update")
    return None if share is None else share * progress.updates


def _short_hash(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def _score(task: str, reward: float, seeds: range, network: str) -> float | None:
    """Score normalised by random and expert on the same networks; None for a task without them."""
    ends = _ends(task, seeds, network)
    return None if ends is None else float(normalised_score(reward, *ends))


@lru_cache(maxsize=256)
def _ends(task: str, seeds: range, network: str) -> tuple[float, float] | None:
    return score_ends(task, seeds, **json.loads(network))


def _row(run: Run, condition: Condition, **values: Any) -> Row:
    blank = {
        "score": None,
        "latency_p50_ms": None,
        "latency_p99_ms": None,
        "bytes_per_step": None,
        "train_seconds": None,
        "epochs": None,
        "device": None,
    }
    return Row(
        suite=run.suite,
        experiment=run.experiment,
        task=run.task,
        algorithm=run.algorithm,
        label=condition.label,
        seed=run.seed,
        version=__version__,
        git_commit=git_commit(),
        machine=machine(),
        factor=condition.factor,
        level=condition.level,
        **{**blank, **values},
    )


@lru_cache(maxsize=1)
def git_commit() -> str | None:
    """Commit of the checkout this package runs from; None for an installed wheel.

    It ends in ``-dirty`` if tracked files differ from that commit.
    """
    checkout = Path(__file__).resolve().parents[2]
    if not (checkout / ".git").exists():
        return None
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
