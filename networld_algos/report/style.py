"""Look of the figures: fixed colours and names, sizes of a two-column paper page.

Every algorithm has one colour and one marker in all figures; variants of it differ by line style.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Look = Mapping[str, Mapping[str, Any]]
"""label -> line style, from `styles`."""

COLOURS = {  # CIELAB distance >= 16 in all colour visions, contrast >= 3 on white (see the tests)
    "networld": "#D55E00",
    "bc": "#0072B2",
    "ma-iql": "#009E73",
    "ma-cql": "#CC79A7",
    "ma-dt": "#5B2A0B",
    "ma-dd": "#4B2E83",
}
MARKERS = {
    "networld": "o",
    "bc": "s",
    "ma-iql": "^",
    "ma-cql": "v",
    "ma-dt": "D",
    "ma-dd": "<",
}
NAMES = {
    "networld": "NetWorld",
    "bc": "BC",
    "ma-iql": "MA-IQL",
    "ma-cql": "MA-CQL",
    "ma-dt": "MA-DT",
    "ma-dd": "MA-DD",
}
SPARE_COLOURS = ("#6B4C9A", "#7F6A4E", "#4D4D4D", "#922B6B", "#4B6B2F")
SPARE_MARKERS = ("p", ">", "h", "X", "8")
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.6)), (0, (1.2, 1.2)), (0, (5, 1.4, 1.2, 1.4)))
SHADES = (("#FFFFFF", 0.0), ("#FFFFFF", 0.35), ("#000000", 0.25), ("#FFFFFF", 0.55))  # of variants
TASKS = {
    "cbf": "CBF: coordinated beamforming",
    "rb": "RB: resource-block scheduling",
    "ns": "NS: network slicing",
}
REWARDS = {
    "cbf": "Average reward (bit/s/Hz)",
    "rb": "Average reward (negative cost)",
    "ns": "Average reward (mean SSR)",
}
ROLE_STYLES: dict[str, dict[str, Any]] = {
    "random": {"color": "#7A7A7A", "linestyle": (0, (1, 1.8)), "linewidth": 1.0},
    "static": {"color": "#8C8C8C", "linestyle": (0, (5, 2.5)), "linewidth": 0.8},
    "heuristic": {"color": "#8C8C8C", "linestyle": (0, (5, 2.5)), "linewidth": 0.8},
    "expert": {"color": "#222222", "linestyle": "-", "linewidth": 1.1},
    "genie": {"color": "#222222", "linestyle": (0, (6, 2, 1, 2)), "linewidth": 1.0},
    "behaviour": {"color": "#8A5A00", "linestyle": (0, (8, 2)), "linewidth": 1.2},
}
FACTORS = {
    "agents": "Agents",
    "message_loss": "Lost messages",
    "message_delay": "Message delay (steps)",
    "steps": "Solver steps",
    "candidates": "Candidates",
}
PAGE_WIDTH_IN = 7.16  # two columns of an IEEE page
COLUMN_WIDTH_IN = 3.5
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 7.5,
    "axes.titlesize": 7.0,  # "RB: resource-block scheduling" fits a third of the width
    "axes.titleweight": "bold",
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.linewidth": 0.7,
    "xtick.color": "#333333",
    "ytick.color": "#333333",
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.grid": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "networld",
    "figure.constrained_layout.use": True,
}


def display(label: str) -> str:
    """A label as printed: ``"ma-iql (own data)"`` becomes ``"MA-IQL (own data)"``."""
    for name in sorted(NAMES, key=len, reverse=True):
        rest = label.removeprefix(name)
        if rest != label and not rest[:1].isalnum():
            return NAMES[name] + rest
    return label


def factor_name(factor: str) -> str:
    """A factor as printed: ``"message_loss"`` becomes ``"Lost messages"``."""
    return FACTORS.get(factor, factor.replace("_", " ").capitalize())


def level_text(factor: str, level: float) -> str:
    """A level as printed; shares of lost messages in percent."""
    return f"{100 * level:g}%" if factor == "message_loss" else f"{level:g}"


def styles(methods: Sequence[tuple[str, str]]) -> dict[str, dict[str, Any]]:
    """Label -> line style, from the (algorithm, label) pairs of a whole report.

    Passing all of them, not those of one figure, keeps a label's look the same everywhere.
    """
    out: dict[str, dict[str, Any]] = {}
    algorithms = list(dict.fromkeys(a for a, _ in methods))
    spare = [a for a in algorithms if a not in COLOURS]
    variants: dict[str, int] = {}
    for algorithm, label in dict.fromkeys(methods):
        if label in out:
            continue
        rank = variants.get(algorithm, 0)
        variants[algorithm] = rank + 1
        i = spare.index(algorithm) if algorithm in spare else 0
        base = COLOURS.get(algorithm, SPARE_COLOURS[i % len(SPARE_COLOURS)])
        colour = _mix(base, *SHADES[(rank + rank // len(DASHES)) % len(SHADES)])
        out[label] = {
            "color": colour,
            "marker": MARKERS.get(algorithm, SPARE_MARKERS[i % len(SPARE_MARKERS)]),
            "linestyle": DASHES[rank % len(DASHES)],
            "markerfacecolor": colour if rank == 0 else "white",
            "zorder": 4.0 if algorithm == "networld" and rank == 0 else 3.0,
        }
    return out


def _mix(colour: str, other: str, share: float) -> str:
    """Linear mix of two ``#RRGGBB`` colours, ``share`` of the second."""
    pairs = [(int(colour[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a + share * (b - a)):02X}" for a, b in pairs)
