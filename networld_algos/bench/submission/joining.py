"""The parts of a suite that a user's algorithm can join, and its budget in minutes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from networld_algos.base import Algorithm
from networld_algos.bench.machine_speed import measured_rate
from networld_algos.bench.parts import Entry, FewShot, Robustness
from networld_algos.bench.suite import PARTS, Suite
from networld_algos.registry import ALGORITHMS
from networld_algos.results.rows import SCRATCH
from networld_algos.training.tuning.choices import RATE, read_choices, write_choices


@dataclass(frozen=True)
class Joined:
    """A suite with only a user's algorithms in it.

    Attributes:
        suite: The suite; its runs are those of the algorithms, and the reference policies.
        parts: Part -> what the algorithms do in it.
        left_out: Part -> why they are not in it.
    """

    suite: Suite
    parts: dict[str, str]
    left_out: dict[str, str]


def join(suite: Suite, names: Sequence[str]) -> Joined:
    """Every part of a suite with these algorithms in place of the suite's own entries.

    Seeds, data, test networks, conditions and budgets are those of the suite.

    Args:
        suite: The suite.
        names: Keys in `ALGORITHMS`.
    """
    entries = tuple(Entry(name) for name in names)
    parts, left_out = {}, {}
    if suite.entries:
        parts["comparison"] = "trained on all data of the suite"
    changes: dict[str, Any] = {"entries": entries, "ablation": None}
    if suite.fewshot is not None:
        changes["fewshot"], parts["fewshot"] = _few_shot(suite.fewshot, suite.tasks, names)
    if suite.deployments is not None:
        twice = tuple(e for name in names for e in _with_and_without(name))
        changes["deployments"] = replace(suite.deployments, entries=twice)
        parts["deployments"] = "from its models of the default deployment, and from scratch"
    if suite.ablation is not None:
        whose = ", ".join(dict.fromkeys(e.algorithm for e in suite.ablation.entries))
        left_out["ablation"] = f"it compares variants of {whose}"
    if suite.robustness is not None:
        changes["robustness"] = replace(suite.robustness, labels=tuple(names))
        parts["robustness"] = _robustness_words(suite.robustness)
    if suite.cost is not None:
        changes["cost"] = replace(suite.cost, labels=tuple(names), curves={})
        parts["cost"] = "one way to decide: a suite of your own can vary settings of decisions"
    left_out |= {part: "the suite has no such part" for part in PARTS if part not in suite.parts}
    return Joined(replace(suite, **changes), parts, left_out)


def _few_shot(part: FewShot, tasks: Sequence[str], names: Sequence[str]) -> tuple[FewShot, str]:
    entries, words = [], []
    for name in names:
        why = ""
        if ALGORITHMS[name][1].adapt is Algorithm.adapt:
            why = "it has no adapt()"
        elif len(tasks) == 1:
            why = "there is no other task to pre-train on"
        entries += [Entry(name)] if why else _with_and_without(name)
        words.append(
            f"{name} from scratch only, because {why}"
            if why
            else f"{name} pre-trained on the other tasks, and from scratch"
        )
    return replace(part, entries=tuple(entries)), "; ".join(words)


def _robustness_words(part: Robustness) -> str:
    words = ["other numbers of agents"] * part.agents
    words += ["drifted traffic or channel"] * part.drift
    return "; ".join([*words, "lost and late messages change nothing if the algorithm sends none"])


def _with_and_without(name: str) -> tuple[Entry, Entry]:
    """Entries of an algorithm that start from a trained model and from a new one."""
    return Entry(name, pretrained=True), Entry(name, name + SCRATCH)


def with_minutes(
    suite: Suite,
    minutes: Mapping[str, float],
    rates: Path,
    keep: bool,
    say: Callable[[str], None] = lambda text: None,
) -> Suite:
    """The suite with as many updates of its entries as take some minutes on this machine.

    They are the minutes of the suite or, if it has none, those of the committed trainings.

    Updates per minute of one core are measured once for every data of the suite and stored, so
    that the suite resumes with the same budgets. An entry that has rates already keeps them.

    Args:
        suite: A suite of `join`.
        minutes: ``"task/quality"`` -> minutes of a committed training.
        rates: File of the measured rates.
        keep: Whether to write the file.
        say: Called with a sentence before each measurement.

    Raises:
        ValueError: If there are no minutes for a data of the suite.
    """
    data = [f"{task}/{quality}" for quality in suite.qualities for task in suite.tasks]
    minutes = {**minutes, **own_minutes(suite)}
    if missing := [key for key in data if key not in minutes]:
        raise ValueError(
            f"the committed rows do not say how many minutes a training on {', '.join(missing)} "
            "takes; use --budget updates"
        )
    known = read_choices(rates) if rates.is_file() else {}
    entries = []
    for entry in suite.entries:
        found = known.setdefault(entry.algorithm, {})
        # A rate of a task holds for all of its data.
        needed = [k for k in data if k not in entry.rates and k.split("/")[0] not in entry.rates]
        for key in needed:
            if key not in found:
                say(f"measuring the updates per minute of {entry.label} on {key}")
                found[key] = {RATE: measured_rate(entry, *key.split("/"))}
        rates_here = {key: float(found[key][RATE]) for key in needed}
        entries.append(replace(entry, rates={**rates_here, **entry.rates}))
    if keep:
        write_choices(rates, known)
    return replace(suite, entries=tuple(entries), minutes={key: minutes[key] for key in data})


def own_minutes(suite: Suite) -> dict[str, float]:
    """``"task/quality"`` -> minutes that the suite itself gives to a training."""
    by_task = {f"{t}/{q}": m for t, m in suite.minutes.items() for q in suite.qualities}
    return {**by_task, **{key: m for key, m in suite.minutes.items() if "/" in key}}
