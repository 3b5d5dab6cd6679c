"""``networld dataset import`` and ``template``: datasets from the logs of a network."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from networld_algos.cli.terminal import command_text, console, task_name
from networld_algos.results.text import count


def import_(
    logs: Positional[Path],
    task: str,
    dataset_id: Annotated[str, tyro.conf.arg(name="id")],
    mapping: Path | None = None,
    preset: str = "default",
    policy: str = "logs",
    author: str = "unknown",
    description: str = "",
    licence: str = "unknown",
    force: bool = False,
    strict: bool = False,
) -> int:
    """Make a dataset from the logs of your network, or report what is wrong with them.

    What is impossible is an error. What is unlikely is a warning, which is shown and kept in the
    dataset's metadata.

    Args:
        logs: File with the logs: arrays (.npz, .h5, .hdf5) or a table (.csv, .csv.gz, .parquet), or
            a folder of tables. docs/datasets.md describes them.
        task: cbf, rb, ns, or your own task, path/to/file.py: the task that was logged.
        dataset_id: Id of the new dataset, e.g. networld/rb/campus-v0.
        mapping: TOML file that says what the columns of a table mean. `networld dataset template`
            writes one.
        preset: Named parameters of the task.
        policy: The policy that acted, in a few words.
        author: Who recorded the data.
        description: What the data is.
        licence: Licence of the data.
        force: Replace an existing dataset with this id.
        strict: Refuse logs with warnings.
    """
    from networld_envs.store.importing.consistency import LogWarning
    from networld_envs.store.importing.logs import import_logs, import_report

    about = (policy, author, description, licence)
    name = task_name(task)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LogWarning)  # shown below
        dataset = import_logs(logs, dataset_id, name, preset, *about, force, strict, mapping)
    report = import_report(dataset)
    for text in report.changed:
        console.print(f"changed: {text}")
    for text in report.warnings:
        console.print(f"warning: {text}", style="yellow")
    for text in report.skipped:
        console.print(f"not checked: {text}")
    episodes, steps = int(dataset.total_episodes), int(dataset.total_steps)
    console.print(f"{dataset_id}: {count(episodes, 'episode')}, {count(steps, 'step')}")
    return 0


def template(
    task: str,
    out: Path = Path(),
    preset: str = "default",
    force: bool = False,
) -> int:
    """Write an example of a table with its mapping, which `networld dataset import` reads.

    The files are mapping.toml, logs.csv and neighbours.csv. Replace the table by yours, and change
    the mapping until it fits.

    Args:
        task: cbf, rb, ns, or your own task, path/to/file.py.
        out: Folder for the files.
        preset: Named parameters of the task.
        force: Replace files that exist.
    """
    from networld_envs.store.importing.tables.template import write_template

    files = write_template(task_name(task), preset, out, force)
    for file in files:
        console.print(f"wrote {file}")
    mapping, logs = files[:2]
    words = ("networld", "dataset", "import", logs, "--mapping", mapping, "--task", task)
    more = ("--preset", preset) if preset != "default" else ()
    console.print(f"next: {command_text(*words, *more, '--id', 'networld/mine/logs-v0')}")
    return 0
