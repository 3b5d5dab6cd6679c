"""Rows of every run of a suite, made up without training: the page at its full size.

Runs and their conditions are those that the suite would make (`networld_algos.bench.unroll`).
Scores are plausible but mean nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from networld_algos.bench import get_suite, unroll
from networld_algos.results.rows import STATION_MS, Row
from tests.report.rows import REFERENCES, make_row

ROLES = {"random": 0.0, "expert": 1.0, "genie": 1.05}
SIMPLE = 0.6
"""Share of the way from random to expert of every other policy without training."""
METHODS = {  # share of the way from random to expert, milliseconds of a station, of the batch
    "networld": (0.96, 2.0, 6.0),
    "bc": (0.96, 1.0, 2.5),
    "ma-iql": (0.94, 1.1, 2.6),
    "ma-cql": (0.92, 1.2, 3.1),
    "ma-dt": (0.94, 5.0, 14.0),
    "ma-dd": (0.93, 30.0, 230.0),
}
DIAGNOSTICS = ("effective_rank", "inverse_error_clean", "inverse_error_noised", "latent_std")
NETWORKS = {"test": 100, "validation": 16}
EVALUATIONS = 10


class Maker:
    """Makes the rows of one suite.

    Args:
        name: The suite.
        seed: Seed of the scores.
    """

    def __init__(self, name: str, seed: int = 0):
        self.suite = get_suite(name)
        self.rng = np.random.default_rng(seed)
        self.offsets = {
            (task, of): self.rng.normal(0.0, 0.08, count)
            for task in REFERENCES
            for of, count in NETWORKS.items()
        }

    def rows(self) -> list[Row]:
        """Every row of every run."""
        found: list[Row] = []
        for run in unroll(self.suite):
            if run.stage == "pretrain":
                continue
            for condition in run.conditions:
                of_run = self._references if run.stage == "reference" else self._learned
                found += of_run(run, condition)
        return found

    def _returns(self, task: str, share: float, networks: str) -> tuple[float, ...]:
        """Rewards of a policy that is this share of the way from random to expert."""
        random, expert = (REFERENCES[task][name][1] for name in ("random", "expert"))
        offsets = self.offsets[task, networks]
        shares = share + offsets + self.rng.normal(0.0, 0.03, len(offsets))
        return tuple((random + (expert - random) * shares).tolist())

    def _row(self, run, condition, **changes) -> Row:
        config = hashlib.sha256(repr(run.config).encode()).hexdigest()
        return make_row(
            **{
                "suite": self.suite.name,
                "experiment": run.experiment,
                "task": run.task,
                "algorithm": run.algorithm,
                "label": condition.label,
                "seed": run.seed,
                "factor": condition.factor,
                "level": condition.level,
                "config_hash": config[:12],
                "machine": "torch 2.13.0+cpu, oneDNN products",
                "device": "cpu",
                **changes,
            }
        )

    def _references(self, run, condition) -> list[Row]:
        role = run.algorithm if run.algorithm in ROLES else "heuristic"
        share = ROLES.get(run.algorithm, SIMPLE)
        nothing = dict.fromkeys(
            ("dataset", "config_hash", "fraction", "episodes", "updates", "train_seconds")
        )
        return [
            self._row(
                run,
                condition,
                kind="reference",
                role=role,
                eval_seed_set=networks,
                episode_returns=self._returns(run.task, share, networks),
                **nothing,
            )
            for networks in NETWORKS
        ]

    def _learned(self, run, condition) -> list[Row]:
        share, station, batch = METHODS[run.algorithm]
        level = condition.level or 0.0
        share = self._share(run, condition, share) + self.rng.normal(0.0, 0.01)
        extra = {"parameters": 300_000.0}
        if run.algorithm == "networld":
            extra |= {name: float(self.rng.uniform(0.1, 9.0)) for name in DIAGNOSTICS}
        if run.experiment == "cost":
            extra[STATION_MS] = station + 0.5 * level
        dataset = run.dataset_ids[-1]
        final = self._row(
            run,
            condition,
            dataset=dataset,
            fraction=run.fraction,
            episodes=max(1, round(450 * run.fraction)),
            updates=run.updates,
            latency_p50_ms=batch * (1.0 + 0.2 * level) * self.rng.uniform(0.9, 1.1),
            latency_p99_ms=2.0 * batch,
            bytes_per_step=256.0,
            train_seconds=60.0 * self.suite.minutes[run.task] * self.rng.uniform(0.9, 1.1),
            epochs=3.0,
            extra=extra,
            data_hashes={dataset: hashlib.sha256(dataset.encode()).hexdigest()},
            episode_returns=self._returns(run.task, share, "test"),
        )
        return [final, *self._curve(final, share)] if run.experiment == "comparison" else [final]

    def _share(self, run, condition, share: float) -> float:
        """What the data, the message and the condition leave of a score."""
        if run.quality == "legacy":
            share *= 0.65
        if "no mean field" in condition.label:
            share *= 0.6
        if run.experiment in ("fewshot", "deployments"):
            few = 0.4 if "scratch" in condition.label or run.algorithm == "bc" else 0.1
            share *= 1.0 + few * np.log10(run.fraction) / 2.7
        if condition.factor == "message_loss":
            share -= 0.3 * condition.level
        return share

    def _curve(self, final: Row, share: float) -> list[Row]:
        """Evaluations on validation networks, at equal steps of the updates."""
        return [
            replace(
                final,
                eval_seed_set="validation",
                updates=max(1, (final.updates or 0) * k // EVALUATIONS),
                is_last=k == EVALUATIONS,
                train_seconds=(final.train_seconds or 0.0) * k / EVALUATIONS,
                episode_returns=self._returns(
                    final.task, share * (1.0 - np.exp(-5.0 * k / EVALUATIONS)), "validation"
                ),
            )
            for k in range(1, EVALUATIONS + 1)
        ]


def whole_suite(name: str = "cpu") -> list[Row]:
    """Every row that a suite makes."""
    return Maker(name).rows()
