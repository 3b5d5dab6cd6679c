"""Rows of a table on disk, sorted by episode, so that a table of any size and order can be read."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class Spool:
    """Rows of ``width`` numbers by episode, in a file.

    In memory is only where the rows are: a table that lists its episodes one after another needs
    one entry per episode.

    Args:
        path: New file.
        width: Numbers in a row.
    """

    def __init__(self, path: Path, width: int) -> None:
        self._file = path.open("w+b")
        self._width = width
        self._runs: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self._rows = 0

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self._runs)

    @property
    def episodes(self) -> list[int]:
        """Episodes in the order in which their first rows came."""
        return list(self._runs)

    def add(self, episodes: NDArray[np.int64], rows: NDArray[np.float64]) -> None:
        """Append rows.

        Args:
            episodes: ``(n,)``, the episode of each row.
            rows: ``(n, width)`` float64.
        """
        if (episodes[1:] < episodes[:-1]).any():
            order = np.argsort(episodes, kind="stable")
            episodes, rows = episodes[order], rows[order]
        edges = np.flatnonzero(np.diff(episodes)) + 1
        for start, stop in zip([0, *edges], [*edges, len(rows)], strict=True):
            runs = self._runs[int(episodes[start])]
            first = self._rows + int(start)
            if runs and sum(runs[-1]) == first:
                runs[-1] = (runs[-1][0], runs[-1][1] + int(stop - start))
            else:
                runs.append((first, int(stop - start)))
        self._file.seek(0, 2)
        self._file.write(np.ascontiguousarray(rows, np.float64).data)
        self._rows += len(rows)

    def read(self, episode: int) -> NDArray[np.float64]:
        """All rows of an episode, ``(n, width)``, in the order in which they were added."""
        found = np.empty((sum(n for _, n in self._runs[episode]), self._width))
        at = 0
        for start, n in self._runs[episode]:
            self._file.seek(start * self._width * found.itemsize)
            self._file.readinto(found[at : at + n].data)
            at += n
        return found

    def close(self) -> None:
        """Close the file."""
        self._file.close()
