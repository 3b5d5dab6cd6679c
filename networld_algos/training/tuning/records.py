"""The trials of a subject as a file that can be committed, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from networld_algos.files import reading

RESULTS = ("score", "ends", "trials", "finals", "choice")
"""Keys of a record beside those that say what the search is about."""
OF_TRIAL = ("number", "state", "score", "scores", "params")
"""Keys of a trial in a record beside its attributes."""


def record_of(attrs: Mapping[str, Any], trials: Sequence[Any]) -> dict[str, Any]:
    """What a search is about, its trials and its finals, as JSON types; no choice yet.

    Args:
        attrs: Attributes of Optuna's study.
        trials: Its trials that count.
    """
    return {
        **attrs["about"],
        "score": "reward" if attrs["ends"] is None else "0 random, 100 expert",
        "ends": attrs["ends"],
        "trials": [
            {
                "number": trial.number,
                "state": trial.state.name.lower(),
                "score": trial.value if trial.state.name == "COMPLETE" else None,
                "scores": [value for _, value in sorted(trial.intermediate_values.items())],
                "params": trial.params,
                **{k: v for k, v in trial.user_attrs.items() if k != "origin"},
            }
            for trial in trials
        ],
        "finals": attrs.get("finals", {}),
        "choice": None,
    }


def restore(
    optuna: Any, study: Any, distributions: Mapping[str, Any], path: Path, about: Mapping[str, Any]
) -> None:
    """Give a study without trials those of a record, if there is one, as after a clone.

    Unlike a database, a record may have been made with fewer choices for a setting.

    Args:
        optuna: The library.
        study: Optuna's study.
        distributions: What is searched now, by name.
        path: File of the record.
        about: What the search is about now.

    Raises:
        DamagedFileError: If the file is no record, or a trial lies outside of what is searched.
    """
    if not path.exists():
        return
    with reading(path, "move it away, or choose another --out"):
        record = json.loads(path.read_text(encoding="utf-8"))
        before = {key: value for key, value in record.items() if key not in RESULTS}
        before["search"] = about["search"]
        attrs = {"about": before, "ends": record["ends"], "finals": record.get("finals", {})}
        trials = [
            optuna.trial.create_trial(
                state=optuna.trial.TrialState[trial["state"].upper()],
                value=trial["score"],
                params=trial["params"],
                distributions={name: distributions[name] for name in trial["params"]},
                intermediate_values=dict(enumerate(trial["scores"], 1)),
                user_attrs={k: v for k, v in trial.items() if k not in OF_TRIAL},
            )
            for trial in record["trials"]
        ]
    for key, value in attrs.items():
        study.set_user_attr(key, value)
    for trial in trials:
        study.add_trial(trial)
