"""A catalogue whose datasets are short: the same ids and policies, few episodes, no hashes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from networld_envs import store
from networld_envs.store.recipes import CATALOG, CATALOG_VARIABLE


def shorten(patch: pytest.MonkeyPatch, folder: Path, episodes: int) -> None:
    """Use the short catalogue, in this process and in those that it starts."""
    text = re.sub(r"(?m)^episodes = \d+$", f"episodes = {episodes}", CATALOG.read_text("utf-8"))
    text = re.sub(r'(?m)^sha256 = "\w*"$', 'sha256 = ""', text)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "catalog.toml"
    path.write_text(text, "utf-8")
    patch.setenv(CATALOG_VARIABLE, str(path))


def build_short(patch: pytest.MonkeyPatch, root: Path, episodes: int, *dataset_ids: str) -> Path:
    """Build datasets of the short catalogue in a store of their own, which is then used."""
    patch.setenv("MINARI_DATASETS_PATH", str(root / "minari"))
    shorten(patch, root, episodes)
    for dataset_id in dataset_ids:
        store.build(store.find_recipe(dataset_id))
    return root / "minari"
