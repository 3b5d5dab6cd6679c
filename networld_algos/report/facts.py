"""Facts about the rows of a report: notices, counts, and the origin of each number."""

from __future__ import annotations

import platform
from collections.abc import Sequence

import matplotlib
import numpy as np

from networld_algos.report import scoring
from networld_algos.report.table import Cell, Column, Table, text_cell
from networld_algos.results import stats
from networld_algos.results.display import Display
from networld_algos.results.folder import Failure
from networld_algos.results.rows import BEST_UPDATES, Row
from networld_algos.results.text import count


def notices(rows: Sequence[Row], display: Display) -> list[str]:
    """What readers must know before the numbers, e.g. missing references or single seeds."""
    found: list[str] = []
    scaled = scoring.scales(rows)
    learned = [r for r in rows if r.kind == "learned"]
    if not learned:
        found.append("These rows contain no trained method, so only reference policies are shown.")
    bare = {
        (r.task, scoring.factor_level_of(r)) for r in learned if not scoring.scale_of(scaled, r)
    }
    missing = sorted({task for task, factor_level in bare if (task, scoring.PLAIN) not in scaled})
    if missing:
        found.append(
            f"No normalised score for {', '.join(missing)}: the rows lack test evaluations of "
            "the random or the expert policy. Run the suite again: `networld bench run` adds them."
        )
    elsewhere = sorted(
        f"{task} at {factor} {level:g}"
        for task, (factor, level) in bare
        if factor is not None and level is not None and task not in missing
    )
    if elsewhere:
        found.append(
            f"Left out because random and expert rows at the same level are missing: "
            f"{', '.join(elsewhere)}."
        )
    unfinished = {r.run for r in learned} - {r.run for r in learned if r.is_last}
    if unfinished:
        found.append(f"{len(unfinished)} unfinished runs appear in curves but not in final scores.")
    groups = scoring.grouped(
        [r for r in learned if r.is_final],
        lambda r: (r.experiment, r.task, r.dataset, r.label, r.fraction, r.factor, r.level),
    )
    mixed = sorted(
        {
            f"{display.method(label)} ({experiment}, {dataset})"
            for (experiment, _, dataset, label, *_), group in groups
            if len({_settings(r) for r in group}) > 1
        }
    )
    if mixed:
        found.append(
            f"These means mix seeds that were trained with different settings: {', '.join(mixed)}. "
            "`networld bench run` sets the older results aside and repeats those runs."
        )
    unsure = sorted(
        {
            f"{display.method(label)} ({experiment}, {dataset})"
            for (experiment, _, dataset, label, *_), group in groups
            if len({bool(r.data_hashes) for r in group}) > 1
        }
    )
    if unsure:
        found.append(
            "Some seeds of these means were trained by a version that did not record the content "
            f"of the data, which may have been another: {', '.join(unsure)}."
        )
    single = sum(len({r.seed for r in group}) == 1 for _, group in groups)
    total = count(len(groups), "result")
    if single:
        found.append(
            f"{single} of {total} {_come(single)} from a single training seed. Their intervals, "
            "marked with †, are bootstraps over evaluation episodes and say nothing about the "
            "spread between seeds."
        )
    few = sum(1 < len({r.seed for r in group}) < stats.ENOUGH_SEEDS for _, group in groups)
    if few:
        found.append(
            f"{few} of {total} {_come(few)} from two training seeds. Their intervals, marked "
            "with ‡, are bootstraps over seeds and test networks, because Student's t over two "
            "seeds says nothing. They are too narrow if seeds differ by more than networks do. "
            "Differences keep Student's t, and nothing is decided by them."
        )
    return found


def _come(number: int) -> str:
    return "comes" if number == 1 else "come"


def _settings(row: Row) -> tuple[str | None, int | None]:
    """What seeds have in common; a training that is validated ends after its own updates."""
    return row.config_hash, None if BEST_UPDATES in row.extra else row.updates


def facts(rows: Sequence[Row], failures: Sequence[Failure]) -> list[tuple[str, str]]:
    """Key figures at the top of the page: names and values."""
    learned = [r for r in rows if r.kind == "learned"]
    return [
        ("Final scores", str(len({r.run for r in learned if r.is_last}))),
        ("Failed runs", str(len(failures))),
        ("Tasks", ", ".join(dict.fromkeys(r.task for r in rows))),
        ("Methods", str(len({r.label for r in learned}))),
        ("Datasets", str(len({r.dataset for r in learned if r.dataset}))),
        ("Evaluations", str(len(rows))),
    ]


def versions(rows: Sequence[Row]) -> Table:
    """Versions behind the rows and the page."""
    lines = [
        ("networld (rows)", _seen([r.version for r in rows])),
        ("git commit (rows)", _seen([r.git_commit for r in rows])),
        ("machine (rows)", _seen([r.machine for r in rows])),
        ("device (rows)", _seen([r.device for r in rows if r.kind == "learned"])),
        ("datasets", _seen(_datasets(rows))),
        ("Python (report)", platform.python_version()),
        ("NumPy (report)", np.__version__),
        ("Matplotlib (report)", matplotlib.__version__),
    ]
    return Table.of_text("Versions and data", ("Item", "Value"), lines)


def _datasets(rows: Sequence[Row]) -> list[str]:
    """Every dataset behind the rows, with the start of its content hash where that is known."""
    hashes = {i: sha256 for r in rows for i, sha256 in r.data_hashes.items()}
    ids = {r.dataset for r in rows if r.dataset} | hashes.keys()
    return [f"{i} ({hashes[i][:12]})" if i in hashes else i for i in sorted(ids)]


def origins(rows: Sequence[Row], display: Display) -> Table:
    """Experiment x method: runs, seeds, updates, episodes, version, commit, configuration."""
    lines = [
        [
            text_cell(experiment),
            text_cell(display.method(label)),
            Cell(str(len({r.run for r in group})), float(len({r.run for r in group}))),
            text_cell(_span([r.seed for r in group if r.kind == "learned"])),
            text_cell(_span([r.updates for r in group])),
            text_cell(_span([r.episodes for r in group])),
            text_cell(_span([len(r.episode_returns) for r in group])),
            text_cell(_seen([r.version for r in group])),
            text_cell(_seen([r.git_commit for r in group])),
            text_cell(_seen([r.config_hash for r in group if r.kind == "learned"])),
        ]
        for (experiment, label), group in scoring.grouped(
            [r for r in rows if r.is_last], lambda r: (r.experiment, r.label)
        )
    ]
    columns = [
        Column("Experiment", False),
        Column("Method", False),
        Column("Runs"),
        Column("Seeds", False),
        Column("Updates", False),
        Column("Training episodes", False),
        Column("Test episodes", False, "of each evaluation"),
        Column("Version", False),
        Column("Commit", False),
        Column("Configuration", False, "hash of the whole configuration"),
    ]
    caption = (
        "The runs behind every number: training seeds, gradient updates, episodes, version, "
        "commit and hash of the configuration. Each line of the result files records the same."
    )
    return Table("Runs behind every number", caption, columns, lines, folded=True)


def _seen(values: Sequence[str | None]) -> str:
    return ", ".join(dict.fromkeys(v or "unknown" for v in values))


def _span(values: Sequence[int | None]) -> str:
    """``"0-4"`` for 0 to 4, ``"1, 5, 50"`` for a few scattered values."""
    found = sorted({v for v in values if v is not None})
    if len(found) > 2 and found == list(range(found[0], found[-1] + 1)):
        return f"{found[0]}\N{EN DASH}{found[-1]}"
    return ", ".join(map(str, found))
