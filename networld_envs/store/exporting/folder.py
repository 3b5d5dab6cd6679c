"""A new folder that appears when it is complete."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from networld_envs.store.ids import DatasetError


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Make the folder ``out``: yields a folder beside it that is moved there at the end.

    After an error, or when the process is interrupted, nothing is left.

    Raises:
        DatasetError: If ``out`` is a file, or a folder with something in it.
    """
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise DatasetError(f"{out} already exists; choose a new folder, or move this away")
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.{uuid.uuid4().hex}")
    temporary.mkdir()
    try:
        yield temporary
        os.replace(temporary, out)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
