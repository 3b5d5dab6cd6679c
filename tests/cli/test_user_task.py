"""``--task path/to/file.py`` in the commands that train and judge a model."""

import re
from pathlib import Path

import pytest

from networld_algos.cli.command import main
from networld_envs import add_task, store
from networld_envs.policies.rollout import Behaviour
from networld_envs.simulator import TASKS

EXAMPLE = str(Path(__file__).resolve().parents[2] / "examples" / "my_task.py")
DATASET = "networld/ring/expert-v0"


@pytest.fixture
def forget():
    """Forgets every added task, as a new process would."""
    before = dict(TASKS)

    def restore() -> None:
        TASKS.clear()
        TASKS.update(before)

    yield restore
    restore()


def said(capsys) -> str:
    """What a command printed, as one line."""
    captured = capsys.readouterr()
    return re.sub(r"[│\s]+", " ", captured.out + captured.err)


def test_train_evaluate_and_health_take_the_file_of_a_task(tmp_path, monkeypatch, capsys, forget):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    add_task(EXAMPLE)
    store.build(store.Recipe(DATASET, "ring", 10, 8, 7, (Behaviour("expert"),)))
    forget()
    model = str(tmp_path / "model")
    options = ["--task", EXAMPLE, "--updates", "3", "--config.hidden", "8", "--out", model]
    assert main(["train", "bc", *options]) == 0
    assert f"next: networld evaluate {model} --task {EXAMPLE}" in said(capsys)
    forget()
    assert main(["evaluate", model, "--task", EXAMPLE, "--episodes", "2"]) == 0
    assert "ring: average reward per agent and step, 2 episodes" in said(capsys)
    forget()
    assert main(["health", model, "--task", EXAMPLE]) == 0
    assert "bc has no diagnostics" in said(capsys)
    forget()
    assert main(["evaluate", model, "--episodes", "2"]) == 2
    assert "was trained for your own task 'ring'; give its file" in said(capsys)


@pytest.mark.parametrize(
    "command",
    [
        ["train", "bc", "--out", "model"],
        ["evaluate", "model"],
        ["health", "model"],
        ["dataset", "import", "logs.npz", "--id", "networld/x/y-v0"],
    ],
)
def test_an_unknown_task_is_refused_with_the_valid_ones(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*command, "--task", "nosuch"]) == 2
    assert "unknown task 'nosuch'; valid tasks: cbf, rb, ns" in said(capsys)
    assert main([*command, "--task", "nosuch.py"]) == 2
    assert "there is no file nosuch.py" in said(capsys)
