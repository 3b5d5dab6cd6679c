"""The options of ``networld train``: one parse, presets, help of every algorithm."""

import re

import pytest

from networld_algos import make_config
from networld_algos.cli.command import main
from networld_algos.cli.train import TrainOptions, parse

COMMON = ("--task", "rb", "--out", "x")


def test_options_are_a_dataclass_with_the_config_of_the_algorithm():
    found = parse(["bc", *COMMON, "--updates", "7", "--config.hidden", "32"])
    assert isinstance(found, TrainOptions)
    assert (found.algorithm, found.task, str(found.out)) == ("bc", "rb", "x")
    assert (found.updates, found.preset, found.dataset) == (7, "default", None)
    assert found.config == make_config("bc", {"hidden": 32})


@pytest.mark.parametrize("place", [0, 1, 5])
@pytest.mark.parametrize("preset", [["--preset", "faithful"], ["--preset=faithful"]])
def test_the_algorithms_own_options_start_from_the_preset(place, preset):
    args = ["networld", *COMMON, "--config.dim", "8"]
    args[place:place] = preset
    found = parse(args)
    assert found.preset == "faithful"
    faithful = make_config("networld", "faithful")
    assert found.config == make_config("networld", {**vars(faithful), "dim": 8})
    assert found.config != make_config("networld", {"dim": 8})
    # An option wins over the preset even if it names the value of another preset.
    other = parse([*args, "--config.prediction", "x0"]).config
    assert (faithful.prediction, other.prediction) == ("epsilon", "x0")


def helped(capsys, *args):
    with pytest.raises(SystemExit, match="0"):
        main(["train", *args, "--help"])
    return re.sub(r"[│\s]+", " ", capsys.readouterr().out)


def test_help_says_what_each_algorithm_is_and_what_a_preset_sets(capsys):
    assert "bc Behaviour cloning with shared parameters." in helped(capsys)
    text = helped(capsys, "bc")
    assert "To train one model in several processes, start them with torchrun" in text
    assert "--task STR cbf, rb, ns, or your own task: path/to/file.py. (required)" in text
    assert "--algorithm" not in text
    text = helped(capsys, "networld", "--preset", "faithful")
    assert "(default: faithful)" in text
    assert re.search(r"--config.prediction {x0,epsilon} [^(]*\(default: epsilon\)", text)
    assert re.search(
        r"--config.prediction {x0,epsilon} [^(]*\(default: x0\)", helped(capsys, "networld")
    )


@pytest.mark.parametrize("args", [["--preset", "nosuch"], ["--preset=nosuch"]])
def test_an_unknown_preset_is_named_with_those_there_are(args, capsys):
    assert main(["train", "networld", *COMMON, *args]) == 2
    assert "unknown preset 'nosuch' of 'networld'; it has default, faithful" in (
        capsys.readouterr().err
    )


def test_a_preset_without_a_name_is_an_error(capsys):
    assert main(["train", "networld", *COMMON, "--preset"]) == 2
    assert "unknown preset '' of 'networld'; it has default" in capsys.readouterr().err
