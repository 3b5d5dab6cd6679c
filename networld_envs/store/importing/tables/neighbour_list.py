"""Reads the list of neighbours: a CSV file with one row per pair."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from networld_envs.store.ids import DatasetError, listed
from networld_envs.store.importing.tables.csv_files import check_names
from networld_envs.store.importing.tables.mapping import Mapping


def neighbour_tables(
    mapping: Mapping, agents: Sequence[str], left_out: set[str], episodes: Sequence[str]
) -> dict[str, NDArray[np.int32]]:
    """The neighbour table of each episode, ``(N, D)``, padded with -1.

    An agent's neighbours stand in the order of the file.

    Args:
        mapping: Names the file, which is looked for beside the mapping.
        agents: Labels of the agents, in the order of the dataset.
        left_out: Labels of agents that are not kept; pairs with them are left out.
        episodes: Labels of the episodes.

    Raises:
        DatasetError: Names file, line and column, and says what to do.
    """
    given, file = mapping.neighbours, mapping.path.parent / mapping.neighbours.file
    index = {label: i for i, label in enumerate(agents)}
    keys = episodes if given.episode else [""]
    heard: dict[str, list[list[int]]] = {key: [[] for _ in agents] for key in keys}
    seen: dict[tuple[str, int, int], int] = {}
    for line, pair, episode in _pairs(mapping, file):
        if episode not in heard:
            raise DatasetError(
                f"{file.name}, line {line}, column {given.episode!r}: the log has no episode "
                f"{episode!r}; its episodes are {listed(list(episodes))}"
            )
        if any(label in left_out for label in pair):
            continue
        for label, column in zip(pair, (given.agent, given.neighbour), strict=True):
            if label not in index:
                raise DatasetError(
                    f"{file.name}, line {line}, column {column!r}: the log has no agent {label!r}; "
                    f"its agents are {listed(list(agents))}"
                )
        i, j = (index[label] for label in pair)
        if i == j:
            raise DatasetError(
                f"{file.name}, line {line}: agent {pair[0]!r} is listed as its own neighbour; "
                "remove the line"
            )
        first = seen.setdefault((episode, i, j), line)
        if first != line:
            raise DatasetError(
                f"{file.name}, line {line}: the pair {pair[0]!r}, {pair[1]!r} is also in line "
                f"{first}; remove one"
            )
        heard[episode][i].append(j)
        if given.symmetric:
            seen.setdefault((episode, j, i), line)
            heard[episode][j].append(i)
    slots = max(1, *(len(row) for rows in heard.values() for row in rows))
    tables = {
        key: np.array([[*row, *[-1] * (slots - len(row))] for row in rows], np.int32)
        for key, rows in heard.items()
    }
    return {label: tables[label if given.episode else ""] for label in episodes}


def _pairs(mapping: Mapping, file: Path) -> list[tuple[int, tuple[str, str], str]]:
    """Line, pair and episode of each row."""
    given, options = mapping.neighbours, mapping.csv
    needed = [given.agent, given.neighbour, *([given.episode] if given.episode else [])]
    encoding = "utf-8-sig" if options.encoding.lower() in ("utf-8", "utf8") else options.encoding
    try:
        with file.open(encoding=encoding, newline="") as text:
            reader = csv.reader(text, delimiter=options.delimiter)
            names = [name.strip() for name in next(reader, [])]
            check_names(file, names, needed, mapping.path.name)
            at = [names.index(name) for name in needed]
            found = []
            for cells in reader:
                if not any(cells):
                    continue
                if len(cells) != len(names):
                    raise DatasetError(
                        f"{file.name}, line {reader.line_num}: the row has {len(cells)} cells and "
                        f"the header {len(names)}; correct or remove it"
                    )
                labels = [cells[i].strip() for i in at]
                episode = labels[2] if given.episode else ""
                found.append((reader.line_num, (labels[0], labels[1]), episode))
    except (OSError, UnicodeError, csv.Error) as error:
        raise DatasetError(
            f"the list of neighbours cannot be read: {error}; [neighbours] of {mapping.path.name} "
            "names it, relative to that file"
        ) from error
    return found
