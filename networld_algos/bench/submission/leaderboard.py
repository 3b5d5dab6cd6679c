"""The page ``docs/leaderboard.md``: committed methods and submissions, one table per data.

It is made from rows alone. Scores are normalised with the committed reference policies, and have
the intervals of the report.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from networld_algos.bench.submission.checking import Submission, check_submission
from networld_algos.bench.submission.committed import read_committed
from networld_algos.bench.suite import Suite
from networld_algos.report import summary
from networld_algos.report.scoring import Panel
from networld_algos.report.summary import Final
from networld_algos.results.display import Display
from networld_algos.results.rows import Row
from networld_algos.results.stats import Interval
from networld_algos.results.text import capital, count, markdown

COLUMNS = ("method", "score", "seeds", "updates", "epochs", "minutes", "by", "date", "link")
SEED = 0  # of the intervals that are bootstraps
HEAD = """\
# Leaderboard

<!-- `networld bench leaderboard` makes this page from benchmarks/submissions and the committed
rows. Do not edit it. -->

Methods of this package, whose rows are committed in `benchmarks/results/{suite}`, and
[submissions](benchmark.md#submit-your-results), in the comparison of the suite `{suite}`.

* A score is `100 (S - random) / (expert - random)` at the end of the training, on the same
  {networks} test networks for every method, with a 95% interval.{signs}
* Updates, epochs and minutes of a training are medians over seeds. Minutes depend on the machine.
* Tables are sorted by the mean. If the intervals of two methods overlap, their order may be chance.
  Paired differences are in the [report](benchmark.md#report).
"""
SIGNS = {
    "†": "† marks a bootstrap over the networks of one seed, which says nothing about other seeds.",
    "‡": "‡ marks a bootstrap over few seeds and the networks.",
}


@dataclass(frozen=True)
class Place:
    """A line of a table: a result, and who made it; nobody for a committed method."""

    result: Final
    title: str
    submission: Submission | None


def leaderboard(suite: Suite, committed: Path, submissions: Path) -> str:
    """The page as Markdown.

    Args:
        suite: The suite.
        committed: Folder of its committed rows.
        submissions: Folder with one subfolder per submission. Those with faults are named at the
            end of the page, and are in no table.

    Raises:
        ValueError: If the committed folder has no rows, or rows of another suite.
    """
    found = read_committed(suite.name, committed)
    checked = [
        check_submission(folder, suite, found.rows)
        for folder in sorted(submissions.iterdir() if submissions.is_dir() else [])
        if folder.is_dir()
    ]
    places = _places(found.rows, found.display or Display(), [s for s in checked if not s.faults])
    parts = [_head(suite, found.rows, places)]
    for panel in dict.fromkeys(place.result.panel for place in places):
        parts.append(_section(panel, [p for p in places if p.result.panel == panel], found.display))
    if refused := [s for s in checked if s.faults]:
        parts.append(_refused(refused, suite))
    return "\n".join(parts)


def _head(suite: Suite, rows: Sequence[Row], places: Sequence[Place]) -> str:
    marks = {p.result.score.sign for p in places if p.result.score is not None}
    signs = "".join(f"\n  {text}" for sign, text in SIGNS.items() if sign in marks)
    final = [r for r in rows if r.experiment == "comparison" and r.is_final]
    networks = {len(r.episode_returns) for r in final}
    text = HEAD.format(
        suite=suite.name,
        networks=" or ".join(map(str, sorted(networks))) or "0",
        signs=signs,
    )
    versions = " and ".join(dict.fromkeys(markdown(row.version) for row in final))
    own = count(len({p.title for p in places if p.submission is None}), "committed method")
    entered = len({id(p.submission) for p in places if p.submission is not None})
    others = count(entered, "submission") if entered else "no submission yet"
    return f"{text}\nThe tables have {own} of version {versions} and {others}.\n"


def _places(
    rows: Sequence[Row], display: Display, submissions: Iterable[Submission]
) -> list[Place]:
    rng = np.random.default_rng(SEED)
    places = [
        Place(final, display.method(final.label), None)
        for final in summary.finals(rows, "comparison", rng)
    ]
    references = [row for row in rows if row.kind == "reference"]
    order = {p.result.panel: i for i, p in enumerate(places)}
    for submission in submissions:
        assert submission.metadata is not None
        rng = np.random.default_rng(SEED)
        finals = summary.finals([*references, *submission.rows], "comparison", rng)
        places += [Place(final, submission.metadata.name, submission) for final in finals]
    return sorted(places, key=lambda p: order.get(p.result.panel, len(order)))


def _section(panel: Panel, places: Sequence[Place], display: Display | None) -> str:
    title = (display or Display()).heading(panel[0])
    head = f"## {markdown(capital(title))}, {markdown(summary.quality(panel))} data\n"
    ranked = sorted(places, key=lambda p: -_value(p.result.score))
    lines = [COLUMNS, ["---"] * len(COLUMNS), *map(_cells, ranked)]
    return head + "\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _cells(place: Place) -> list[str]:
    final = place.result
    cells = [
        markdown(place.title),
        _score(final.score),
        str(len(final.seeds)),
        _number(final.updates, ".0f"),
        _number(final.epochs, ".3g"),
        _number(None if final.train_seconds is None else final.train_seconds / 60, ".2g"),
    ]
    if place.submission is None:
        return [*cells, "this package", "", ""]
    about = place.submission.metadata
    assert about is not None
    people = about.authors[0] + (" and others" if len(about.authors) > 1 else "")
    return [*cells, markdown(people), about.date.isoformat(), f"[link]({about.link})"]


def _number(value: float | None, form: str) -> str:
    return "\N{EN DASH}" if value is None else format(value, form)


def _score(score: Interval | None) -> str:
    if score is None:
        return ""
    limits = "" if np.isnan(score.low) else f" [{score.low:.1f}, {score.high:.1f}]"
    return f"{score.value:.1f}{limits}{score.sign}"


def _value(score: Interval | None) -> float:
    return -np.inf if score is None else score.value


def _refused(submissions: Sequence[Submission], suite: Suite) -> str:
    lines = [
        f"* {markdown(s.folder.name)}: {count(len(s.faults), 'fault')}, the first: "
        f"{markdown(s.faults[0].file.name)}: {markdown(s.faults[0].text)}"
        for s in submissions
    ]
    return (
        "## Not ranked\n\n`networld bench check` refuses these submissions, for instance because "
        f"the suite `{suite.name}` has changed since they were made:\n\n" + "\n".join(lines) + "\n"
    )
