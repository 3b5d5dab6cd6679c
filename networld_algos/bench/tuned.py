"""Settings that a search has chosen, in suites; and what a suite wants to have searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from networld_algos.bench.parts import Entry, data_keys
from networld_algos.bench.suite import Suite
from networld_algos.results.rows import QUALITIES
from networld_algos.training.tuning.choices import Choices, open_choices, split
from networld_algos.training.tuning.subject import Subject, search_space
from networld_envs.simulator import TASKS

COMMITTED = Path(__file__).with_name("tuned.toml")
"""Choices for the suites that come with the package."""


def suite_subjects(
    suite: Suite, tasks: Sequence[str] = (), qualities: Sequence[str] = ()
) -> list[Subject]:
    """Every algorithm of a suite's comparison on every data of it.

    An algorithm with several entries is searched with the settings of the one that is labelled with
    its name. Fields that the entry varies when it acts are not searched.

    Args:
        suite: The suite.
        tasks: Tasks of the suite; all by default.
        qualities: Qualities of the data; those of the suite by default.

    Raises:
        ValueError: If the suite has no comparison, a quality is unknown, or an algorithm declares
            no ranges.
    """
    entries = [
        main_entry(suite.entries, name) for name in {e.algorithm: None for e in suite.entries}
    ]
    if not entries:
        raise ValueError(f"suite {suite.name!r} has no comparison, so there is nothing to search")
    if unknown := [quality for quality in qualities if quality not in QUALITIES]:
        raise ValueError(
            f"suites are searched on data of the catalogue; unknown qualities {unknown}, valid: "
            f"{', '.join(QUALITIES)}"
        )
    return [
        Subject(
            algorithm=entry.algorithm,
            task=task,
            dataset=f"networld/{task}/{quality}-v0",
            base=entry.values_on(task, quality),
            fixed=tuple(sorted({f for d in entry.decisions.values() for f in d})),
        )
        for quality in qualities or suite.qualities
        for task in tasks or suite.tasks
        for entry in entries
        if quality in entry.qualities and search_space(entry.algorithm)
    ]


def with_choices(suite: Suite, choices: Choices) -> Suite:
    """The suite with chosen settings in its comparison and its ablations.

    An entry keeps fields that it sets itself and that make it a variant of its algorithm. Models
    that are trained on several tasks at once keep their settings.
    """
    changes: dict[str, Any] = {"entries": _chosen(suite.entries, suite.entries, choices)}
    if suite.ablation is not None:
        entries = _chosen(suite.ablation.entries, suite.entries, choices)
        changes["ablation"] = replace(suite.ablation, entries=entries)
    if suite.deployments is not None:
        entries = _chosen(suite.deployments.entries, suite.entries, choices)
        changes["deployments"] = replace(suite.deployments, entries=entries)
    return replace(suite, **changes)


def settled(suite: Suite, path: Path) -> Suite:
    """`with_choices` from a file that a user has named.

    Raises:
        ValueError: If there is no such file, or it has nothing for the suite.
    """
    choices = open_choices(path)
    if not any(choices.get(entry.algorithm) for entry in suite.entries):
        raise ValueError(
            f"{path} has no settings for the algorithms of suite {suite.name!r}; it has some for "
            f"{', '.join(choices) or 'none'}"
        )
    named = {key for tables in choices.values() for key in tables}
    if unusable := named - data_keys(TASKS) - {*QUALITIES}:
        raise ValueError(
            f"{path} has settings for {', '.join(sorted(unusable))}; suites use the data of the "
            "catalogue, so remove these tables"
        )
    return with_choices(suite, choices)


def merged(hand: Mapping[str, Mapping[str, Any]], chosen: Mapping[str, Mapping[str, Any]]) -> Any:
    """`Entry.by_data` of settings by hand, with chosen ones over them."""
    keys = [*hand, *(key for key in chosen if key not in hand)]
    return {key: {**hand.get(key, {}), **chosen.get(key, {})} for key in keys}


def main_entry(entries: Sequence[Entry], algorithm: str) -> Entry:
    """The entry of an algorithm that is labelled with its name, or else its first one."""
    own = [entry for entry in entries if entry.algorithm == algorithm]
    return next((entry for entry in own if entry.label == algorithm), own[0])


def _chosen(
    entries: Sequence[Entry], all_entries: Sequence[Entry], choices: Choices
) -> tuple[Entry, ...]:
    found = []
    for entry in entries:
        peers = [e for e in all_entries if e.algorithm == entry.algorithm]
        usual = main_entry(peers or entries, entry.algorithm).values
        missing = object()
        own = {k for k, v in entry.values.items() if usual.get(k, missing) != v}
        by_data = {}
        for data, fields in choices.get(entry.algorithm, {}).items():
            quality = data.rpartition("/")[2]
            if quality in QUALITIES and quality not in entry.qualities:
                continue  # a preset may exclude settings that only suit this data
            by_data[data] = {k: v for k, v in split(fields)[0].items() if k not in own}
        rates = dict(entry.rates)
        for name in (entry.algorithm, entry.rates_of or entry.label):
            for data, fields in choices.get(name, {}).items():
                if (rate := split(fields)[1]) is not None:
                    rates[data] = rate
        found.append(replace(entry, by_data=merged(entry.by_data, by_data), rates=rates))
    return tuple(found)
