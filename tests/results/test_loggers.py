"""Loggers: nothing is shown twice after an interruption, and nothing is loaded unasked."""

from __future__ import annotations

import csv
import json
import struct
import subprocess
import sys

import pytest

from networld_algos.results.loggers import LOGGERS, Log, logger_kind
from networld_algos.results.loggers.csv_file import FILE, CsvLogger
from tests.report.rows import make_row

BLOCK = 1 << 15
ABOUT = {"name": "a training"}


def rows_of(folder):
    with (folder / FILE).open(newline="") as file:
        return [(int(r["updates"]), r["name"], float(r["value"])) for r in csv.DictReader(file)]


def part(folder, names, first, last, total=100):
    """One process's part of a training: from after update ``first`` to ``last``."""
    with Log(names, folder) as log:
        log.start(first, total, ABOUT)
        for update in range(first + 1, last + 1):
            log.losses(update, {"a_loss": update / 7})
            if update % 40 == 0:
                log.scores([make_row(label="bc", updates=update, score=1.5)])


def test_a_resumed_csv_file_is_that_of_an_uninterrupted_training(tmp_path):
    part(tmp_path / "whole", ["csv"], 0, 100)
    part(tmp_path / "cut", ["csv"], 0, 90)  # the last checkpoint was after update 50
    with (tmp_path / "cut" / FILE).open("a") as file:
        file.write("95,loss/a_l")  # killed while it wrote
    part(tmp_path / "cut", ["csv"], 50, 100)
    whole = (tmp_path / "whole" / FILE).read_text()
    assert (tmp_path / "cut" / FILE).read_text() == whole
    assert rows_of(tmp_path / "cut")[:4] == [
        (20, "loss/a_loss", 20 / 7),
        (40, "loss/a_loss", 40 / 7),
        (40, "eval/reward", make_row().mean_return),
        (40, "eval/score", 1.5),
    ]


def test_scores_on_validation_and_test_networks_have_names_of_their_own(tmp_path):
    values = {"label": "bc", "updates": 40, "extra": {"parameters": 7}}
    rows = [
        make_row(**values, score=1.0, eval_seed_set="validation"),
        make_row(**values, score=2.0),
    ]
    with Log(["csv"], tmp_path) as log:
        log.start(0, 40, ABOUT)
        log.scores(rows)
    found = [(name, value) for _, name, value in rows_of(tmp_path)]
    assert len(dict(found)) == len(found) == 5
    assert dict(found)["eval/validation_score"] == 1.0
    assert dict(found)["eval/score"] == 2.0


def test_names_have_a_label_only_for_a_further_way_to_decide(tmp_path):
    """Trainings of two methods share a chart of scores."""
    values = {"updates": 40, "score": 1.0}
    with Log(["csv"], tmp_path) as log:
        log.start(0, 40, ABOUT)
        labels = ("mine", "mine, plan/b", "eval")  # the last as if it were the first
        log.scores([make_row(label=label, **values) for label in labels])
        log.scores([])
    names = [name for _, name, _ in rows_of(tmp_path)]
    further = "mine, plan\N{DIVISION SLASH}b"
    assert [n for n in names if n.endswith("score")] == [
        "eval/score",
        f"{further}/score",
        "eval_/score",
    ]


def test_each_call_has_written_its_lines_when_it_returns(tmp_path):
    logger = CsvLogger(tmp_path)
    logger.start(0, ABOUT)
    logger.log(1, {"a": 0.1, 'comma, "quote"': 1e-300})
    assert rows_of(tmp_path) == [(1, "a", 0.1), (1, 'comma, "quote"', 1e-300)]
    logger.close()


@pytest.mark.parametrize("text", ["", "\0\xff\n3,x\n", "updates,name,value\n7,a,b,c\n\n"])
def test_a_damaged_csv_file_does_not_stop_a_training(tmp_path, text):
    (tmp_path / FILE).write_text(text, encoding="utf-8")
    logger = CsvLogger(tmp_path)
    logger.start(10, ABOUT)
    logger.log(20, {"a": 1.0})
    logger.close()
    assert rows_of(tmp_path) == [(20, "a", 1.0)]


def test_the_last_update_is_logged_and_what_is_not_finite_is_left_out(tmp_path):
    with Log(["csv", "csv"], tmp_path) as log:  # a repeated name counts once
        log.start(0, 30, ABOUT)
        for update in range(1, 31):
            log.losses(update, {"a": 1.0, "b": float("nan")})
    assert rows_of(tmp_path) == [(20, "loss/a", 1.0), (30, "loss/a", 1.0)]


def test_nothing_is_written_before_the_start(tmp_path):
    with Log(["csv"], tmp_path / "logs"):
        pass
    assert not (tmp_path / "logs").exists()


def test_no_library_is_loaded_unless_it_is_asked_for(tmp_path):
    code = (
        "import sys; from networld_algos.results.loggers import Log; "
        f"Log(['csv'], {str(tmp_path)!r}); import networld_algos.cli.command; "
        "assert not {'wandb', 'tensorboard'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("name", "module"), [("tensorboard", "torch.utils.tensorboard"), ("wandb", "wandb")]
)
def test_a_missing_library_is_named_with_its_extra(tmp_path, monkeypatch, name, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"pip install 'networld\[{name}\]'"):
        Log([name], tmp_path)


MINE = """
class Mine:
    def __init__(self, folder):
        self.path = folder / "mine.txt"

    def start(self, done, about):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.lines = [f"start {done} {about['name']}"]

    def log(self, updates, values):
        self.lines.append(f"{updates} {sorted(values)}")

    def close(self):
        self.path.write_text("\\n".join(self.lines))

class Half:
    def start(self, done, about): ...
"""


def test_your_own_logger_is_a_class_in_a_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    part(tmp_path / "logs", [f"{path}:Mine"], 0, 40)
    assert (tmp_path / "logs" / "mine.txt").read_text().splitlines() == [
        "start 0 a training",
        "20 ['loss/a_loss']",
        "40 ['loss/a_loss']",
        "40 ['eval/reward', 'eval/score']",
    ]
    for name, said in (
        (f"{path}:Half", "methods start, log and close"),
        (f"{path}:None", "methods start, log and close"),
        (f"{tmp_path}/no.py:Mine", "there is no file"),
        ("cvs", "did you mean 'csv'"),
        ("", "loggers: csv, tensorboard, wandb"),
    ):
        with pytest.raises(ValueError, match=said):
            logger_kind(name)


def test_every_started_logger_is_closed_whatever_the_others_do(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        MINE
        + """
class NoStart(Mine):
    def start(self, done, about):
        raise OSError("no room")

class NoClose(Mine):
    def close(self):
        raise OSError("no room")

class NoClose2(NoClose): ...
"""
    )
    names = [f"{path}:{kind}" for kind in ("NoClose", "Mine", "NoClose2", "NoStart")]
    with pytest.raises(OSError, match="no room"):
        part(tmp_path / "logs", names, 0, 20)
    assert (tmp_path / "logs" / "mine.txt").read_text() == "start 0 a training"
    with pytest.raises(OSError, match="no room"):
        part(tmp_path / "more", names[:3], 0, 20)
    assert "loss/a_loss" in (tmp_path / "more" / "mine.txt").read_text()


def test_every_logger_can_be_found():
    for name in LOGGERS:
        assert callable(logger_kind(name).start)


@pytest.mark.interop
def test_wandb_offline_goes_on_as_one_run_without_repeating_itself(tmp_path, monkeypatch):
    """Offline, nothing is sent: the files of both processes have one id and no step twice."""
    wandb = pytest.importorskip("wandb", reason="needs networld[wandb]")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    part(tmp_path, ["wandb"], 0, 50)
    part(tmp_path, ["wandb"], 30, 100)
    wandb.teardown()  # as at the end of a process: waits until everything is written
    folders = sorted((tmp_path / "wandb").glob("offline-run-*"))
    # offline-run-TIME-ID, and a further -1 if both began in the same second
    ids = {folder.name.split("-")[3] for folder in folders}
    assert len(folders) == 2
    assert ids == {json.loads((tmp_path / "wandb" / "run.json").read_text())["id"]}
    found = [step for folder in folders for step in steps(next(folder.glob("*.wandb")))]
    losses = [step for step, names in found if "loss/a_loss" in names]
    scores = [step for step, names in found if "eval/score" in names]
    assert losses == [20, 40, 60, 80, 100]
    assert scores == [40, 80]


def steps(path):
    """Step and names of each record of a file of Weights & Biases, a LevelDB log."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, whole, found = path.read_bytes(), 7, b"", []
    while at + 7 <= len(data):
        if (left := -at % BLOCK) and left < 7:
            at += left
            continue
        _, length, part = struct.unpack_from("<IHB", data, at)
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if part in (1, 4):  # the whole record, or its last part
            record, whole = Record.FromString(whole), b""
            if record.WhichOneof("record_type") == "history":
                items = record.history.item
                names = {item.key or ".".join(item.nested_key) for item in items}
                found.append((record.history.step.num, names))
    return found
