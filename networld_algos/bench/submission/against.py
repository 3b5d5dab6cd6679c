"""A user's algorithms against the committed results of a suite: from options to a suite to run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from networld_algos.bench.submission.committed import (
    CommittedRows,
    budget_minutes,
    check_committed,
    find_committed,
    refuse_same_folder,
)
from networld_algos.bench.submission.joining import join, with_minutes
from networld_algos.bench.suite import Suite
from networld_algos.bench.tuned import settled
from networld_algos.results.folder import COMMITTED, RATES


@dataclass(frozen=True)
class Against:
    """What is to be run, and what it is compared with.

    Attributes:
        suite: A suite with only the user's algorithms; run it without reference policies.
        committed: The committed results.
        parts: Part -> what the algorithms do in it.
        left_out: Part -> why they are not in it.
    """

    suite: Suite
    committed: CommittedRows
    parts: dict[str, str]
    left_out: dict[str, str]


def against(
    suite: Suite,
    names: Sequence[str],
    root: Path,
    committed: Path | None = None,
    budget: str | None = None,
    settings: Path | None = None,
    write: bool = True,
    say: Callable[[str], None] = lambda text: None,
) -> Against:
    """The suite in which only a user's algorithms are trained, and what it is compared with.

    Copy the committed rows with `networld_algos.bench.submission.committed.copy_committed`.

    Args:
        suite: The suite as it is committed.
        names: The user's algorithms, keys in `ALGORITHMS`.
        root: The user's folder of the suite.
        committed: Folder of the committed results; by default that of the checkout.
        budget: ``"updates"`` or ``"minutes"``. None takes minutes if the suite does.
        settings: File of settings for the user's algorithms, see `networld_algos.bench.tuned`.
        write: Whether to store measured rates.
        say: Called with a sentence before something that takes seconds.

    Raises:
        ValueError: If there is no algorithm, if ``root`` has results of a whole suite or is the
            committed folder, or if the committed results cannot be compared with own ones.
    """
    if not names:
        raise ValueError(
            "--against-committed needs your own algorithm: --algorithm path/to/file.py:ClassName"
        )
    folder = find_committed(suite.name, committed)
    refuse_same_folder(folder, root)
    if any(root.glob("reference-*.jsonl")) and not (root / COMMITTED).is_dir():
        raise ValueError(
            f"{root} has results of its own for all methods, and a report would find two results "
            "of one run; choose another folder with --results"
        )
    found = check_committed(suite, folder)
    joined = join(suite, names)
    chosen = joined.suite if settings is None else settled(joined.suite, settings)
    if budget == "minutes" or (budget is None and suite.minutes):
        minutes = budget_minutes(found.rows, suite.entries[0].label) if suite.entries else {}
        chosen = with_minutes(chosen, minutes, root / RATES, keep=write, say=say)
    else:
        chosen = replace(chosen, minutes={})  # settings may have rates
    return Against(chosen, found, joined.parts, joined.left_out)
