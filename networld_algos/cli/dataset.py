"""The verbs of ``networld dataset``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.markup import escape
from rich.table import Table

from networld_algos.cli.terminal import console, download_bar, progress_bar, shown_in, task_name
from networld_envs import store
from networld_envs.store.fingerprint import fingerprint, fingerprints, record_fingerprint
from networld_envs.store.logs import export_npz, import_logs
from networld_envs.store.remote import download, list_remote, upload

Positional = tyro.conf.Positional


def build(
    dataset_id: Positional[str], jobs: int = 1, force: bool = False, record: bool = False
) -> int:
    """Make a dataset of the catalogue and put it into Minari's local store.

    Args:
        dataset_id: For example networld/cbf/expert-v0; `networld dataset list` shows all.
        jobs: Processes side by side; the result does not depend on it.
        force: Replace a dataset of that id.
        record: Write content hash and fingerprint into the package's tables.
    """
    recipe = store.find_recipe(dataset_id)
    with progress_bar("episodes") as bar:
        dataset = store.build(recipe, jobs, force, shown_in(bar, dataset_id))
    about = store.metadata(dataset)
    console.print(
        f"{dataset_id}: {dataset.total_episodes} episodes, {dataset.total_steps} steps in "
        f"{dataset.storage.data_path}"
    )
    console.print(f"content {about['sha256']}")
    if record:
        record_fingerprint(dataset_id, fingerprint(dataset))
        store.record_hash(dataset_id, about["sha256"])
        console.print("recorded in the catalogue")
    elif recipe.sha256 and recipe.sha256 != about["sha256"]:
        good, why = store.verify(dataset_id)
        console.print(why if good else f"[yellow]{why}[/]")
        return 0 if good else 1
    return 0


def get(
    dataset_id: Positional[str],
    source: Annotated[str | None, tyro.conf.arg(name="from")] = None,
    jobs: int = 1,
    force: bool = False,
) -> int:
    """Take a dataset from a mirror; without a mirror it is built from its recipe.

    Args:
        dataset_id: For example networld/cbf/expert-v0.
        source: https:// (a static mirror), gcp:// or hf:// (a remote of Minari's); the environment
            variable NETWORLD_MIRROR by default.
        jobs: Processes side by side where it is built.
        force: Replace a dataset of that id.
    """
    remote = source or os.environ.get(store.MIRROR, "")
    if not remote:
        recipe = store.find_recipe(dataset_id)
        console.print(
            f"no mirror is configured (--from or {store.MIRROR}); building {dataset_id} from its "
            "recipe"
        )
        with progress_bar("episodes") as bar:
            store.build(recipe, jobs, force, shown_in(bar, dataset_id))
    else:
        console.print(f"downloading {dataset_id} from {remote}")
        with download_bar() as bar:
            download(dataset_id, remote, force, shown_in(bar, dataset_id))
    good, why = store.verify(dataset_id)
    console.print(f"{dataset_id}: {'ok' if good else 'DIFFERENT'}: {why}")
    return 0 if good else 1


def push(dataset_id: Positional[str], to: str, token: str | None = None) -> int:
    """Copy a local dataset to a remote of Minari's or into the folder of a static mirror.

    Args:
        dataset_id: Its id.
        to: gcp://BUCKET, hf://ACCOUNT, or a folder that any web server can serve.
        token: Service-account file (gcp) or API token (hf).
    """
    upload(dataset_id, to, token)
    console.print(f"{dataset_id} is in {to}")
    return 0


def show_list(remote: str | None = None) -> int:
    """List datasets: those here, those the catalogue can build and those of a mirror.

    Args:
        remote: A mirror to ask as well; the environment variable NETWORLD_MIRROR by default.
    """
    remote = remote or os.environ.get(store.MIRROR, "")
    local, recorded, recipes = store.local_datasets(), fingerprints(), store.catalog()
    there: dict[str, dict[str, Any]] = {}
    if remote:
        try:
            there = list_remote(remote)
        except store.DatasetError as error:
            console.print(f"[yellow]{error}[/]")
    table = Table()
    for heading in ("dataset", "where", "episodes", "steps", "MB", "reward", "hash", "made by"):
        table.add_column(heading)
    for dataset_id in [*recipes, *sorted({*local, *there} - {*recipes})]:
        recipe, here, far = recipes.get(dataset_id), local.get(dataset_id), there.get(dataset_id)
        known = recorded.get(dataset_id, {})
        places = [
            *([("damaged" if here.fault else "here")] if here else []),
            *(["remote"] if far else []),
            *(["buildable"] if recipe and not here else []),
        ]
        if here and here.fault:
            table.add_row(dataset_id, ", ".join(places), *[""] * 5, escape(here.fault))
            continue
        if here:
            values = (here.episodes, here.steps, here.megabytes, here.mean_reward)
            sha256, policy = here.sha256, here.policy
        elif far:
            values = (far["episodes"], far["steps"], far["bytes"] / 1e6, far["mean_reward"])
            sha256, policy = far["sha256"], far["policy"]
        else:
            assert recipe is not None
            size = known["bytes"] / 1e6 if known else None
            steps = recipe.episodes * recipe.max_cycles
            values = (recipe.episodes, steps, size, known.get("mean_reward"))
            sha256, policy = recipe.sha256, recipe.policy
        count, steps, megabytes, reward = values
        table.add_row(
            dataset_id,
            ", ".join(places),
            str(count),
            str(steps),
            "" if megabytes is None else f"{megabytes:.1f}",
            "" if reward is None else f"{reward:.3f}",
            sha256[:12],
            policy,
        )
    console.print(table)
    return 0


def show(dataset_id: Positional[str]) -> int:
    """Show what is in a local dataset.

    Args:
        dataset_id: Its id.
    """
    from networld_algos.cli.dataset_card import describe

    found = describe(dataset_id)
    table = Table(title=dataset_id, show_header=False)
    for key, value in found.lines().items():
        table.add_row(key, value)
    console.print(table)
    table = Table(title="columns")
    for heading in ("field", "column", "name", "unit", "range", "least", "mean", "largest"):
        table.add_column(heading)
    for row in found.column_rows():
        table.add_row(*row)
    console.print(table)
    return 0


def verify(dataset_id: Positional[str]) -> int:
    """Check a local dataset's content against its recorded hashes.

    Args:
        dataset_id: Its id.
    """
    good, why = store.verify(dataset_id)
    console.print(f"{dataset_id}: {'ok' if good else 'DIFFERENT'}: {why}")
    return 0 if good else 1


def import_(
    logs: Positional[Path],
    task: str,
    dataset_id: Annotated[str, tyro.conf.arg(name="id")],
    preset: str = "default",
    policy: str = "logs",
    author: str = "unknown",
    description: str = "",
    licence: str = "unknown",
    force: bool = False,
) -> int:
    """Make a dataset of a network's own logs, or say what is wrong with them.

    Args:
        logs: .npz, .h5 or .hdf5; docs/datasets.md names the arrays.
        task: cbf, rb, ns, or your own task, path/to/file.py: the task that was logged.
        dataset_id: Id of the new dataset, e.g. networld/rb/campus-v0.
        preset: Named parameters of the task.
        policy: Who acted, in a few words.
        author: Who recorded it.
        description: What it is.
        licence: Of the data.
        force: Replace a dataset of that id.
    """
    dataset = import_logs(
        logs, dataset_id, task_name(task), preset, policy, author, description, licence, force
    )
    console.print(f"{dataset_id}: {dataset.total_episodes} episodes, {dataset.total_steps} steps")
    return 0


def export(dataset_id: Positional[str], out: Path) -> int:
    """Write a dataset as plain arrays, in the form that `networld dataset import` reads.

    Args:
        dataset_id: Its id; built first if it is not here.
        out: A new .npz file.
    """
    count = export_npz(store.load(dataset_id), out)
    console.print(f"{count} episodes in {out}")
    return 0


def flatten(
    dataset_id: Positional[str],
    new_id: Annotated[str, tyro.conf.arg(name="id")],
    force: bool = False,
) -> int:
    """Make a dataset in which every agent is an episode of its own, for single-agent libraries.

    Args:
        dataset_id: Its id; built first if it is not here.
        new_id: Id of the new dataset, e.g. networld/rb/expert-flat-v0.
        force: Replace a dataset of that id.
    """
    from networld_envs.store.flatten import flatten_agents

    source = store.load(dataset_id)
    with progress_bar("episodes") as bar:
        dataset = flatten_agents(source, new_id, force, shown_in(bar, new_id))
    console.print(f"{new_id}: {dataset.total_episodes} episodes, {dataset.total_steps} steps")
    return 0


def card(dataset_ids: Positional[tuple[str, ...]] = (), out: Path = Path("datasets/cards")) -> int:
    """Write the cards of datasets that are here: a page and a figure each.

    Args:
        dataset_ids: Their ids; those of the catalogue by default.
        out: Folder to write to.
    """
    from networld_algos.cli.dataset_card import write_card

    for dataset_id in dataset_ids or tuple(store.catalog()):
        console.print(f"wrote {write_card(dataset_id, out)}")
    return 0


VERBS = {
    "build": build,
    "download": get,
    "upload": push,
    "list": show_list,
    "show": show,
    "verify": verify,
    "import": import_,
    "export": export,
    "flatten": flatten,
    "card": card,
}
