"""Building blocks of the page: sections, figures, and the rows behind them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from networld_algos.report import axes, scoring, style, summary
from networld_algos.report.cards import Cards
from networld_algos.report.export.files import FIGURES
from networld_algos.report.scoring import Panel, Reference
from networld_algos.report.summary import Curve, Final
from networld_algos.report.svg import data_url
from networld_algos.report.table import Table
from networld_algos.results.display import Display
from networld_algos.results.folder import Failure
from networld_algos.results.rows import EXPERIMENTS, FEW, QUALITIES, Row

PHONE = ("comparison_summary", "comparison_scores")
"""Figures with a form for phones on the page. The others scroll sideways there: a second form of
each would make the page half as large again, and take as long to draw as the first."""
LONGEST_ALT = 700
"""Longest alternative text: about a minute of a screen reader. The tables have all numbers."""


@dataclass(frozen=True)
class Picture:
    """A figure on the page.

    Attributes:
        name: File name without suffix.
        alt: Alternative text: its content in words and numbers.
        caption: How to read it.
        wide: Data URL of the SVG.
        narrow: Data URL of the form for phones; empty if it has none.
        is_single: Whether it is one panel wide and fits on a phone as it is.
    """

    name: str
    alt: str
    caption: str
    wide: str
    narrow: str = ""
    is_single: bool = False


@dataclass
class Section:
    """A heading, what was found, the paragraphs under it, then figures and tables in order.

    Attributes:
        anchor: Its address on the page.
        title: Its heading.
        finding: What the rows show here, in a sentence or two computed from them.
        text: Paragraphs.
        parts: Figures, cards and tables.
        warning: What readers must know before they use it.
    """

    anchor: str
    title: str
    finding: str = ""
    text: list[str] = field(default_factory=list)
    parts: list[Picture | Table | Cards] = field(default_factory=list)
    warning: str = ""

    @property
    def tables(self) -> list[Table]:
        """All tables, those behind cards included."""
        found = [part.table if isinstance(part, Cards) else part for part in self.parts]
        return [part for part in found if isinstance(part, Table)]


@dataclass
class Source:
    """Rows of one suite, the folder of the figures, and values that all sections share.

    Attributes:
        rows: All rows of the suite.
        out: Folder of the report.
        seed: Seed of every bootstrap, see `rng`.
        data_rewards: Dataset -> average reward per agent and step in it.
        display: Looks of methods and tasks.
        focus: Label of the focus method, from `networld_algos.report.focus.focus_of`.
        pdf: Folder for the figures as PDF; None writes none.
        failures: Runs that raised an exception.
    """

    rows: Sequence[Row]
    out: Path
    seed: int
    data_rewards: Mapping[str, float]
    display: Display
    focus: str = ""
    pdf: Path | None = None
    failures: Sequence[Failure] = ()
    _finals: dict[str, list[Final]] = field(default_factory=dict)
    _curves: dict[str, list[Curve]] = field(default_factory=dict)

    @cached_property
    def experiments(self) -> list[str]:
        """Experiments with learned rows, in order of appearance."""
        return list(dict.fromkeys(r.experiment for r in self.rows if r.kind == "learned"))

    @property
    def single_results(self) -> list[str]:
        """Those of `experiments` in which a seed has one result, not one for each share of data."""
        return [name for name in self.experiments if name not in FEW]

    @cached_property
    def look(self) -> style.Look:
        """Line styles of all methods; known algorithms come first, in the order of `display`.

        The focus changes no colour, so that a method looks the same in reports with another focus.
        Only within its algorithm does it come first, which gives it the full colour.
        """
        pairs = dict.fromkeys((r.algorithm, r.label) for r in self.rows if r.kind == "learned")
        order = {name: i for i, name in enumerate(self.display.algorithms)}
        return style.styles(
            sorted(
                pairs,
                key=lambda p: (order.get(p[0], len(order)), p[1] != self.focus, p[0] != p[1]),
            ),
            self.display,
            self.focus,
        )

    @cached_property
    def references(self) -> dict[str, list[Reference]]:
        """Reference policies of each task where no factor is varied, on test networks."""
        return scoring.references(self.rows)

    @cached_property
    def validation_references(self) -> dict[str, list[Reference]]:
        """The same policies on validation networks; earlier rows have none."""
        return scoring.references(self.rows, seed_set="validation")

    @cached_property
    def behaviours(self) -> dict[Panel, Reference]:
        """Score of each panel's training data."""
        return scoring.behaviours(self.rows, self.data_rewards)

    def rng(self, experiment: str, purpose: str) -> np.random.Generator:
        """A new generator for one quantity of one experiment.

        It depends only on the seed and the two names, so that adding or removing a section does
        not change any other interval.
        """
        return np.random.default_rng([self.seed, *f"{experiment}/{purpose}".encode()])

    def finals(self, experiment: str) -> list[Final]:
        """Final scores of an experiment."""
        if experiment not in self._finals:
            self._finals[experiment] = summary.finals(
                self.rows, experiment, self.rng(experiment, "finals")
            )
        return self._finals[experiment]

    def curves(self, experiment: str) -> list[Curve]:
        """Learning curves of an experiment."""
        if experiment not in self._curves:
            self._curves[experiment] = summary.learning_curves(
                self.rows, experiment, self.rng(experiment, "curves")
            )
        return self._curves[experiment]

    def forms(self, name: str, draw: Callable[[int | None], Figure]) -> list[Figure]:
        """A figure as wide as the page and, where it is used, the same in one column.

        A form in one column is used on phones, see `PHONE`, and in an export.

        Args:
            name: File name without suffix.
            draw: Draws it with this number of panels per row; None for as many as fit.
        """
        wide = draw(None)
        used = (name in PHONE or self.pdf is not None) and not _is_single(wide)
        return [wide, draw(1)] if used else [wide]

    def picture(self, name: str, figures: Sequence[Figure], alt: str, caption: str) -> Picture:
        """Write the figures, and embed them for the page.

        Args:
            name: File name without suffix.
            figures: From `forms`.
            alt: Alternative text; cut after `LONGEST_ALT` characters.
            caption: How to read it.
        """
        wide, narrow = figures[0], figures[-1]
        folder = self.out / FIGURES
        address, small = _address(axes.save(wide, folder, name)), ""
        if narrow is not wide and name in PHONE:
            small = _address(axes.save(narrow, folder, f"{name}_narrow", png=False), True)
        if self.pdf is not None:
            axes.save_pdf(wide, self.pdf, name)
            if narrow is not wide:
                axes.save_pdf(narrow, self.pdf, f"{name}_narrow")
        return Picture(name, _cut(alt), caption, address, small, _is_single(wide))


def _is_single(figure: Figure) -> bool:
    return figure.get_figwidth() <= style.COLUMN_WIDTH_IN


def _address(svg: Path, in_srcset: bool = False) -> str:
    return data_url(svg.read_text(encoding="utf-8"), in_srcset=in_srcset)


def _cut(alt: str) -> str:
    """The text up to the last part that fits; what is left out is in tables."""
    if len(alt) <= LONGEST_ALT:
        return alt
    whole, _, _ = alt[:LONGEST_ALT].rpartition("; ")
    return f"{whole or alt[:LONGEST_ALT]}; the rest is in the tables."


def ordered(rows: Sequence[Row], display: Display, focus: str = "") -> list[Row]:
    """Rows by task, quality of data, experiment and algorithm in their usual order.

    The method ``focus`` comes first in every experiment, then its variants.

    Files are read in alphabetical order, and tables and figures keep the order of the rows. Unknown
    names come last, in order of appearance.
    """
    central = {row.algorithm for row in rows if row.kind == "learned" and row.label == focus}

    def place(row: Row) -> tuple[int, ...]:
        found = (
            (display.tasks, row.task),
            (QUALITIES, summary.quality(scoring.panel_of(row))),
            (EXPERIMENTS, row.experiment),
            (display.algorithms, row.algorithm),
        )
        *before, algorithm = [
            list(known).index(x) if x in known else len(known) for known, x in found
        ]
        near = (row.label != focus, row.algorithm not in central)
        return (*before, *near, algorithm, row.label != row.algorithm)

    return sorted(rows, key=place)
