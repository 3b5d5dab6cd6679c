"""Write the tables of numbers of README.md and REPORT.md from committed results.

    python benchmarks/tables.py                        # writes both pages
    python benchmarks/tables.py --rows results/cpu     # prints the tables of other rows

A table stands between ``<!-- table NAME -->`` and ``<!-- /table -->``, with these names:

* ``references``: the scores of the reference policies, from the table that ``make references``
  measures.
* ``expert``, ``mixed`` and ``legacy``: the normalised scores of the comparison on data of this
  quality with medians and failed networks, from the rows in `ROWS`, as in the report that
  ``networld report benchmarks/results/cpu`` makes.
* ``legend``: what the columns and marks of these mean.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Sequence
from functools import partial
from itertools import zip_longest
from pathlib import Path

import numpy as np

from networld_algos.cli.report import data_rewards
from networld_algos.files import write_text
from networld_algos.report import scoring, summary, training
from networld_algos.report.sections.answer_table import RISING
from networld_algos.report.source import ordered
from networld_algos.report.table import DASH, interval_text
from networld_algos.results.display import Display
from networld_algos.results.folder import read_suite
from networld_algos.results.networks import FAILED_BELOW
from networld_envs.policies import get_policy, usable_policies
from networld_envs.policies.references import TABLE
from networld_envs.simulator import BUILT_IN, make_params

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", ROOT / "benchmarks" / "REPORT.md")
ROWS = ROOT / "benchmarks" / "results" / "cpu"
BLOCK = re.compile(r"(<!-- table (\w+) -->\n\n).*?(\n\n<!-- /table -->)", re.DOTALL)
HEADS = {"cbf": "bit/s/Hz", "rb": "negative cost", "ns": "SLA share"}
DIGITS = {"cbf": 2, "rb": 2, "ns": 3}
LAST = ("expert", "genie")
QUALITIES = ("expert", "mixed", "legacy")
LEGEND = (
    "Median: of the scores on single networks, task by task, or once if it is the same on all. "
    f"Failed: networks with a score below\n{FAILED_BELOW:g}. Seeds: of training. "
    "‡: two seeds, whose interval is too narrow if they differ by more than networks do. †: one "
    f"seed, an interval\nover its networks. {RISING}: under-trained, the score on validation "
    f"networks still rises by more than {training.RISE:g} point over the last\nquarter of the "
    "training."
)
BESIDE = ("networld (plan)",)
"""Variants that the table of scores has beside the methods; the report has all of them."""


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines).replace("|  |", "| |")


def references() -> str:
    """One column per task: its policies from random to genie; expert and genie on one line."""
    recorded = json.loads(TABLE.read_text(encoding="utf-8"))
    columns, ends = [], []
    for task in HEADS:
        lines = {}
        for name in usable_policies(task, make_params(task)):
            found, digits = recorded[task][name], DIGITS[task]
            mean, low, high = (f"{found[key]:.{digits}f}" for key in ("mean", "low", "high"))
            lines[name] = f"{name} {mean} [{low}, {high}]"
        roles = {name: get_policy(task, name).role for name in lines}
        columns.append([text for name, text in lines.items() if roles[name] not in LAST])
        ends.append([next(lines[n] for n in lines if roles[n] == role) for role in LAST])
    rows = [list(line) for line in zip_longest(*columns, fillvalue="")]
    rows += [list(line) for line in zip(*ends, strict=True)]
    return markdown([f"`{task}`, {unit}" for task, unit in HEADS.items()], rows)


def scores(quality: str, folder: Path = ROWS) -> str:
    """Method x task, and the training data; numbers are those of the report.

    Args:
        quality: Quality of the training data.
        folder: Rows of a suite.

    Raises:
        ValueError: If there are no rows on data of this quality.
    """
    suite = read_suite(folder)
    display = suite.display or Display()
    rows = ordered(suite.rows, display)
    found = summary.finals(rows, "comparison", np.random.default_rng(0))
    found = [final for final in found if summary.quality(final.panel) == quality]
    if not found:
        raise ValueError(f"{folder} has no scores on {quality} data")
    panels = list(dict.fromkeys(final.panel for final in found))
    at = {(f.label, f.panel): f for f in found if f.score is not None}
    labels = [f.label for f in found if f.label in (f.algorithm, *BESIDE)]
    lines = [
        [
            display.method(label),
            *(score_text(at.get((label, panel))) for panel in panels),
            by_task(mine, lambda f: f"{f.median:.1f}"),
            by_task(mine, lambda f: f"{f.failed_percent:.3g}"),
            by_task(mine, lambda f: str(f.reward.seeds)),
        ]
        for label in dict.fromkeys(labels)
        if any(mine := [at.get((label, panel)) for panel in panels])
    ]
    data = scoring.behaviours(rows, data_rewards())
    known = [data[panel].score if panel in data else None for panel in panels]
    cells = ["" if score is None else interval_text(score, 1) for score in known]
    lines.append(["Training data", *cells, DASH, DASH, DASH])
    head = f"normalised score, {quality} data [95% interval]"
    tasks = [f"`{task}`" for task, _ in panels]
    return markdown([head, *tasks, "median", "failed, %", "seeds"], lines)


def by_task(found: Sequence[summary.Final | None], text: Callable[[summary.Final], str]) -> str:
    """``"96.2 / 99.9 / 99.8"``, or one value if it is the same on all tasks; a dash for None."""
    values = [DASH if final is None else text(final) for final in found]
    return values[0] if len(set(values)) == 1 else " / ".join(values)


def score_text(final: summary.Final | None) -> str:
    """The score with its interval, and the mark of an under-trained result; empty for None."""
    if final is None or final.score is None:
        return ""
    mark = f" {RISING}" if final.is_under_trained else ""
    return interval_text(final.score, 1) + mark


TABLES: dict[str, Callable[[], str]] = {
    "references": references,
    **{quality: partial(scores, quality) for quality in QUALITIES},
    "legend": lambda: LEGEND,
}


def replaced(text: str) -> str:
    """The text with every table made again.

    Raises:
        ValueError: If a marker names no table; lists the names.
    """

    def new(match: re.Match[str]) -> str:
        if match[2] not in TABLES:
            raise ValueError(f"there is no table {match[2]!r}; tables: {', '.join(TABLES)}")
        return f"{match[1]}{TABLES[match[2]]()}{match[3]}"

    return BLOCK.sub(new, text)


def main() -> None:
    """Write the pages, or print the tables of other rows."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rows", type=Path, help="folder of a suite's rows, to print its tables")
    args = parser.parse_args()
    assert set(HEADS) == set(BUILT_IN)
    if args.rows is not None:
        print("\n\n".join([*(scores(quality, args.rows) for quality in QUALITIES), LEGEND]))
        return
    for page in PAGES:
        old = page.read_text(encoding="utf-8")
        write_text(page, new := replaced(old))
        print(f"{page.name}: {'no change' if new == old else 'new tables'}")


if __name__ == "__main__":
    main()
