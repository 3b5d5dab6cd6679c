"""Style of the figures: line styles of methods, and sizes for a two-column paper.

Every algorithm has one colour and one marker in all figures; its variants differ in line style.
Algorithms may define them (`networld_algos.results.display`); the others get spare ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import matplotlib

from networld_algos.results.display import Display
from networld_algos.results.rows import DEPLOYMENT, DRIFT
from networld_algos.results.text import capital

SPARE_COLOURS = (  # apart from the built-in ones and each other in every colour vision (tested)
    "#A81848",
    "#006048",
    "#0000F0",
    "#904878",
    "#A878F0",
    "#C01800",
)
SPARE_MARKERS = ("p", ">", "h", "X", "8", "P")
VARIANT_MARKERS = ("s", "D", "^", "v", "P", "X", "p", "h")  # see `apart`
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.6)), (0, (1.2, 1.2)), (0, (5, 1.4, 1.2, 1.4)))
FOCUS_WEIGHT = 1.6
"""How much thicker the lines of the focus method are."""
SHADES = (("#FFFFFF", 0.0), ("#FFFFFF", 0.35), ("#000000", 0.25), ("#FFFFFF", 0.55))  # of variants
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
    "angular_spread_deg": "Angular spread (degrees)",
    "correlation": "Correlation of fading",
    "load": "Load",
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
    "lines.solid_capstyle": "butt",  # "projecting" lengthens a bar beyond its interval
    "axes.axisbelow": True,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "networld",
    "pdf.fonttype": 42,  # publishers refuse Type 3, Matplotlib's own default
    "figure.constrained_layout.use": True,
    "text.parse_math": False,  # "$" in the name of a method or a task is a dollar sign
}


@contextmanager
def drawing() -> Iterator[None]:
    """Draw and save with Matplotlib's own defaults and `STYLE`, whatever the user's settings are.

    A ``matplotlibrc`` or an earlier change of ``rcParams`` would otherwise alter every figure, and
    could stop a report. The settings are restored afterwards.
    """
    plain: dict[Any, Any] = {
        k: v for k, v in matplotlib.rcParamsDefault.items() if not k.startswith("backend")
    }
    with matplotlib.rc_context({**plain, **STYLE}):  # not rcdefaults(), which forgets the backend
        yield


def factor_name(factor: str) -> str:
    """A factor as printed: ``"message_loss"`` becomes ``"Lost messages"``."""
    known = factor.removeprefix(DRIFT)
    return FACTORS.get(known, capital(known.replace("_", " ").replace(":", " ")))


def level_text(factor: str, level: float) -> str:
    """A level as printed; shares of lost messages in percent."""
    if factor.startswith(DEPLOYMENT):
        return ""  # the factor says it all
    return f"{100 * level:g}%" if factor == "message_loss" else f"{level:g}"


@dataclass(frozen=True)
class Look:
    """How a report shows its methods and tasks.

    Attributes:
        display: Looks of methods and tasks.
        lines: Label of a method -> its line style. The key ``"weight"`` multiplies the width
            of its lines.
        focus: Label of the focus method; empty for none.
    """

    display: Display
    lines: Mapping[str, Mapping[str, Any]]
    focus: str = ""

    def __getitem__(self, label: str) -> Mapping[str, Any]:
        """The line style of a method."""
        return self.lines[label]


def styles(methods: Sequence[tuple[str, str]], display: Display, focus: str = "") -> Look:
    """A line style for every label.

    Args:
        methods: The (algorithm, label) pairs of the whole report, not of one figure, so that a
            label looks the same everywhere.
        display: Names of methods and tasks, and the colours and markers of algorithms.
        focus: Label of the method whose lines are drawn on top and thicker.
    """
    out: dict[str, dict[str, Any]] = {}
    looks = display.algorithms
    algorithms = list(dict.fromkeys(a for a, _ in methods))
    colours = _filled({a: look.colour for a, look in looks.items()}, algorithms, SPARE_COLOURS)
    markers = _filled({a: look.marker for a, look in looks.items()}, algorithms, SPARE_MARKERS, 1)
    variants: dict[str, int] = {}
    for algorithm, label in dict.fromkeys(methods):
        if label in out:
            continue
        rank = variants.get(algorithm, 0)
        variants[algorithm] = rank + 1
        shade = SHADES[(rank + rank // len(DASHES)) % len(SHADES)]
        colour = _mix(colours[algorithm], *shade)
        out[label] = {
            "color": colour,
            "marker": markers[algorithm],
            "linestyle": DASHES[rank % len(DASHES)],
            "markerfacecolor": colour if rank == 0 else "white",
            "zorder": 4.0 if label == focus else 3.0,
            "weight": FOCUS_WEIGHT if label == focus else 1.0,
        }
    return Look(display, out, focus)


def apart(methods: Sequence[tuple[str, str]], look: Look) -> Look:
    """The looks with a marker of its own for each variant of an algorithm.

    Their colours are close to each other. It is for figures with many variants in one panel.

    Args:
        methods: The (algorithm, label) pairs of the figure; the first of an algorithm keeps its
            look.
        look: From `styles`.
    """
    lines, variants = dict(look.lines), dict[str, int]()
    for algorithm, label in dict.fromkeys(methods):
        rank = variants[algorithm] = variants.get(algorithm, -1) + 1
        if rank > 0:
            shape = VARIANT_MARKERS[(rank - 1) % len(VARIANT_MARKERS)]
            lines[label] = {**look[label], "marker": shape, "markerfacecolor": "white"}
    return replace(look, lines=lines)


def _filled(
    chosen: Mapping[str, str | None], names: Sequence[str], spare: Sequence[str], shift: int = 0
) -> dict[str, str]:
    """The chosen value of each name. Names without one get spare values that are not chosen.

    When they are used up, they start again ``shift`` places later, so that no two names have both
    the same colour and the same marker.
    """
    free = [value for value in spare if value not in chosen.values()] or list(spare)
    rest = [name for name in names if chosen.get(name) is None]
    at = {name: i + shift * (i // len(spare)) for i, name in enumerate(rest)}
    return {name: chosen.get(name) or free[at[name] % len(free)] for name in names}


def _mix(colour: str, other: str, share: float) -> str:
    """Linear mix of two ``#RRGGBB`` colours, with the ``share`` of the second."""
    pairs = [(int(colour[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a + share * (b - a)):02X}" for a, b in pairs)
