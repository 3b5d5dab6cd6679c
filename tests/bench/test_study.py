"""`benchmarks/study.py`: small studies on validation networks, which go on where they stopped."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from networld_algos.registry import make_config

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

STUDY = """
seeds = [0, 1]
updates = {cbf = 20, rb = 10}

[[case]]
label = "cloning"
algorithm = "bc"
task = ["cbf", "rb"]
quality = "expert"
episodes = [1, 15]

[[case]]
label = "searched"
algorithm = "bc"
task = "rb"
quality = "mixed"
searched = "mixed"
settings = {layers = 1}
"""


@pytest.fixture(scope="module")
def study() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("study", BENCHMARKS / "study.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["study"] = module
    spec.loader.exec_module(module)
    return module


def test_lists_stand_for_several_cases(study: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "some.toml"
    path.write_text(STUDY, encoding="utf-8")
    cases = study.read_cases(path)
    assert [(c.label, c.task, c.episodes) for c in cases] == [
        ("cloning", "cbf", 1),
        ("cloning", "cbf", 15),
        ("cloning", "rb", 1),
        ("cloning", "rb", 15),
        ("searched", "rb", None),
    ]
    assert cases[-1].seeds == (0, 1)
    settings = study.settings_of(cases[-1])
    assert settings["layers"] == 1
    assert settings["learning_rate"] != 1e-3  # that of the search
    assert study.settings_of(cases[0]) == {}


def test_a_study_goes_on_where_it_stopped(study: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "some.toml"
    path.write_text(STUDY, encoding="utf-8")
    cases = study.read_cases(path)
    case = study.Case("tiny", "bc", "ns", "expert", 4, episodes=1, networks=2, evaluations=2)
    rows = study.run(case, 0)
    assert [row["updates"] for row in rows] == [2, 4]
    assert len(list(study.unfinished([case, *cases], []))) == 11
    assert len(list(study.unfinished([case, *cases], rows))) == 10
    table = study.table(rows)
    assert table.count("\n") == 2  # only the last update
    assert "| `ns` expert, 1 episodes | tiny | 4, 0.0 |" in table


@pytest.mark.parametrize(
    "path", sorted((BENCHMARKS / "studies").glob("*.toml")), ids=lambda p: p.stem
)
def test_committed_studies_can_be_run(study: ModuleType, path: Path) -> None:
    for case in study.read_cases(path):
        make_config(case.algorithm, study.settings_of(case))
