"""The script that compares learning with d3rlpy's runs, and its committed table is its rows'."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def parity():
    spec = importlib.util.spec_from_file_location("parity", FOLDER / "parity.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["parity"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["parity"]


def test_the_committed_table_is_that_of_the_rows(parity):
    rows = parity.read(FOLDER / "results" / "parity")
    assert (FOLDER / "results" / "parity" / "table.md").read_text() == parity.table(rows)
    for case in parity.COMPARISONS:
        for library in parity.LIBRARIES:
            mine = [
                row
                for row in rows
                if (row["task"], row["algorithm"], row["library"])
                == (case.task, case.algorithm, library)
            ]
            assert sorted(row["seed"] for row in mine) == list(range(10)), (case, library)
            assert {row["updates"] for row in mine} == {case.updates}


def test_the_data_is_the_controllers_and_random_steps(parity):
    data = parity.collect("CartPole-v1", 6)
    assert data.obs.shape[1] == data.actions.shape[1] + 1
    for k, length in enumerate(data.lengths):
        assert data.terminated[k, length - 1] != data.truncated[k, length - 1]
        assert data.rewards[k, :length].sum() == length
        assert not data.rewards[k, length:].any()
    again = parity.collect("CartPole-v1", 6)
    np.testing.assert_array_equal(again.obs, data.obs)
    expert = parity.roll("CartPole-v1", lambda obs: parity.controller("CartPole-v1", obs), [1, 2])
    assert [len(rewards) for rewards in expert[2]] == [500, 500]
    swing = parity.roll("Pendulum-v1", lambda obs: parity.controller("Pendulum-v1", obs), [1, 2])
    assert np.mean([rewards.sum() for rewards in swing[2]]) > -400


@pytest.mark.slow
@pytest.mark.interop
def test_a_tiny_comparison(parity, tmp_path):
    """Both libraries balance longer than chance (about 22 steps); a cut-off run is done again."""
    pytest.importorskip("d3rlpy", reason="d3rlpy is absent: pip install 'networld[interop]'")
    parity.quiet()
    cases = (
        replace(parity.COMPARISONS[0], updates=1000),
        replace(parity.COMPARISONS[1], episodes=4, updates=20),
        replace(parity.COMPARISONS[2], episodes=4, updates=20),
    )
    rows = parity.compare(cases, tmp_path, seeds=2, evaluation_episodes=4)
    assert len(rows) == 2 * 2 * len(cases)
    for library in parity.LIBRARIES:
        mine = [r["return"] for r in rows if (r["task"], r["library"]) == ("CartPole-v1", library)]
        assert np.mean(mine) > 30, mine
    text = (tmp_path / "table.md").read_text()
    assert text == parity.table(rows)
    assert text.count("| Pendulum-v1 |") == 2
    before = (tmp_path / "rows.jsonl").read_text()
    lines = before.splitlines(keepends=True)
    (tmp_path / "rows.jsonl").write_text("".join(lines[:-1]))  # a run that was cut off
    again = parity.compare(cases, tmp_path, seeds=2, evaluation_episodes=4)
    assert [row["return"] for row in again] == [row["return"] for row in rows]
