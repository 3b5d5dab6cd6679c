"""``networld dataset export`` and ``flatten``: datasets for other libraries and programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional

from networld_algos.cli.terminal import console, progress_bar, shown_in
from networld_algos.results.text import count
from networld_envs import store

Format = Literal["npz", "parquet", "hf", "lerobot"]


def export(
    dataset_id: Positional[str],
    out: Path,
    form: Annotated[Format, tyro.conf.arg(name="format")] = "npz",
) -> int:
    """Write a dataset for other programs.

    npz is the file that `networld dataset import` reads. parquet has one row per agent and step,
    with named columns. hf is a folder that Hugging Face's `datasets` loads, with one row per
    episode. lerobot is a LeRobot dataset (v3.0) with one episode per agent. docs/interop.md
    describes them.

    Args:
        dataset_id: Id of the dataset. It is built first if it is not in the local store.
        out: The .npz file, or the folder, to create.
        form: What to write. parquet, hf and lerobot need the extra [tables].
    """
    from networld_envs.store.exporting.lerobot import export_lerobot
    from networld_envs.store.exporting.tables import export_hugging_face, export_parquet
    from networld_envs.store.importing.logs import export_npz

    source = store.load(dataset_id)
    with progress_bar("episodes") as bar:
        shown = shown_in(bar, str(out))
        if form == "npz":
            written = export_npz(source, out)
        elif form == "parquet":
            written = export_parquet(source, out, shown)
        elif form == "hf":
            written = export_hugging_face(source, out, shown)
        else:
            written = export_lerobot(source, out, shown)
    console.print(f"wrote {count(written, 'episode')} to {out}")
    return 0


def flatten(
    dataset_id: Positional[str],
    new_id: Annotated[str, tyro.conf.arg(name="id")],
    force: bool = False,
) -> int:
    """Make a dataset for single-agent libraries: one episode per agent.

    Args:
        dataset_id: Id of the dataset. It is built first if it is not in the local store.
        new_id: Id of the new dataset, e.g. networld/rb/expert-flat-v0.
        force: Replace an existing dataset with the new id.
    """
    from networld_envs.store.flatten import flatten_agents

    source = store.load(dataset_id)
    with progress_bar("episodes") as bar:
        made = flatten_agents(source, new_id, force, shown_in(bar, new_id))
    episodes, steps = int(made.total_episodes), int(made.total_steps)
    console.print(f"{new_id}: {count(episodes, 'episode')}, {count(steps, 'step')}")
    return 0
