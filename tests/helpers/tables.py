"""Logs of a small network as a table, with its mapping, and with the disorder of real logs."""

import csv

import networld_envs
from networld_envs.store.importing.logs import import_logs
from tests.helpers.log_files import SMALL, logs

MINE = "networld/mine/table-v0"
COLUMNS = [
    c.name for c in networld_envs.TASKS["rb"].spec(networld_envs.make_params("rb")).obs_columns
]
HEADER = ["day", "time", "node", *COLUMNS, "asked", "reward"]
AGENTS = [f"n{i}" for i in range(SMALL["rb"]["num_clusters"])]
MAPPING = {
    "csv": {},
    "time": {"column": "time", "step": 0.02},
    "agent": {"column": "node"},
    "episode": {"column": "day"},
    "rows": {},
    "observations": {name: name for name in COLUMNS},
    "actions": {"request": "asked"},
    "reward": {"column": "reward"},
    "neighbours": {"file": "neighbours.csv"},
}


def rows(arrays):
    """One row per episode, step and agent, as text; also the header."""
    found = [list(HEADER)]
    for k in range(len(arrays) // 4):
        obs, actions, rewards = (
            arrays[f"episode_{k}/{name}"] for name in ("observations", "actions", "agent_rewards")
        )
        for t in range(len(obs)):
            for i, agent in enumerate(AGENTS):
                end = (
                    [f"{actions[t, i]}", repr(float(rewards[t, i]))]
                    if t < len(actions)
                    else ["", ""]
                )
                seen = [repr(float(x)) for x in obs[t, i]]
                found.append([f"d{k}", f"{0.02 * t:.2f}", agent, *seen, *end])
    return found


def toml(value):
    """A value as TOML."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f'"{k}" = {toml(v)}' for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, int | float) else '"' + value.replace("\t", "\\t") + '"'


class Table:
    """Files of a log in a folder; change ``rows``, ``pairs`` and ``mapping`` before `load`."""

    def __init__(self, folder, lengths=(4, 7), **changes):
        self.folder = folder
        self.arrays = logs("rb", lengths, **changes)
        self.rows = rows(self.arrays)
        table = self.arrays["episode_0/neighbours"]
        pairs = [[AGENTS[i], AGENTS[j]] for i, row in enumerate(table) for j in row if j >= 0]
        self.pairs = [["agent", "neighbour"], *pairs]
        self.mapping = {name: dict(section) for name, section in MAPPING.items()}
        self.delimiter, self.encoding, self.name, self.text = ",", "utf-8", "log.csv", None

    def at(self, day, step, agent):
        """Index in ``rows`` of a row as it was written."""
        return next(
            i for i, r in enumerate(self.rows) if r[:3] == [day, f"{0.02 * step:.2f}", agent]
        )

    def set(self, day, step, agent, column, value):
        """Change a cell; returns the number of its line in the file."""
        i = self.at(day, step, agent)
        self.rows[i][HEADER.index(column)] = value
        return i + 1

    def write(self):
        """Write the three files."""
        with (self.folder / self.name).open("w", encoding=self.encoding, newline="") as file:
            csv.writer(file, delimiter=self.delimiter).writerows(self.rows)
        with (self.folder / "neighbours.csv").open("w", newline="") as file:
            csv.writer(file, delimiter=self.delimiter).writerows(self.pairs)
        lines = []
        for name, section in self.mapping.items():
            lines += [f"[{name}]", *(f'"{k}" = {toml(v)}' for k, v in section.items())]
        (self.folder / "mapping.toml").write_text("\n".join(lines))
        return self.folder / self.name

    def load(self, **options):
        """Write the files and import them."""
        path = self.write()
        mapping = self.folder / "mapping.toml"
        return import_logs(path, MINE, "rb", mapping=mapping, **{"force": True, **options})
