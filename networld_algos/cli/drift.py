"""``networld drift``: compare logs of a deployed model with its training data."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro
from tyro.conf import Positional

from networld_algos.cli.model import add_algorithms
from networld_algos.cli.tables import AsJson, Column, Listing, show
from networld_algos.cli.terminal import console, number_text, task_name
from networld_algos.results.text import count

if TYPE_CHECKING:
    from networld_algos.base import Algorithm
    from networld_algos.data.episodes import Episodes
    from networld_algos.deploy.monitor.reference import Reference
    from networld_algos.deploy.monitor.report import Report

COLUMNS = (
    Column("name", "column"),
    Column("psi", "stability index", "{:.3f}".format, right=True),
    Column("limit", text="{:.3f}".format, none="unknown", right=True),
    Column("alarm", text=lambda alarm: "YES" if alarm else ""),
    Column("ks", "KS", "{:.2f}".format, right=True),
    Column("median_then", "median in training", number_text, right=True),
    Column("median_now", "median now", number_text, right=True),
)
WATCHED = (
    Column("name", "watched"),
    Column("value", text="{:.3g}".format, right=True),
    Column("limit", text="{:.3g}".format, none="unknown", right=True),
    Column("alarm", text=lambda alarm: "YES" if alarm else ""),
)


def drift(
    logs: Positional[str],
    model: str,
    dataset: str | None = None,
    mapping: Path | None = None,
    preset: str | None = None,
    task: str | None = None,
    fallbacks: int | None = None,
    algorithm: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
    as_json: AsJson = False,
) -> int:
    """Compare logs of a deployed model with its training data; the exit status is 1 for an alarm.

    Args:
        logs: Id of a dataset, or a file that `networld dataset import` reads.
        model: Folder written by `networld train`, pretrained:NAME or hf://owner/name.
        dataset: Compare with this dataset, for example the first days of the deployment. By
            default, with the description of the training data that is kept beside the model.
        mapping: TOML file that says what the columns of a table mean.
        preset: Named parameters of the task that a file belongs to. By default, those of the
            training data.
        task: For your own task, its file: path/to/file.py.
        fallbacks: How many of the decisions in the logs were not the model's.
        algorithm: File of the model's algorithm if it is your own: path/to/file.py:ClassName.
        as_json: Print JSON instead of tables.
    """
    from networld_algos.data.load import load_episodes
    from networld_algos.deploy.monitor.ensemble import disagreements
    from networld_algos.deploy.monitor.reference import Reference
    from networld_algos.training import checkpoint
    from networld_algos.training.cpu import configure_cpu
    from networld_algos.training.hub import fetch

    configure_cpu()
    add_algorithms(algorithm)
    given = None if task is None else task_name(task)
    folder = fetch(model)
    found, about = checkpoint.load(folder, expect_task=given)
    if dataset is None:
        reference = Reference.load(folder)
        source = f"the training data of {model}"
        name = given or reference.spec.task
        found.known(name)
    else:
        name = given or str(about.get("task", next(iter(found.specs))))
        data = load_episodes(dataset, name)
        reference = Reference.of_episodes(data, disagreements(found, data))
        source = dataset
    made_for = str(preset or about.get("origin", {}).get("preset", "default"))
    episodes = _read(logs, name, made_for, mapping)
    if field := reference.spec.mismatch(episodes.spec):
        raise ValueError(
            f"{logs} has {field}={getattr(episodes.spec, field)!r}, but {source} has "
            f"{getattr(reference.spec, field)!r}; give logs of the same task and preset"
        )
    known = dataset is not None or reference.about.get("weights") == checkpoint.weights_file(folder)
    report = _watch(reference, found if known else None, episodes, fallbacks or 0)
    _show(report, logs, model, source, found, known, fallbacks is not None, as_json)
    return 1 if report.alarms else 0


def _watch(
    reference: Reference, model: Algorithm | None, episodes: Episodes, fallbacks: int
) -> Report:
    """Pass all decisions to a monitor; ``model`` None leaves its ensemble out."""
    from networld_algos.deploy.monitor.ensemble import disagreements
    from networld_algos.deploy.monitor.watch import Monitor

    single = episodes.spec.num_agents == 1 < reference.spec.num_agents
    monitor = Monitor(reference, view="station" if single else "network")
    differ = disagreements(model, episodes) if model is not None else []
    for k, steps in enumerate(episodes.lengths.tolist()):
        monitor.start_episode()
        obs, actions = episodes.obs[k, :steps], episodes.actions[k, :steps]
        monitor.update(obs, actions, disagreement=differ[k] if differ else None)
    monitor.count_fallbacks(fallbacks)
    return monitor.report()


def _show(
    report: Report,
    logs: str,
    model: str,
    source: str,
    found: Algorithm,
    known: bool,
    counted: bool,
    as_json: bool,
) -> None:
    from networld_algos.deploy.monitor.limits import FALSE_ALARMS

    columns = [{**vars(c), "alarm": c.alarm} for c in report.columns]
    numbers = [
        {"name": w.name, "value": w.value, "limit": w.limit, "alarm": w.alarm}
        for w in report.watched
        if counted or w is not report.fallback
    ]
    notes = report.notes
    if report.disagreement is None:
        notes.append(
            f"ensemble: {found.name} has none on this task"
            if known
            else "ensemble: not compared, because the model was trained further since its "
            "description of the training data was written"
        )
    if not counted:
        notes.append("fallback decisions: not known; count them and give --fallbacks")
    alarms = report.alarms
    title = (
        f"{logs} ({count(report.decisions, 'decision')}, {count(report.episodes, 'episode')}) "
        f"compared with {source}"
    )
    show(
        Listing("columns", COLUMNS, columns, title),
        Listing("watched", WATCHED, numbers),
        as_json=as_json,
        logs=logs,
        model=model,
        compared_with=source,
        view=report.view,
        decisions=report.decisions,
        episodes=report.episodes,
        window=report.units,
        false_alarms=FALSE_ALARMS,
        observations_outside=report.observations_outside,
        actions_outside=report.actions_outside,
        alarms=alarms,
        notes=notes,
    )
    if as_json:
        return
    for text in notes:
        console.print(text)
    for text in alarms:
        console.print(f"alarm: {text}", style="yellow")
    if not alarms and report.units:
        console.print("no alarm")


def _read(logs: str, task: str, preset: str, mapping: Path | None) -> Episodes:
    """Episodes of a dataset, or of a file that can be imported; a file leaves no dataset."""
    from networld_algos.data.load import load_episodes
    from networld_envs.store.importing.consistency import LogWarning
    from networld_envs.store.importing.logs import import_logs
    from networld_envs.store.importing.tables.reading import ENDINGS

    path = Path(logs)
    if not path.exists():
        if mapping is not None or path.name.endswith((*ENDINGS, ".npz", ".h5", ".hdf5")):
            raise ValueError(f"there is no file {logs}; give a file, or the id of a dataset")
        return load_episodes(logs, task)
    with _temporary_store(), warnings.catch_warnings():
        warnings.simplefilter("ignore", LogWarning)  # the comparison says more
        return load_episodes(
            import_logs(path, "networld/drift/logs-v0", task, preset, mapping=mapping), task
        )


@contextmanager
def _temporary_store() -> Iterator[None]:
    """Let Minari keep datasets in a folder that is deleted afterwards."""
    name = "MINARI_DATASETS_PATH"
    before: Any = os.environ.get(name)
    with tempfile.TemporaryDirectory(prefix="networld-") as folder:
        os.environ[name] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ[name]
            else:
                os.environ[name] = before
