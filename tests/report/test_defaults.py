"""Figures are the same whatever Matplotlib settings the user has."""

import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

from networld_algos.report import style

OWN = """
text.usetex: True
font.family: serif
font.size: 19
figure.dpi: 37
figure.figsize: 1, 1
figure.facecolor: black
savefig.dpi: 51
savefig.bbox: tight
savefig.transparent: True
savefig.pad_inches: 3
savefig.facecolor: red
axes.prop_cycle: cycler('color', ['ff0000'])
axes.facecolor: yellow
axes.titlelocation: right
axes.formatter.limits: 0, 0
axes.xmargin: 0.4
lines.linewidth: 9
lines.markersize: 20
patch.linewidth: 7
path.sketch: 3, 100, 2
path.simplify: False
legend.frameon: True
legend.labelspacing: 3
xtick.top: True
ytick.minor.visible: True
svg.hashsalt: mine
svg.fonttype: none
svg.id: mine
mathtext.fontset: stix
text.hinting: none
text.antialiased: False
hist.bins: 3
"""
CODE = """
import hashlib, sys
from dataclasses import replace
from pathlib import Path
from networld_algos.report.page import write_report
from tests.report.rows import *
rows = reference_rows(4) + comparison_rows(2, 2) + robustness_rows(2) + cost_rows(2)
rows = [r for r in rows + ablation_rows(2) + fewshot_rows(2) if r.task == "ns"]
write_report(rows, sys.argv[1], "t")
for path in sorted(Path(sys.argv[1]).rglob("*")):
    if path.is_file():
        print(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
"""
ROOT = Path(__file__).resolve().parents[2]


def test_a_matplotlibrc_changes_no_byte_of_a_report(tmp_path):
    written = []
    for number, text in enumerate(("", OWN)):
        config = tmp_path / f"config{number}"
        config.mkdir()
        (config / "matplotlibrc").write_text(text)
        done = subprocess.run(
            [sys.executable, "-c", CODE, str(tmp_path / f"report{number}")],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            env={**os.environ, "MATPLOTLIBRC": str(config)},
        )
        written.append(done.stdout.splitlines())
    assert len(written[0]) > 15
    assert written[0] == written[1]


def test_every_setting_is_matplotlibs_own_or_the_styles():
    """Whatever there is in rcParams; only the choice of a backend stays the user's."""
    saved = dict(dict.items(matplotlib.rcParams))
    plain = dict(dict.items(matplotlib.rcParamsDefault))
    own = {key for key in plain if not key.startswith("backend")}
    marker = object()
    try:
        dict.update(matplotlib.rcParams, dict.fromkeys(own, marker))
        with style.drawing():
            inside = dict(dict.items(matplotlib.rcParams))
        outside = dict(dict.items(matplotlib.rcParams))
    finally:
        dict.update(matplotlib.rcParams, saved)
    for key in own:
        expected = style.STYLE.get(key, plain[key])
        assert inside[key] == matplotlib.rcsetup._validators[key](expected), key  # pyright: ignore
    assert all(outside[key] is marker for key in own)
    assert dict.get(inside, "backend") is saved["backend"]


@pytest.mark.parametrize("folder", ["networld_algos", "networld_envs", "benchmarks", "examples"])
def test_every_figure_is_drawn_within_the_style(folder):
    """A module that makes a figure uses `drawing`, and none uses pyplot."""
    for path in (ROOT / folder).rglob("*.py"):
        text = path.read_text()
        assert "pyplot" not in text, path
        if "Figure(" in text:
            assert re.search(r"with (style\.)?drawing\(", text) or path.name == "axes.py", path
