"""What stands behind the first screen: seeds and networks, parts that were not run, failed runs."""

from __future__ import annotations

from collections.abc import Sequence

from networld_algos.report import scoring
from networld_algos.report.sections import summary_figure
from networld_algos.report.source import Source
from networld_algos.report.summary import Final, quality
from networld_algos.report.verdicts import MARK_SEEDS, Verdict
from networld_algos.results.folder import Failure
from networld_algos.results.rows import Row
from networld_algos.results.text import count

PART_NAMES = {
    "fewshot": "few-shot adaptation",
    "deployments": "other deployments",
    "ablation": "ablations",
    "robustness": "robustness",
    "cost": "cost of decisions",
}
"""Further experiment -> its name on the first screen."""
MOST_FAILURES = 3
"""Most failed runs that the first screen names."""


def small(found: Sequence[Verdict], rows: Sequence[Row]) -> str:
    """A label for results that decide nothing because they are few; empty if they are enough."""
    if any(v.seeds >= MARK_SEEDS for v in found):
        return ""
    mine = scoring.learned_rows(rows, "comparison")
    networks = {len(r.episode_returns) for r in mine if r.is_final}
    evaluations = summary_figure.evaluations(mine)
    data = dict.fromkeys(quality(v.panel) for v in found if v.panel[1])
    what = "demo" if mine[0].suite == "demo" else "run"
    parts = [
        count(found[0].seeds, "training seed"),
        f"{min(networks)} test networks",
        count(evaluations, "evaluation"),
        *([f"{', '.join(data)} data only"] if data else []),
    ]
    return (
        f"Small {what}: {', '.join(parts)}. It shows what the benchmark looks like, and nothing "
        f"is decided by it. Verdicts need at least {MARK_SEEDS} seeds."
    )


def behind(competing: Sequence[Final], source: Source) -> str:
    """How many seeds and networks there are, and which parts of the benchmark were not run."""
    seeds = _span([len(f.seeds) for f in competing])
    networks = _span([len(run) for f in competing for run in f.runs or ()])
    text = f"Training seeds of a method: {seeds}. Test networks: {networks}."
    lacking = [words for name, words in PART_NAMES.items() if name not in source.experiments]
    return f"{text} Not in these rows: {', '.join(lacking)}." if lacking else text


def failed(failures: Sequence[Failure]) -> str:
    """Which runs are in no result because they raised an error; empty without any."""
    if not failures:
        return ""
    named = "; ".join(f.run for f in failures[:MOST_FAILURES])
    more = len(failures) - MOST_FAILURES
    text = f"Failed, and in no result: {named}{f'; and {more} more' if more > 0 else ''}."
    return f"{text} If a method failed, one of its variants may stand for it."


def _span(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low} to {high}"
