"""Reads a mapping, see `networld_envs.store.importing.tables.mapping`, and checks every key."""

from __future__ import annotations

import tomllib
from dataclasses import MISSING, Field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from networld_envs.spec import Column, TaskSpec
from networld_envs.store.ids import DatasetError
from networld_envs.store.importing.tables.mapping import (
    Agent,
    Csv,
    Episode,
    Mapping,
    Neighbours,
    Reward,
    Rows,
    Source,
    Time,
    column_names,
)
from networld_envs.store.importing.tables.units import factor


def read_mapping(path: Path, spec: TaskSpec) -> Mapping:
    """Read a mapping and check that it fits a task.

    Args:
        path: The TOML file.
        spec: The task's.

    Raises:
        DatasetError: Names the file, the section and the key, and says what to write.
    """
    try:
        given = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DatasetError(
            f"the mapping {path.name} cannot be read: {error}; `networld dataset template "
            f"--task {spec.task}` writes one that is right"
        ) from error
    return _Reader(path, given, spec).mapping()


class _Reader:
    """Turns the tables of a TOML file into a `Mapping`."""

    def __init__(self, path: Path, given: dict[str, Any], spec: TaskSpec) -> None:
        self._path, self._given, self._spec = path, given, spec

    def mapping(self) -> Mapping:
        known = [f.name for f in fields(Mapping) if f.name != "path"]
        for name, value in self._given.items():
            if name not in known:
                self._fail("", f"has no section [{name}]{_near(name, known)}; sections are {known}")
            if not isinstance(value, dict):
                self._fail("", f"{name} must be a section, [{name}], got {value!r}")
        reward = self._section("reward", Reward)
        if reward.task and (set(self._given["reward"]) - {"task"}):
            self._fail("reward", "has task = true and other keys; keep one of them")
        return Mapping(
            path=self._path,
            csv=self._csv(),
            time=self._time(),
            agent=self._section("agent", Agent),
            episode=self._episode(),
            rows=self._rows(),
            neighbours=self._section("neighbours", Neighbours),
            observations=self._sources("observations", self._spec.obs_columns),
            actions=self._sources("actions", self._spec.action_columns),
            reward=reward
            if reward.task
            else self._checked("reward", "", reward, self._spec.reward_column),
        )

    def _csv(self) -> Csv:
        found = self._section("csv", Csv, needed=False)
        if len(found.delimiter) != 1 or found.delimiter in '"\r\n' or not found.delimiter.isascii():
            self._fail("csv", f"delimiter must be one character, got {found.delimiter!r}")
        if found.delimiter == found.decimal:
            self._fail("csv", f"delimiter and decimal are both {found.decimal!r}; one must differ")
        try:
            "".encode(found.encoding)
        except LookupError:
            self._fail(
                "csv", f"encoding {found.encoding!r} is unknown; write e.g. 'utf-8' or 'latin-1'"
            )
        return found

    def _time(self) -> Time:
        found = self._section("time", Time)
        if not 0.0 < found.step < float("inf"):
            self._fail("time", f"step must be more than 0, got {found.step}")
        if not 0.0 <= found.tolerance < 0.5:
            self._fail("time", f"tolerance must be at least 0 and below 0.5, got {found.tolerance}")
        return found

    def _episode(self) -> Episode:
        found = self._section("episode", Episode, needed=False)
        if found.column and found.steps:
            self._fail("episode", "has column and steps; keep one of them")
        if found.steps < 0:
            self._fail("episode", f"steps must be at least 1, got {found.steps}")
        return found

    def _rows(self) -> Rows:
        found = self._section("rows", Rows, needed=False)
        if found.hold < 0:
            self._fail("rows", f"hold must be at least 0, got {found.hold}")
        return found

    def _sources(self, name: str, columns: tuple[Column, ...]) -> tuple[Source, ...]:
        names = column_names(self._spec, name)
        given = self._given.get(name)
        if given is None:
            self._fail("", f"has no section [{name}], which maps {', '.join(names)}")
        for key in given:
            if key not in names:
                self._fail(
                    name,
                    f"{key!r} is no column of task {self._spec.task!r}{_near(key, names)}; "
                    f"columns are {', '.join(names)}",
                )
        absent = [key for key in names if key not in given]
        if absent:
            self._fail(
                name,
                f"does not map {', '.join(absent)}; give the column of the table, or "
                "{ constant = ... } for what was not measured",
            )
        found = []
        for i, key in enumerate(names):
            value = given[key]
            value = {"column": value} if isinstance(value, str) else value
            if not isinstance(value, dict):
                self._fail(
                    name, f"{key} must be the name of a column or a table of keys, got {value!r}"
                )
            source = self._built(f"{name}.{key}", value, Source)
            if name == "observations" and "row" in value:
                self._fail(name, f"{key}: only actions and the reward can be in the next row")
            found.append(self._checked(name, key, source, columns[i] if columns else None))
        return tuple(found)

    def _checked(self, section: str, key: str, source: Any, column: Column | None) -> Any:
        """A source with the factor between the units."""
        at = f"{key}: " if key else ""
        if bool(source.column) == (source.constant is not None):
            self._fail(section, f"{at}give either column or constant")
        if source.constant is not None:
            if source.scale is not None or source.offset or source.unit is not None:
                self._fail(section, f"{at}a constant is in the task's unit and has no scale")
            return source
        if source.scale == 0.0:
            self._fail(section, f"{at}scale must not be 0; a column of one value is a constant")
        scale = source.scale
        if source.unit is not None:
            if scale is not None:
                self._fail(section, f"{at}give either unit or scale; a scale includes the units")
            if column is None:
                self._fail(
                    section,
                    f"{at}task {self._spec.task!r} does not state the unit of this column, so give "
                    "scale in place of unit",
                )
            scale = factor(source.unit, column.unit)
            if scale is None:
                unit = repr(column.unit) if column.unit else "a pure number"
                self._fail(
                    section,
                    f"{at}no conversion from unit {source.unit!r} is known, and the task's is "
                    f"{unit}; give scale (and offset): value = scale * cell + offset",
                )
        values = {f.name: getattr(source, f.name) for f in fields(source)}
        return type(source)(**{**values, "scale": 1.0 if scale is None else scale})

    def _section(self, name: str, kind: type[Any], needed: bool = True) -> Any:
        if name not in self._given and needed:
            example = "; `networld dataset template` shows an example"
            self._fail("", f"has no section [{name}]{example}")
        return self._built(name, self._given.get(name, {}), kind)

    def _built(self, section: str, given: dict[str, Any], kind: type[Any]) -> Any:
        known: dict[str, Field[Any]] = {f.name: f for f in fields(kind)}
        values = {}
        for key, value in given.items():
            if key not in known:
                keys = f"keys are {', '.join(known)}"
                self._fail(section, f"has no key {key!r}{_near(key, known)}; {keys}")
            values[key] = self._value(section, known[key], value)
        for key, f in known.items():
            if key not in values and f.default is MISSING:
                self._fail(section, f"needs the key {key}")
        return kind(**values)

    def _value(self, section: str, f: Field[Any], value: Any) -> Any:
        kind = str(f.type)
        good, need = True, ""
        if kind.startswith("tuple"):
            good = isinstance(value, list) and all(isinstance(v, str) for v in value)
            need, value = "a list of texts", tuple(value) if good else value
        elif kind.startswith("float"):
            good = isinstance(value, int | float) and not isinstance(value, bool)
            need, value = "a number", float(value) if good else value
            good = good and value == value and abs(value) != float("inf")
        elif kind == "int":
            good, need = isinstance(value, int) and not isinstance(value, bool), "a whole number"
        elif kind == "bool":
            good, need = isinstance(value, bool), "true or false"
        else:
            good, need = isinstance(value, str), "a text"
        choices = f.metadata.get("choices", ())
        if good and choices and value not in choices:
            good, need = False, " or ".join(repr(c) for c in choices)
        if not good:
            self._fail(section, f"{f.name} must be {need}, got {value!r}")
        return value

    def _fail(self, section: str, text: str) -> NoReturn:
        at = f" [{section}]:" if section else ""
        raise DatasetError(f"the mapping {self._path.name}{at} {text}")


def _near(word: str, known: Any) -> str:
    near = get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
