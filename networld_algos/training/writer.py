"""One training per folder: a second one is refused, and so is a folder that cannot be written."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from networld_algos.files import locked, write_text

LOCK = ".training.lock"
HOLDER = ".training.json"
"""The process that trains into the folder, for the message to others."""


@contextmanager
def sole_writer(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Hold a folder for one training. The hold of a process that dies ends with it.

    Args:
        folder: Folder of the checkpoint. It is created if it is missing, and removed at the end if
            it is then empty.

    Raises:
        BlockingIOError: If another process holds it; names the folder and the process.
        OSError: If the folder cannot be written.
    """
    folder = Path(folder)
    with ExitStack() as stack:
        if not folder.exists():
            stack.callback(_remove_empty, folder)
        try:
            stack.enter_context(locked(folder / LOCK, wait=False, remove=True))
            write_text(folder / HOLDER, json.dumps({"pid": os.getpid(), "host": _host()}) + "\n")
        except BlockingIOError as error:
            raise BlockingIOError(
                f"{folder} is in use: {_describe(folder / HOLDER)} trains into it. Wait until it "
                "has ended, stop it, or choose another folder"
            ) from error
        except OSError as error:
            raise OSError(
                f"{folder} cannot be written ({error}); choose another folder, or make room or "
                "change the permissions there"
            ) from error
        stack.callback((folder / HOLDER).unlink, missing_ok=True)
        yield


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _host() -> str:
    return socket.gethostname()


def _describe(holder: Path) -> str:
    """The process that a file of this module names, in words."""
    try:
        found = json.loads(holder.read_text(encoding="utf-8"))
        return f"process {int(found['pid'])} on {found['host']}"
    except (OSError, ValueError, TypeError, KeyError):  # being written just now, or damaged
        return "another process"
