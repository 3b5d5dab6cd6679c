"""How fast this machine trains, and fewer updates for a small suite on a slow one.

A suite that should end within minutes (`Suite.fewer_if_slow`) is measured against the machine whose
rates are beside its settings: the updates per minute of its first entry on its first data. The rate
is stored in the suite's folder, so every later call finds the same budgets and resumes its runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from networld_algos.bench.parts import Entry
from networld_algos.bench.suite import Suite
from networld_algos.data.load import load_episodes
from networld_algos.registry import make
from networld_algos.training.cpu import configure_cpu, training_clock
from networld_algos.training.train import train
from networld_algos.training.tuning.choices import RATE, read_choices, write_choices
from networld_envs import store

EPISODES = 50  # of a dataset, for the measurement
WARM_UP, MEASURED = 5, 30  # updates
SHARES = (1.0, 0.5, 0.25)
"""Shares of a suite's updates from which a machine gets the largest that it can do in time."""
SLACK = 1.4
"""Times as long as on the machine of the rates that updates may take; rates of a machine with two
cores vary by a quarter with what else runs."""


def measured_rate(entry: Entry, task: str, quality: str) -> float:
    """Updates per minute of an entry on some data, in processor time of one core.

    The dataset is built if it is missing.
    """
    configure_cpu()
    dataset_id = f"networld/{task}/{quality}-v0"
    if not store.is_local(dataset_id):
        store.obtain(dataset_id)
    episodes = load_episodes(dataset_id, task, episodes=EPISODES, seed=0)
    model = make(entry.algorithm, episodes.spec, entry.values_on(task, quality))
    model.prepare(episodes, WARM_UP + MEASURED)
    train(model, [episodes], WARM_UP, seed=0)
    clock = training_clock("cpu")
    started = clock()
    train(model, [episodes], WARM_UP + MEASURED, seed=0, first=WARM_UP)
    return round(60 * MEASURED / (clock() - started), 1)


def share_here(
    suite: Suite, rates: Path, measure: Callable[[Entry, str, str], float] | None = measured_rate
) -> float:
    """The share of a suite's updates that suits this machine; 1 if the suite is not for that.

    Args:
        suite: A suite, whose first entry has the rate with which this machine is compared.
        rates: File of the measured rate, which is read or written.
        measure: Measures a rate that is not stored yet. None measures nothing and takes this
            machine to be as fast as that of the suite's rate.

    Raises:
        ValueError: If the suite lacks that rate.
    """
    if not suite.fewer_if_slow:
        return 1.0
    entry, task, quality = suite.entries[0], suite.tasks[0], suite.qualities[0]
    key = f"{task}/{quality}"
    usual = entry.rates.get(key, entry.rates.get(task))
    if usual is None:
        raise ValueError(
            f"suite {suite.name!r} has fewer_if_slow, so its first entry needs rates for {key!r}"
        )
    known = read_choices(rates) if rates.is_file() else {}
    found = known.setdefault(entry.algorithm, {}).get(key, {}).get(RATE)
    if found is None:
        if measure is None:
            return 1.0
        found = measure(entry, task, quality)
        known[entry.algorithm][key] = {RATE: found}
        write_choices(rates, known)
    return share_for(usual / found)


def share_for(slowness: float) -> float:
    """The share of the updates on a machine that takes ``slowness`` times as long."""
    return next((s for s in SHARES if s * slowness <= SLACK), SHARES[-1])


def with_share(suite: Suite, share: float) -> Suite:
    """The suite with this share of its updates, in the comparison and in the few-shot part."""
    if share == 1.0:
        return suite
    few = suite.fewshot
    if few is not None:
        before = round(share * few.pretrain_updates)
        few = replace(few, updates=round(share * few.updates), pretrain_updates=before)
    return replace(suite, updates=round(share * suite.updates), fewshot=few)
