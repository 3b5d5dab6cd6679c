"""The suites that come with the package: `smoke`, `demo`, `cpu` and `paper`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from networld_algos.bench.preset_entries import (
    CONTROLS,
    EVERY_ALGORITHM,
    FEWSHOT,
    SHARED,
    ablations,
    comparison,
    cost_curve,
    on_deployments,
)
from networld_algos.bench.suite import Ablation, Condition, Cost, Entry, FewShot, Robustness, Suite
from networld_algos.bench.tuned import COMMITTED, with_choices
from networld_algos.plugin import is_plugin
from networld_algos.registry import ALGORITHMS, BUILT_IN
from networld_algos.results.text import suggestion
from networld_algos.training.near import STRENGTH
from networld_algos.training.tuning.choices import Choices, read_choices
from networld_envs.files import run_file
from networld_envs.simulator import about

TASKS = ("cbf", "rb", "ns")
CPU_MINUTES = {"cbf": 3.0, "rb": 1.25, "ns": 1.0}
"""Minutes of one core for a training, the same for all methods. The updates follow from the rates
beside the settings that `networld tune` chose. In this time all methods see all data at least once,
except two: on NS, where most are level long before, MA-CQL sees half of it and MA-DD 0.7; on the
mixed data and the logs of RB, MA-DD sees 0.8."""
CPU_UPDATES = {name: ALGORITHMS[name][1].budget for name in BUILT_IN}
"""Gradient steps where no rate is known, in times of the same order."""
CPU_PACE = {
    f"{task}/{quality}" if quality else task: factor
    for task in TASKS
    for quality, factor in about(task).pace.items()
}
CPU_ALGORITHM_PACE = {name: dict(ALGORITHMS[name][1].pace) for name in BUILT_IN}
PAPER_UPDATES = 12_000
"""Gradient steps of a training of `paper`. NetWorld, MA-DD and MA-DT were level on validation
networks after 6,000 to 12,000, so more seeds and networks say more than more steps. NS needs fewer
steps. Controls, ablations and the published networks are run where they say most: on expert data,
and ablations not on NS, where nearly all methods are level. This keeps the suite below 48 hours of
a GPU."""

FEW_FRACTIONS = (0.002, 0.01, 0.033, 1.0)
"""1, 4, 15 and 450 episodes."""
CONVERGED: dict[str, Any] = {
    "updates": 2_000,
    "pace": {"cbf": 2.0, "ns": 0.3},
    "share": 0.5,
    "updates_per_episode": 400,
    "patience": 4,
}
"""Trainings on little data in `cpu` end when their validation error no longer falls, or after half
the time of a training of the comparison."""


def _with_medium(choices: Choices) -> Choices:
    """Choices for medium data, of which no search was made: those on the task's mixed data.

    Both kinds of data have actions of several qualities, which is what the searched settings by
    advantage, by return or by episode are about. Every method gets its settings in this way.
    """
    return {
        name: {**{k.replace("/mixed", "/medium"): dict(v) for k, v in tables.items()}, **tables}
        for name, tables in choices.items()
    }


SUITES: dict[str, Suite] = {
    suite.name: with_choices(suite, _with_medium(read_choices(COMMITTED)))
    for suite in (
        Suite(
            name="smoke",
            tasks=TASKS,
            entries=EVERY_ALGORITHM,
            seeds=1,
            updates=20,
            data_episodes=4,
            evaluations=2,
            eval_episodes=2,
            fewshot=FewShot(
                entries=FEWSHOT,
                fractions=(0.25, 1.0),
                seeds=1,
                updates=10,
                pretrain_updates=10,
            ),
            deployments=FewShot(
                entries=on_deployments(EVERY_ALGORITHM)[:3],
                fractions=(0.25, 1.0),
                seeds=1,
                updates=20,
                pretrain_updates=10,
                patience=1,
                anchor=STRENGTH,
                deployments={"cbf": (), "rb": ("ring6",), "ns": ()},
            ),
            ablation=Ablation(
                (Entry("networld"), Entry("networld", "plan", {"planner": "diffusion"})), seeds=1
            ),
            robustness=Robustness(
                ("networld", "bc"), seeds=1, agents=False, message_loss=(0.0, 0.6)
            ),
            cost=Cost(
                ("networld", "bc"),
                seeds=1,
                curves={"networld": (Condition("networld", "steps", 3.0, decision={"steps": 3}),)},
            ),
        ),
        Suite(
            name="demo",
            fewer_if_slow=True,
            tasks=TASKS,
            entries=EVERY_ALGORITHM,
            seeds=2,
            updates=250,
            data_episodes=100,
            evaluations=3,
            eval_episodes=16,
            fewshot=FewShot(
                entries=FEWSHOT,
                fractions=(0.01, 0.1),
                seeds=1,
                updates=100,
                pretrain_updates=200,
            ),
        ),
        Suite(
            name="cpu",
            tasks=TASKS,
            entries=comparison(CPU_UPDATES, CPU_ALGORITHM_PACE),
            seeds=5,
            updates=CPU_UPDATES["networld"],
            pace=CPU_PACE,
            minutes=CPU_MINUTES,
            qualities=("expert", "mixed", "legacy"),
            evaluations=10,
            eval_episodes=100,
            curve_episodes=16,
            fewshot=FewShot(
                entries=(*CONTROLS, Entry("bc")),
                fractions=FEW_FRACTIONS,
                seeds=3,
                pretrain_updates=2_000,
                **CONVERGED,
            ),
            deployments=FewShot(
                entries=on_deployments(comparison(CPU_UPDATES, CPU_ALGORITHM_PACE)),
                fractions=FEW_FRACTIONS,
                seeds=3,
                pretrain_updates=2_000,
                anchor=STRENGTH,
                **CONVERGED,
            ),
            ablation=Ablation(ablations(), seeds=3, tasks=("cbf", "rb")),
            robustness=Robustness(
                labels=("networld", "networld (no mean field)", "bc", "ma-iql"),
                seeds=3,
                drift=True,
            ),
            cost=Cost(
                labels=(*BUILT_IN, "networld (plan)"),
                seeds=2,
                curves={"networld (plan)": cost_curve()},
            ),
        ),
        Suite(
            name="paper",
            tasks=TASKS,
            entries=(
                *comparison(dict.fromkeys(BUILT_IN, PAPER_UPDATES)),
                Entry("networld", "networld (faithful)", preset="faithful", qualities=("expert",)),
            ),
            seeds=10,
            updates=PAPER_UPDATES,
            pace={"ns": 0.4},
            qualities=("expert", "medium", "mixed"),
            evaluations=8,
            eval_episodes=100,
            curve_episodes=32,
            fewshot=FewShot(
                entries=(
                    *CONTROLS,
                    Entry("bc"),
                    Entry("ma-dd", config=SHARED),
                ),
                fractions=(0.002, 0.01, 0.033, 0.1, 1.0),
                seeds=5,
                pretrain_updates=PAPER_UPDATES // 2,
                **{**CONVERGED, "share": 0.25},
            ),
            deployments=FewShot(
                entries=on_deployments(comparison(dict.fromkeys(BUILT_IN, PAPER_UPDATES))),
                fractions=FEW_FRACTIONS,
                seeds=5,
                pretrain_updates=PAPER_UPDATES // 2,
                anchor=STRENGTH,
                **{**CONVERGED, "share": 0.25},
            ),
            ablation=Ablation(
                ablations(), seeds=5, updates=PAPER_UPDATES // 2, tasks=("cbf", "rb")
            ),
            robustness=Robustness(
                labels=("networld", "networld (no mean field)", "bc", "ma-iql"),
                seeds=5,
                drift=True,
            ),
            cost=Cost(
                labels=(
                    "networld",
                    "networld (plan)",
                    "networld (faithful)",
                    "bc",
                    "ma-iql",
                    "ma-cql",
                    "ma-dt",
                    "ma-dd",
                ),
                seeds=3,
                curves={"networld (plan)": cost_curve()},
            ),
        ),
    )
}


def get_suite(name: str) -> Suite:
    """A suite by name.

    Raises:
        ValueError: If there is none of that name; lists the valid ones.
    """
    if name not in SUITES:
        raise ValueError(
            f"unknown suite {name!r}{suggestion(name, SUITES)}\n"
            f"valid suites: {', '.join(SUITES)}, or your own: path/to/file.py"
        )
    return SUITES[name]


def find_suite(word: str) -> Suite:
    """A suite by name, or from ``path/to/file.py``; see `get_suite` and `load_suite`."""
    return load_suite(word) if is_plugin(word) else get_suite(word)


def load_suite(source: str) -> Suite:
    """Execute a Python file and return its ``SUITE``.

    Args:
        source: ``path/to/file.py``.

    Raises:
        ValueError: If the file is missing, raises, or has no ``SUITE``.
    """
    path = Path(source)
    found = getattr(run_file(path), "SUITE", None)
    if not isinstance(found, Suite):
        what = "no SUITE" if found is None else f"a SUITE that is a {type(found).__name__}"
        raise ValueError(
            f"{path} has {what}; it needs: SUITE = networld_algos.bench.suite.Suite(...)"
        )
    return found
