"""``networld dataset``: build, download, inspect, import and export datasets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import tyro
from tyro.conf import Positional

from networld_algos.cli.dataset_export import export, flatten
from networld_algos.cli.dataset_import import import_, template
from networld_algos.cli.tables import AsJson, Column, Listing
from networld_algos.cli.tables import show as show_tables
from networld_algos.cli.terminal import (
    console,
    download_bar,
    number_text,
    progress_bar,
    say_error,
    shown_in,
)
from networld_algos.results.text import count
from networld_envs import store
from networld_envs.store.fingerprint import fingerprint, fingerprints, record_fingerprint
from networld_envs.store.remote import download, list_remote, upload
from networld_envs.store.transfer import Limits

LIST_COLUMNS = (
    Column("dataset"),
    Column("where"),
    Column("episodes", right=True),
    Column("steps", right=True),
    Column("megabytes", "MB", "{:.1f}".format, right=True),
    Column("mean_reward", "reward", "{:.3f}".format, right=True),
    Column("sha256", "hash", lambda text: text[:12]),
    Column("made_by", prose=True),
    Column("fault", prose=True),
)
COLUMN_COLUMNS = (
    *(Column(key) for key in ("field", "column", "name", "unit", "range")),
    *(Column(key, text=number_text, right=True) for key in ("least", "mean", "largest")),
)


def build(
    dataset_id: Positional[str], jobs: int = 1, force: bool = False, record: bool = False
) -> int:
    """Build a dataset of the catalogue in Minari's local store.

    Args:
        dataset_id: Id of the dataset, e.g. networld/cbf/expert-v0. `networld dataset list` shows
            all ids.
        jobs: Number of parallel processes; the result does not depend on it.
        force: Replace an existing dataset with this id.
        record: Record the content hash and the fingerprint in the package's tables (for
            maintainers).
    """
    recipe = store.find_recipe(dataset_id)
    with progress_bar("episodes") as bar:
        dataset = store.build(recipe, jobs, force, shown_in(bar, dataset_id))
    about = store.metadata(dataset)
    console.print(f"{dataset_id}: {_size(dataset)} in {dataset.storage.data_path}")
    console.print(f"content {about['sha256']}")
    if record:
        record_fingerprint(dataset_id, fingerprint(dataset))
        store.record_hash(dataset_id, about["sha256"])
        console.print("recorded in the catalogue")
    elif recipe.sha256 and recipe.sha256 != about["sha256"]:
        good, why = store.verify(dataset_id)
        console.print(why, style=None if good else "yellow")
        return 0 if good else 1
    return 0


def get(
    dataset_id: Positional[str],
    source: Annotated[str | None, tyro.conf.arg(name="from")] = None,
    jobs: int = 1,
    force: bool = False,
    max_gb: float = Limits.max_gb,
    timeout: float = Limits.total_s,
    max_index_mb: float = Limits.index_mb,
) -> int:
    """Download a dataset from a mirror. If no mirror is set, build it from its recipe.

    Args:
        dataset_id: Id of the dataset, e.g. networld/cbf/expert-v0.
        source: The mirror: https:// (static files), gcp:// or hf:// (a Minari remote). By default,
            the environment variable NETWORLD_MIRROR.
        jobs: Number of parallel processes if it is built.
        force: Replace an existing dataset with this id.
        max_gb: Largest size of the download, in gigabytes.
        timeout: Longest time of a download from a static mirror, in seconds.
        max_index_mb: Largest size of a static mirror's index, in megabytes.
    """
    remote = source or os.environ.get(store.MIRROR, "")
    if not remote:
        recipe = store.find_recipe(dataset_id)
        console.print(
            f"no mirror is set (--from or {store.MIRROR}); building {dataset_id} from its recipe"
        )
        with progress_bar("episodes") as bar:
            store.build(recipe, jobs, force, shown_in(bar, dataset_id))
    else:
        console.print(f"downloading {dataset_id} from {remote}")
        limits = Limits(max_gb=max_gb, total_s=timeout, index_mb=max_index_mb)
        with download_bar() as bar:
            download(dataset_id, remote, force, shown_in(bar, dataset_id), limits=limits)
    good, why = store.verify(dataset_id)
    console.print(f"{dataset_id}: {'ok' if good else 'DIFFERENT'}: {why}")
    return 0 if good else 1


def push(dataset_id: Positional[str], to: str, token: str | None = None) -> int:
    """Copy a local dataset to a Minari remote, or to the folder of a static mirror.

    Args:
        dataset_id: Id of the dataset.
        to: gcp://BUCKET, hf://ACCOUNT, or a folder that any web server can serve.
        token: Service-account file (gcp) or API token (hf).
    """
    upload(dataset_id, to, token)
    console.print(f"copied {dataset_id} to {to}")
    return 0


def show_list(
    remote: str | None = None,
    timeout: float = 60.0,
    max_index_mb: float = Limits.index_mb,
    as_json: AsJson = False,
) -> int:
    """List local datasets, those that the catalogue can build, and those of a mirror.

    Args:
        remote: A mirror to include. By default, the environment variable NETWORLD_MIRROR.
        timeout: Longest time that a static mirror may take, in seconds.
        max_index_mb: Largest size of a static mirror's index, in megabytes.
        as_json: Print JSON instead of a table.
    """
    remote = remote or os.environ.get(store.MIRROR, "")
    local, recorded, recipes = store.local_datasets(), fingerprints(), store.catalog()
    there: dict[str, dict[str, Any]] = {}
    status = 0
    if remote:
        try:
            there = list_remote(remote, limits=Limits(total_s=timeout, index_mb=max_index_mb))
        except store.DatasetError as error:
            say_error(str(error))
            status = 1
    rows = []
    for dataset_id in [*recipes, *sorted({*local, *there} - {*recipes})]:
        found = recipes.get(dataset_id), local.get(dataset_id), there.get(dataset_id)
        rows.append(_list_row(dataset_id, *found, recorded.get(dataset_id, {})))
    show_tables(Listing("datasets", LIST_COLUMNS, rows), as_json=as_json)
    return status


def _list_row(
    dataset_id: str,
    recipe: store.Recipe | None,
    here: store.Summary | None,
    far: dict[str, Any] | None,
    known: dict[str, Any],
) -> dict[str, Any]:
    """What `show_list` says about a dataset of the catalogue, the local store or a mirror."""
    places = [
        *([_where(here)] if here else []),
        *(["remote"] if far else []),
        *(["buildable"] if recipe and not here else []),
    ]
    row: dict[str, Any] = {"dataset": dataset_id, "where": places}
    if here and here.fault:
        return row | {"fault": here.fault}
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
    names = ("episodes", "steps", "megabytes", "mean_reward")
    return row | dict(zip(names, values, strict=True)) | {"sha256": sha256, "made_by": policy}


def _where(here: store.Summary) -> str:
    """Whether a dataset of the local store can be used, in a word."""
    if here.is_outdated:
        return "outdated"
    if here.is_foreign:
        return "foreign"
    return "damaged" if here.fault else "here"


def show(dataset_id: Positional[str], as_json: AsJson = False) -> int:
    """Show the content of a local dataset.

    Args:
        dataset_id: Id of the dataset.
        as_json: Print JSON instead of tables.
    """
    from networld_algos.cli.dataset_card import describe

    found = describe(dataset_id)
    facts = [{"fact": key, "value": value} for key, value in found.lines().items()]
    show_tables(
        Listing("facts", (Column("fact"), Column("value", prose=True)), facts, title=dataset_id),
        Listing("columns", COLUMN_COLUMNS, found.column_rows(), title="columns"),
        as_json=as_json,
        dataset=dataset_id,
    )
    return 0


def verify(dataset_id: Positional[str]) -> int:
    """Check the content of a local dataset against its recorded hashes.

    Args:
        dataset_id: Id of the dataset.
    """
    good, why = store.verify(dataset_id)
    console.print(f"{dataset_id}: {'ok' if good else 'DIFFERENT'}: {why}")
    return 0 if good else 1


def upgrade(dataset_ids: Positional[tuple[str, ...]] = ()) -> int:
    """Check datasets that an earlier version made, and record their present content hash.

    Args:
        dataset_ids: Ids of the datasets. By default, all local ones that need it.
    """
    found = store.local_datasets()
    chosen = dataset_ids or tuple(i for i, about in found.items() if about.is_outdated)
    if not chosen:
        console.print("no local dataset was made by an earlier version")
    status = 0
    for dataset_id in chosen:
        try:
            console.print(f"{dataset_id} {store.upgrade(dataset_id)}")
        except store.DatasetError as error:  # the others can still be upgraded
            console.print(str(error), style="yellow")
            status = 1
    return status


def card(dataset_ids: Positional[tuple[str, ...]] = (), out: Path = Path("datasets/cards")) -> int:
    """Write the cards of local datasets: a page and a figure per dataset.

    Args:
        dataset_ids: Ids of the datasets. By default, those of the catalogue.
        out: Folder for the cards.
    """
    from networld_algos.cli.dataset_card import write_card

    for dataset_id in dataset_ids or tuple(store.catalog()):
        console.print(f"wrote {write_card(dataset_id, out)}")
    return 0


def _size(dataset: Any) -> str:
    """Episodes and steps in words."""
    episodes, steps = int(dataset.total_episodes), int(dataset.total_steps)
    return f"{count(episodes, 'episode')}, {count(steps, 'step')}"


VERBS = {
    "build": build,
    "download": get,
    "upload": push,
    "list": show_list,
    "show": show,
    "verify": verify,
    "upgrade": upgrade,
    "template": template,
    "import": import_,
    "export": export,
    "flatten": flatten,
    "card": card,
}
