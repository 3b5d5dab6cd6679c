"""Rough run times, used to order runs, by ``--dry-run``, ``bench list`` and the progress bar.

Those on one core are from measurements of every algorithm. Those on a GPU are guesses from one
measurement: on an H200 shared by eight runs, one of them did 5,800 updates of NetWorld (64 windows,
1,024 sequences, 1,536 transitions) in ten minutes. At that size most of an update is spent on
starting small kernels, which costs about the same for every algorithm. What a larger network adds
is taken from its time on a core, and so are evaluations, whose simulator is on a CPU.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from functools import lru_cache

from networld_algos.bench.runs import Condition, Run
from networld_algos.bench.suite import Suite
from networld_algos.registry import ALGORITHMS, make_config
from networld_algos.results.rows import Row
from networld_envs.simulator import make_params, task_module
from networld_envs.spec import TaskSpec

REFERENCE_S = 0.7
START_S = 3.0  # to read the data, diagnose and save
BASE_AGENTS = 20
GPU_RUNS = 8
"""Runs that share a GPU in the estimates."""
GPU_UPDATE_S = 600 / 5_800
"""Seconds of an update of a run that shares a GPU with others, `GPU_RUNS` in all."""
GPU_EVALUATION_S = 1.0
"""Seconds of an evaluation on a GPU that do not depend on the network; an assumption."""
GPU_CORES = 250
"""Cores that do as much arithmetic as a GPU; an assumption, about 15 TFLOP/s over 60 GFLOP/s."""


def run_seconds(
    run: Run, rates: Mapping[tuple[str, str], float] | None = None, device: str = "cpu"
) -> float:
    """Estimated seconds on one core, or as one of `GPU_RUNS` runs that share a GPU.

    Args:
        run: The run.
        rates: Measured seconds per update, see `known_rates`.
        device: ``"cpu"`` or ``"cuda"``. The simulator is on a CPU in both cases.
    """
    if run.stage == "reference":
        return sum(_size(run, c) * REFERENCE_S for c in _distinct(run))
    if run.stage == "evaluate":
        return sum(_evaluation_s(run, c, device) for c in _distinct(run)) + START_S / 3
    known = [(rates or {}).get((run.task, c.label)) for c in run.conditions]
    update_s = next((rate for rate in known if rate is not None), _update_s(run, device))
    whole = sum(_evaluation_s(run, c, device) for c in _distinct(run))
    times = float(run.evaluations)
    if run.curve_episodes:  # the test networks only once
        times = 1.0 + run.evaluations * run.curve_episodes / run.eval_episodes
    return START_S + run.updates * update_s + whole * times


def gpu_seconds(run: Run) -> float:
    """Estimated seconds of a whole GPU, of which a run uses one of `GPU_RUNS` shares."""
    return 0.0 if run.stage == "reference" else run_seconds(run, device="cuda") / GPU_RUNS


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


def entry_rates(suite: Suite) -> dict[tuple[str, str], float]:
    """(task, label) -> seconds per update, from the rates of a suite's entries.

    An entry of another part takes the rates that its algorithm has in the comparison. Rates count
    only if they were measured on this machine, as those of
    `networld_algos.bench.submission.joining.with_minutes` were.
    """
    seconds: dict[tuple[str, str], list[float]] = {}  # (task, algorithm) -> of each data
    for entry in suite.entries:
        for key, rate in entry.rates.items():
            task = key.partition("/")[0]
            seconds.setdefault((task, entry.algorithm), []).append(60.0 / rate)
    parts = (suite, suite.fewshot, suite.deployments)
    return {
        (task, label): sum(each) / len(each)
        for (task, algorithm), each in seconds.items()
        for part in parts
        if part is not None
        for entry in part.entries
        if entry.algorithm == algorithm
        for label in entry.labels
    }


class Pace:
    """Estimates that are corrected with what this machine needed for its first runs.

    Every measured run gives the ratio of its measured to its estimated time. The ratio of the runs
    that are most alike corrects the others. Runs that compete for the cores take longer, which is
    part of what is measured; before the first measurement, each of ``jobs`` processes is assumed
    to get its share of the cores.

    Args:
        jobs: Number of parallel processes.
        cores: Number of cores; by default, those that this process may use.
        device: ``"cpu"`` or ``"cuda"``, on which the runs train.
        rates: Seconds per update that were measured here before, see `entry_rates`.
    """

    def __init__(
        self,
        jobs: int = 1,
        cores: int | None = None,
        device: str = "cpu",
        rates: Mapping[tuple[str, str], float] | None = None,
    ) -> None:
        self.jobs = max(1, jobs)
        self.device = device
        self.crowding = max(1.0, self.jobs / (cores or _cores()))
        self.rates = dict(rates or {})
        self._guesses: dict[str, float] = {}  # without any rate, for bars that ask every moment
        self._finished: dict[str, tuple[Run, float, float]] = {}
        self._running: dict[str, tuple[Run, float, float]] = {}

    @property
    def is_measured(self) -> bool:
        """Whether any run of this machine is known."""
        return bool(self.rates or self._finished or self._running)

    def learn(self, runs: Iterable[Run], rows: Iterable[Row], machine: str) -> None:
        """Learn from rows of earlier runs on this machine.

        Args:
            runs: The runs of the suite.
            rows: Their rows, as far as there are any.
            machine: Only rows of this machine count, see `networld_algos.training.cpu.machine`.
        """
        self.rates |= known_rates(
            row for row in rows if row.machine == machine and row.device_kind == self.device
        )
        for run in runs:
            rate = next((self.rates[k] for k in _labels(run) if k in self.rates), None)
            if run.experiment == "comparison" and run.stage == "train" and rate is not None:
                guess = run.updates * _update_s(run, self.device)
                self._finished[run.key] = (run, run.updates * rate, guess)

    def measured(self, run: Run, seconds: float) -> None:
        """A run took ``seconds`` from start to end."""
        self._running.pop(run.key, None)
        if seconds > 0:
            self._finished[run.key] = (run, seconds, self._guess(run))

    def running(self, run: Run, seconds: float, share: float) -> None:
        """A run that is not finished took ``seconds`` for this share of its work."""
        if seconds > 0 and share > 0:
            self._running[run.key] = (run, seconds, share * self._guess(run))

    def seconds(self, run: Run) -> float:
        """Estimated seconds of a run beside the others."""
        if any(key in self.rates for key in _labels(run)):
            return run_seconds(run, self.rates, self.device)
        return self._guess(run) * self._correction(run)

    def wall_seconds(self, runs: Iterable[Run], shares: Mapping[str, float] | None = None) -> float:
        """Estimated time of these runs in parallel.

        Args:
            runs: The runs that are not finished.
            shares: Key of a run -> share of it that is done.
        """
        done = shares or {}
        each = [self.seconds(run) * (1.0 - done.get(run.key, 0.0)) for run in runs]
        return max(sum(each) / self.jobs, max(each, default=0.0))

    def _guess(self, run: Run) -> float:
        if run.key not in self._guesses:
            self._guesses[run.key] = run_seconds(run, device=self.device)
        return self._guesses[run.key]

    def _correction(self, run: Run) -> float:
        known = [*self._finished.values(), *self._running.values()]
        for alike in (_same_work, _same_algorithm, _same_stage, lambda *_: True):
            group = [(took, guess) for other, took, guess in known if alike(run, other)]
            guessed = sum(guess for _, guess in group)
            if guessed > 0:
                return sum(took for took, _ in group) / guessed
        return self.crowding


def _same_work(run: Run, other: Run) -> bool:
    return _same_algorithm(run, other) and (run.task, run.label) == (other.task, other.label)


def _same_algorithm(run: Run, other: Run) -> bool:
    return _same_stage(run, other) and run.algorithm == other.algorithm


def _same_stage(run: Run, other: Run) -> bool:
    trains = ("train", "pretrain")
    return run.stage == other.stage or (run.stage in trains and other.stage in trains)


def _labels(run: Run) -> list[tuple[str, str]]:
    """Keys of `known_rates` that may hold the rate of a run; only trainings have one."""
    return [(run.task, c.label) for c in run.conditions] if run.stage == "train" else []


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _distinct(run: Run) -> list[Condition]:
    return list({c.what: c for c in run.conditions}.values())


def _size(run: Run, condition: Condition) -> float:
    """Size of an evaluation relative to 16 episodes of `BASE_AGENTS` agents."""
    agents = _spec(run.task, condition.network).num_agents if condition.params else BASE_AGENTS
    return run.eval_episodes / 16 * max(0.3, agents / BASE_AGENTS)


@lru_cache(maxsize=64)
def _spec(task: str, network: str = "{}") -> TaskSpec:
    return task_module(task).spec(make_params(task, **json.loads(network)))


def _update_s(run: Run, device: str = "cpu") -> float:
    algorithm = ALGORITHMS[run.algorithm][1]
    core_s = algorithm.update_seconds(make_config(run.algorithm, run.config), _spec(run.task))
    return core_s if device == "cpu" else GPU_UPDATE_S + core_s * GPU_RUNS / GPU_CORES


def _evaluation_s(run: Run, condition: Condition, device: str) -> float:
    config = make_config(run.algorithm, {**run.config, **condition.decision})
    core_s = ALGORITHMS[run.algorithm][1].evaluation_seconds(config)
    if device != "cpu":
        core_s = min(core_s, GPU_EVALUATION_S + core_s * GPU_RUNS / GPU_CORES)
    return _size(run, condition) * core_s
