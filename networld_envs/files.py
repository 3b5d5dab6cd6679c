"""Files that are written whole or not at all, and locks between processes."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import BinaryIO


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of ``path`` when the block ends without an error.

    It is written beside ``path`` and is on the disk before it is moved: a reader, also one after a
    crash, sees the old content or the new one, never a part. After an error nothing is left of it.

    Args:
        path: In a folder that exists.

    Yields:
        The new file, open for writing bytes.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def replace_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, see `replacing`."""
    with replacing(path) as file:
        file.write(text.encode("utf-8"))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock that a file stands for; others that want it wait.

    The file is made if it is not there and stays: it is never emptied, and a symbolic link is
    refused, so that no other file can be harmed through it.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def run_file(path: Path) -> ModuleType:
    """Execute a Python file of the user as a module of its own. It is code: only trusted files.

    Raises:
        ValueError: If there is no such file, or it raises; names the file and the error.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    name = f"networld_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is not a Python file: its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(f"{path} does not run: {type(error).__name__}: {error}") from error
    finally:
        # A worker process cannot import it by this name; without the entry it is sent by value.
        del sys.modules[name]
    return module
