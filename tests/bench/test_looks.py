import pytest

from networld_algos.bc import BC, BCConfig
from networld_algos.bench import runner
from networld_algos.bench.looks import current_display
from networld_algos.bench.parts import Entry
from networld_algos.bench.suite import Suite
from networld_algos.registry import ALGORITHMS
from networld_algos.results.display import Display, MethodLook, TaskLook
from networld_algos.results.folder import read_display, write_display
from networld_envs.simulator import TASKS


class Mine(BC):
    name = "mine"
    look = MethodLook("Mine")


class Unnamed(BC):
    name = "unnamed"


def test_built_in_tasks_and_algorithms_come_in_the_order_of_figures():
    display = current_display()
    assert list(display.tasks) == list(TASKS)  # tests may have added others
    assert list(display.tasks)[:3] == ["cbf", "rb", "ns"]
    assert display.tasks["ns"] == TaskLook("network slicing", "Average reward (mean SSR)")
    names = ["networld", "bc", "ma-iql", "ma-cql", "ma-dt", "ma-dd"]
    assert list(display.algorithms)[:6] == names == list(ALGORITHMS)[:6]
    looks = [display.algorithms[name] for name in names]
    assert len({look.title for look in looks}) == len({look.marker for look in looks}) == 6


def test_a_subclass_does_not_take_over_the_look_of_its_base(monkeypatch):
    monkeypatch.setitem(ALGORITHMS, "mine", (BCConfig, Mine))
    monkeypatch.setitem(ALGORITHMS, "unnamed", (BCConfig, Unnamed))
    display = current_display()
    assert list(display.algorithms)[-1] == "mine"
    assert display.algorithms["mine"] == MethodLook("Mine")
    assert "unnamed" not in display.algorithms


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_records_looks_beside_its_rows(tmp_path, monkeypatch, jobs):
    monkeypatch.setattr(runner, "unfinished", lambda *_: [])
    folder = tmp_path / "tiny"
    write_display(folder, Display({}, {"mine": MethodLook("Mine")}))  # of an earlier command
    suite = Suite("tiny", ("rb",), (Entry("bc"),), 1, 6)
    assert runner.run_suite(suite, tmp_path, jobs) == []
    expected = current_display()
    found = read_display(folder)
    assert found is not None
    assert found.tasks == expected.tasks
    assert found.algorithms == {**expected.algorithms, "mine": MethodLook("Mine")}
