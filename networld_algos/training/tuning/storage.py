"""The database of a search, and what it needs of Optuna."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from networld_algos.training.tuning.subject import Options

WAIT_S = 120.0  # a process waits so long for another one that writes to the database


def load_optuna() -> Any:
    """Import Optuna.

    Raises:
        ImportError: If it is not installed; the message says how to install it.
    """
    try:
        import optuna
    except ImportError as error:
        raise ImportError("a search needs Optuna: pip install 'networld[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


@contextmanager
def open_storage(path: Path) -> Iterator[Any]:
    """The trials in a SQLite database; several processes can have it open.

    Raises:
        ValueError: If the file is no such database.
    """
    optuna = load_optuna()
    from sqlalchemy import URL
    from sqlalchemy.exc import DatabaseError

    url = URL.create("sqlite", database=str(path)).render_as_string()
    try:
        storage = optuna.storages.RDBStorage(
            url, engine_kwargs={"connect_args": {"timeout": WAIT_S}}
        )
    except (DatabaseError, RuntimeError) as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise ValueError(
            f"{path} holds no trials that this version of Optuna can read ({reason}); "
            "move it away, or choose another --out"
        ) from error
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def pruner_of(options: Options) -> Any:
    """What decides after an evaluation whether a trial ends early."""
    pruners = load_optuna().pruners
    if options.pruner == "median":
        return pruners.MedianPruner(n_startup_trials=4, n_min_trials=2)
    if options.pruner == "halving":
        return pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2)
    return pruners.NopPruner()


def trial_id(storage: Any, study: Any, number: int) -> int:
    """Identity of a trial in the database."""
    study_id = storage.get_study_id_from_name(study.study_name)
    return storage.get_trial_id_from_study_id_trial_number(study_id, number)
