"""Workers that die, and a Ray cluster: nothing is lost, nothing is doubled, the rest goes on."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest

from networld_algos.results.folder import read_failures
from networld_algos.results.rows import read_rows
from tests.helpers.catalogue import build_short

pytestmark = pytest.mark.slow
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs networld[ray]")
BACKENDS = ["local", pytest.param("ray", marks=needs_ray)]
TIMINGS = {"git_commit", "train_seconds", "latency_p50_ms", "latency_p99_ms"}

SCRIPT = """
import json, os, sys
from pathlib import Path
from networld_algos import ALGORITHMS
from networld_algos.bc import BC, BCConfig
from networld_algos.bench import run_suite
from networld_algos.bench import Entry, Suite

class Mortal(BC):
    name = "mortal"
    def update(self, batch, generator):
        marks = Path(MARKS)
        marks.mkdir(exist_ok=True)
        deaths = len(list(marks.glob(f"{self.seed}-*")))
        if self.counters["updates"] == 7 and deaths < DEATHS and self.seed < 1:
            (marks / f"{self.seed}-{deaths}").touch()
            os.kill(os.getpid(), 9)
        return super().update(batch, generator)

ALGORITHMS["mortal"] = (BCConfig, Mortal)
if __name__ == "__main__":
    suite = Suite("tiny", ("rb",), (Entry("mortal"), Entry("bc")), seeds=2, updates=UPDATES,
                  evaluations=4, eval_episodes=2)
    outcomes = run_suite(suite, Path(sys.argv[1]), jobs=2, backend=sys.argv[2])
    print(json.dumps([[o.run.title, o.error] for o in outcomes]))
"""


@pytest.fixture(scope="module", autouse=True)
def small_store(tmp_path_factory):
    """The RB expert dataset with few episodes, in a store of its own."""
    root = tmp_path_factory.mktemp("minari")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NETWORLD_ONEDNN", "1")  # processes on a busy machine may choose differently
        yield build_short(patch, root, 8, "networld/rb/expert-v0")


def command(tmp_path, name, backend, deaths, updates=12):
    """A script that runs a suite, and the folder of marks that its dying workers leave."""
    marks = tmp_path / f"{name}-marks"
    script = tmp_path / f"{name}.py"
    text = SCRIPT.replace("MARKS", repr(str(marks))).replace("DEATHS", str(deaths))
    script.write_text(text.replace("UPDATES", str(updates)))
    return [sys.executable, "-W", "ignore", str(script), str(tmp_path / name), backend], marks


def run(tmp_path, name, backend, deaths, updates=12):
    """Outcomes of a suite in a process of its own: title -> error."""
    words, marks = command(tmp_path, name, backend, deaths, updates)
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout.splitlines()[-1])
    assert len({title for title, _ in outcomes}) == len(outcomes)  # each is told once
    return dict(outcomes), marks


def rows_of(folder):
    """Rows without what a clock measured, in a fixed order."""
    rows = [json.loads(row.to_json()) for row in read_rows(folder)]
    kept = [{k: v for k, v in row.items() if k not in TIMINGS} for row in rows]
    return sorted(kept, key=lambda r: json.dumps(r, sort_keys=True))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_dead_worker_costs_nothing(tmp_path, backend):
    whole, _ = run(tmp_path, "whole", backend, deaths=0)
    cut, marks = run(tmp_path, "cut", backend, deaths=1)
    assert len(list(marks.iterdir())) == 1  # it did die, once
    assert whole == cut
    assert set(cut.values()) == {""}
    rows = rows_of(tmp_path / "cut")
    assert rows == rows_of(tmp_path / "whole")
    assert len([r for r in rows if r["kind"] == "learned"]) == 16
    assert not list((tmp_path / "cut" / "tiny" / "checkpoints").iterdir())


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_run_that_kills_every_worker_is_recorded_and_the_rest_is_done(tmp_path, backend):
    outcomes, _ = run(tmp_path, "bad", backend, deaths=99)
    title = "comparison / rb / expert / mortal / seed 0"
    assert [name for name, error in outcomes.items() if error] == [title]
    assert "3 workers died" in outcomes[title]
    (failure,) = read_failures(tmp_path / "bad" / "tiny")
    assert failure.run == title
    learned = {(r.label, r.seed) for r in read_rows(tmp_path / "bad") if r.kind == "learned"}
    assert learned == {("mortal", 1), ("bc", 0), ("bc", 1)}


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_killed_runner_loses_and_doubles_no_row(tmp_path, backend):
    run(tmp_path, "whole", backend, deaths=0, updates=80)
    words, _ = command(tmp_path, "cut", backend, deaths=0, updates=80)
    cut = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while not list((tmp_path / "cut").glob("tiny/checkpoints/*/checkpoint.json")):
        assert time.monotonic() < deadline
        assert cut.poll() is None
        time.sleep(0.01)
    cut.kill()
    cut.wait()
    assert len(list((tmp_path / "cut" / "tiny").glob("comparison*.jsonl"))) < 4
    again, _ = run(tmp_path, "cut", backend, deaths=0, updates=80)
    assert set(again.values()) == {""}
    rows = rows_of(tmp_path / "cut")
    assert rows == rows_of(tmp_path / "whole")
    assert len([r for r in rows if r["kind"] == "learned"]) == 16


@needs_ray
def test_a_ray_cluster_of_two_workers_gives_the_rows_of_one_process(tmp_path):
    there, _ = run(tmp_path, "cluster", "ray", deaths=0)
    here, _ = run(tmp_path, "local", "local", deaths=0)
    assert there == here
    assert rows_of(tmp_path / "cluster") == rows_of(tmp_path / "local")


def test_ray_without_ray_says_what_to_install():
    if find_spec("ray") is not None:
        pytest.skip("Ray is installed")
    from networld_algos.bench.backends import load_ray

    with pytest.raises(ImportError, match=r"pip install 'networld\[ray\]'"):
        load_ray()


def test_backends_and_jobs_are_checked_before_anything_is_done(tmp_path):
    from networld_algos.bench import run_suite
    from networld_algos.bench.presets import get_suite

    suite = get_suite("smoke")
    for options, message in (
        ({"backend": "slurm"}, "backend must be one of"),
        ({"jobs": 0}, "jobs must be at least 1, got 0"),
        ({"ray_address": "auto"}, "needs backend 'ray'"),
        ({"only": ["speed"]}, "has no part speed"),
    ):
        with pytest.raises(ValueError, match=message):
            run_suite(suite, tmp_path / "none", **options)
    assert not list((tmp_path / "none").rglob("*.jsonl"))
