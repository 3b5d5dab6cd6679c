"""Animations of policies side by side, and the command that makes them."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from networld_algos.cli.command import main
from networld_envs.policies.animation import CHART_PX, COLOURS, TITLE_PX, animate, save
from networld_envs.policies.references import reference_rewards

TASKS = ("cbf", "rb", "ns")
ASSETS = Path(__file__).parents[3] / "docs" / "assets"


@pytest.mark.parametrize("task", TASKS)
def test_frames_of_two_policies_on_one_network(task):
    frames = animate(task, ("expert", "random"), seed=3, steps=5, every=2)
    assert len(frames) == 3  # steps 1, 3, 5
    assert {frame.shape for frame in frames} == {(TITLE_PX + 360 + CHART_PX, 960, 3)}
    again = animate(task, ("expert", "random"), seed=3, steps=5, every=2)
    assert all((a == b).all() for a, b in zip(frames, again, strict=True))
    assert any((a != b).any() for a, b in pairwise(frames))
    same = animate(task, ("expert", "expert"), seed=3, steps=2)[-1]
    left, right = same[TITLE_PX:-CHART_PX, :480], same[TITLE_PX:-CHART_PX, 480:]
    assert (left == right).all()
    assert (frames[-1][TITLE_PX:-CHART_PX, :480] != frames[-1][TITLE_PX:-CHART_PX, 480:]).any()


def test_the_chart_ranks_the_policies():
    last = animate("rb", ("random", "expert"), seed=1, steps=12, every=12)[-1][-CHART_PX:]
    rows = [
        np.nonzero((np.abs(last[:, -28:-20].astype(int) - colour).max(-1) < 40).any(1))[0].mean()
        for colour in COLOURS[:2]
    ]
    worse, better = (reference_rewards("rb", p, [1], 12)[0] for p in ("random", "expert"))
    assert worse < better
    assert rows[0] > rows[1]  # y points down


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_files_hold_the_frames(suffix, tmp_path):
    frames = animate("ns", ("expert",), steps=6, every=2)
    with Image.open(save(frames, tmp_path / "new" / f"ns{suffix}", fps=5)) as file:
        assert file.n_frames == 3
        assert file.info["loop"] == 0
        for i, frame in enumerate(frames):
            file.seek(i)
            off = np.abs(np.asarray(file.convert("RGB")).astype(int) - frame)
            assert off.mean() < 3  # a small palette
            assert (off.max(axis=-1) == 0).mean() > 0.5  # paper and the colours that matter


def test_bad_arguments_are_refused(tmp_path):
    for wrong, match in (
        ({"policies": ()}, "1 to 4 policies"),
        ({"policies": ("expert", "best")}, "no policy 'best'"),
        ({"steps": 0}, "steps must be an integer of at least 1, got 0"),
        ({"every": 0}, "every must be an integer of at least 1, got 0"),
        ({"preset": "ge2020"}, "'expert' cannot act .* that can: random, genie"),
        ({"size": (100, 100)}, "the width in size must be an integer"),
    ):
        with pytest.raises(ValueError, match=match):
            animate("cbf", **{"steps": 2, **wrong})
    with pytest.raises(ValueError, match="must end in one of"):
        save([np.zeros((4, 4, 3), np.uint8)], tmp_path / "x.mp4")
    with pytest.raises(ValueError, match="at least one frame"):
        save([], tmp_path / "x.gif")


def test_command(tmp_path, capsys):
    out = tmp_path / "rb.webp"
    command = ["render", "--task", "rb", "--policy", "cap", "--policy", "genie", "--out", str(out)]
    assert main([*command, "--steps", "4", "--preset", "ring6"]) == 0
    with Image.open(out) as file:
        assert file.n_frames == 2
    assert "2 frames" in capsys.readouterr().out
    assert main(["render", "--task", "rb", "--out", str(tmp_path / "rb.avi")]) == 2
    assert ".gif, .webp, .png" in capsys.readouterr().err


@pytest.mark.parametrize("task", TASKS)
def test_committed_animations_are_small(task):
    path = ASSETS / f"{task}.webp"
    assert path.stat().st_size < 500_000
    with Image.open(path) as file:
        assert file.n_frames == 20
        assert file.size[0] <= 960
