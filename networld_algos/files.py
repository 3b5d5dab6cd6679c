"""Files that are written whole or not at all.

`networld_envs.files` has the same for its package; reports must not import from there.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path


def write_bytes(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write a file, and its folder if that is missing.

    It is written beside ``path`` and is on the disk before it is moved: a reader, also one after a
    crash, sees the old content or the new one, never a part. After an error nothing is left of it.
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
