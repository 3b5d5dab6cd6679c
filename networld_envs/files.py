"""Files that are written whole or not at all, and locks between processes."""

from __future__ import annotations

import importlib.util
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

from filelock import FileLock


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write a new file that replaces ``path`` when the block ends without an error.

    It is written beside ``path`` and flushed to disk before it is moved. A reader therefore sees
    either the old or the new content in full, even after a crash. After an error the new file is
    deleted.

    Args:
        path: File to write, in a folder that exists.

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
    """Hold the lock of a lock file; others that want the same lock wait.

    The file is created if it does not exist, and it is not removed. It is never emptied, and
    symbolic links are refused, so that no other file can be damaged through it. The lock of a
    process that dies is free.

    Raises:
        OSError: If ``path`` is a symbolic link or cannot be opened.
    """
    with FileLock(path):
        yield


def run_file(path: Path) -> ModuleType:
    """Execute a user's Python file as a module. Only run files that you trust.

    Raises:
        ValueError: If there is no such file, or it raises an error; names the file and the error.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    name = f"networld_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is not a Python file: its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look up their module here
    try:
        spec.loader.exec_module(module)
    except SystemExit as error:
        raise ValueError(
            f"{path} ends the program when it is imported ({error!r}); move what does so below "
            'if __name__ == "__main__":'
        ) from error
    except Exception as error:
        raise ValueError(f"{path} does not run: {type(error).__name__}: {error}") from error
    finally:
        # Worker processes cannot import it by name. Without the entry, it is sent by value.
        del sys.modules[name]
    return module
