"""Make the models that come with the package, ``pretrained:cbf``, ``:rb`` and ``:ns``.

    python tools/pretrained.py [--suite cpu] [--results results] [--train] [--share S] [TASK ...]

Each is the model of the run "networld, seed 0" of a suite's comparison on its first quality of
data. ``networld bench run cpu`` keeps these models, because its robustness part scores them, in
``<results>/cpu/checkpoints``. A missing one is an error, or with ``--train`` is trained with the
suite's settings.

``--share 0.1`` makes a preliminary model: it is trained for a tenth of the suite's updates in a
temporary folder, the record says so, and its score is one on validation networks, because the test
networks are not looked at for a model that will be replaced.

A model is stored as it acts: the averaged weights replace the others, and the matrices are rounded
to half precision. It is scored before and after that, and refused if the score moves by more than
`MOST_CHANGE` points.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networld_algos.base import Algorithm
from networld_algos.bench import Paths, Run, Suite, get_suite, suite_paths, unroll
from networld_algos.bench.evaluator import git_commit
from networld_algos.bench.job import Job
from networld_algos.bench.worker import perform
from networld_algos.data.episodes import HOLDOUT
from networld_algos.data.load import load_episodes
from networld_algos.deploy.monitor.ensemble import disagreements
from networld_algos.deploy.monitor.reference import Reference
from networld_algos.networld.algorithm import NetWorld
from networld_algos.registry import ALGORITHMS
from networld_algos.results.stats import normalised_score, t_interval
from networld_algos.training import checkpoint, pretrained
from networld_algos.training.cpu import configure_cpu, shared_environment
from networld_algos.training.evaluate import evaluate
from networld_algos.training.hub import record_score
from networld_algos.training.origin import data_origin
from networld_envs import store
from networld_envs.policies.references import TEST_SEED, VALIDATION_SEED, score_ends

MOST_CHANGE = 0.5
"""Points of the normalised score that rounding may cost."""
VALIDATION_NETWORKS = 50


def chosen_run(suite: Suite, task: str) -> Run:
    """NetWorld's run of the first seed on the suite's first quality of data."""
    for run in unroll(suite, ("comparison",)):
        if (run.task, run.label, run.seed) == (task, "networld", 0) and run.stage == "train":
            return run  # qualities are unrolled in the suite's order
    raise ValueError(f"suite {suite.name!r} trains no 'networld' on task {task!r}")


def model_of(run: Run, paths: Paths, train: bool) -> tuple[Algorithm, dict[str, Any]]:
    """The trained model and its ``extra``, trained now if it is missing and ``train`` is set."""
    if not paths.has_model(run.key):
        if not train:
            raise FileNotFoundError(
                f"{paths.checkpoint(run.key)} holds no finished model; run the suite (networld "
                f"bench run {run.suite}), copy that folder here, or give --train"
            )
        job = Job(run, paths, True, dict(ALGORITHMS), {}, shared_environment())
        with paths.sole_user():
            outcome = perform(job)
        if outcome.error:
            raise RuntimeError(f"the training failed: {outcome.error}")
    return checkpoint.load(paths.checkpoint(run.key), expect_task=run.task)


def rewards_of(model: Algorithm, task: str, seeds: range) -> NDArray[np.float64]:
    """Rewards of a model, as the runner of suites measures them."""
    return evaluate(model, task, seeds, sampling_seed=model.seed).episode_rewards


def write(
    run: Run,
    model: Algorithm,
    extra: dict[str, Any],
    out: Path,
    whole: int,
    *,
    networks: int | None = None,
) -> dict[str, Any]:
    """Write the folder of a model.

    Args:
        run: Its run, with the updates that were done.
        model: The trained model; its weights are replaced by their averages.
        extra: Of its checkpoint.
        out: The folder; what is in it is replaced.
        whole: Updates of the suite.
        networks: Networks of the score; by default, those of the suite, or `VALIDATION_NETWORKS`.

    Returns:
        The record that the checkpoint keeps as ``pretrained``.

    Raises:
        ValueError: If rounding changes the score by more than `MOST_CHANGE` points.
    """
    assert isinstance(model, NetWorld)
    complete = run.stage == "train"
    first = TEST_SEED if complete else VALIDATION_SEED
    seeds = range(
        first, first + (networks or (run.eval_episodes if complete else VALIDATION_NETWORKS))
    )
    dataset = run.dataset_ids[-1]
    found = store.load(dataset)
    data = load_episodes(found, run.task, episodes=run.data_episodes, seed=run.seed)
    fitted, heldout = data.split(HOLDOUT, run.seed)

    ends = score_ends(run.task, seeds)
    assert ends is not None
    before = float(normalised_score(rewards_of(model, run.task, seeds).mean(), *ends))
    model.nets.load_state_dict(model.ema.module.state_dict())
    about: dict[str, Any] = {k: v for k, v in extra.items() if k not in ("rows", "best")}
    about |= {
        "dataset": dataset,
        "task": run.task,
        "episodes": len(data),
        "trained_on": len(fitted),
        "seed": run.seed,
        "total_updates": run.updates,
        "origin": data_origin(found),
        "data_hashes": {dataset: store.recorded_hash(found)},
    }
    record = {
        "suite": run.suite,
        "run": run.key,
        "settings": run.config,
        "updates": run.updates,
        "updates_of_suite": whole,
        "preliminary": not complete,
        "commit": git_commit(),
        "command": _command(run, whole),
        "networks": f"{'test' if complete else 'validation'}, seeds {seeds[0]} to {seeds[-1]}",
        "score_before_rounding": before,
    }
    with tempfile.TemporaryDirectory(prefix="networld-") as made:
        folder = Path(made)
        checkpoint.save(model, folder, {**about, "pretrained": record}, compact=True)
        rounded, _ = checkpoint.load(folder)
        rewards = rewards_of(rounded, run.task, seeds)
        score = float(normalised_score(rewards.mean(), *ends))
        if abs(score - before) > MOST_CHANGE:
            raise ValueError(
                f"half precision moves the score on {run.task} from {before:.2f} to {score:.2f}"
            )
        record["score"] = score
        checkpoint.save(rounded, folder, {**about, "pretrained": record}, compact=True)
        weights = checkpoint.weights_file(folder)
        kept = {"weights": weights, "episodes": len(fitted)}
        differ = disagreements(rounded, fitted if heldout is None else heldout)
        Reference.of_episodes(fitted, differ, kept).save(folder)
        interval = t_interval(rewards)
        values = {"task": run.task, "preset": "default", "params": {}, "episodes": len(seeds)}
        values |= {"mean": interval.value, "low": interval.low, "high": interval.high}
        record_score(folder, weights, {**values, "normalised": score, "warning": None})
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(folder, out)
    return record


def _command(run: Run, whole: int) -> str:
    make = f"python tools/pretrained.py --suite {run.suite}"
    if run.stage != "train":
        return f"{make} --share {run.updates / whole:.3g} {run.task}"
    return f"networld bench run {run.suite} --only comparison --only robustness; {make} {run.task}"


def main(arguments: list[str]) -> int:
    """Make the models of the given tasks; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="all of the suite by default")
    parser.add_argument("--suite", default="cpu")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--train", action="store_true", help="train a model that is missing")
    parser.add_argument("--share", type=float, help="a preliminary model: share of the updates")
    parser.add_argument("--networks", type=int, help="networks of the score")
    parser.add_argument("--out", type=Path, default=pretrained.ROOT)
    given = parser.parse_args(arguments)
    if given.share is not None and not 0 < given.share <= 1:
        parser.error(f"--share must be above 0 and at most 1, got {given.share}")
    configure_cpu("cpu")
    suite = get_suite(given.suite)
    for task in given.tasks or suite.tasks:
        run = chosen_run(suite, task)
        whole = run.updates
        paths = suite_paths(given.results.absolute(), suite)
        with tempfile.TemporaryDirectory(prefix="networld-") as temporary:
            if given.share is not None:
                updates = max(1, round(given.share * whole))
                run = replace(run, stage="pretrain", updates=updates, evaluations=0)
                paths = Paths(Path(temporary))
            model, extra = model_of(run, paths, given.train or given.share is not None)
        record = write(run, model, extra, given.out / task, whole, networks=given.networks)
        size = sum(file.stat().st_size for file in (given.out / task).iterdir()) / 1e6
        print(json.dumps(record, indent=1))
        print(f"{pretrained.SCHEME}{task}: score {record['score']:.1f}, {size:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
