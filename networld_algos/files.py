"""Files that are written whole or not at all, and locks between processes.

`networld_envs.files` does the same for its package, from which reports must not import.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout


def write_bytes(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write a file, and create its folder if that is missing.

    The data goes to a temporary file beside ``path``, is synced to disk, and is then moved into
    place. A reader sees the old or the new content, never a part, even after a crash. An error
    leaves no temporary file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """`write_bytes` for text in UTF-8."""
    return write_bytes(path, text.encode("utf-8"))


class DamagedFileError(ValueError):
    """A file cannot be used; the message names it, the reason and the remedy."""


@contextmanager
def reading(what: str | os.PathLike[str], remedy: str) -> Iterator[None]:
    """Turn whatever reading a damaged file raises into a `DamagedFileError`.

    The libraries that read files have no common exception: a few wrong bytes may give a KeyError,
    a RecursionError, a MemoryError or an error of the library's own. The original is the cause of
    the new one; ``networld --traceback`` shows both. An `OSError`, such as a denied access, already
    names the file and passes unchanged.

    Args:
        what: The file, and perhaps a place in it.
        remedy: What to do, as the end of a sentence.

    Raises:
        DamagedFileError: For any exception but an `OSError`.
    """
    try:
        yield
    except (DamagedFileError, OSError):
        raise
    except Exception as error:
        text = "".join(c if c.isprintable() else " " for c in str(error)[:300])
        reason = text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}"
        raise DamagedFileError(f"{what} is damaged ({reason}); {remedy}") from error


@contextmanager
def locked(
    path: str | os.PathLike[str], *, wait: bool = True, remove: bool = False
) -> Iterator[None]:
    """Hold the lock that a file stands for.

    The file is created if it is missing, and so is its folder. It is never emptied, and a symbolic
    link is refused, so that no other file can be damaged through it. The lock of a process that
    dies is free.

    Args:
        path: The lock file.
        wait: Wait while another process holds the lock.
        remove: Delete the file at the end. Who waits for it then locks a new file.

    Raises:
        BlockingIOError: If another process holds the lock and ``wait`` is false.
        OSError: If ``path`` is a symbolic link or cannot be opened.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(blocking=wait)
    except Timeout as error:
        raise BlockingIOError(f"another process holds {path}") from error
    try:
        yield
    finally:
        if remove:
            with suppress(PermissionError):  # Windows keeps files that are open
                path.unlink(missing_ok=True)
        lock.release()
