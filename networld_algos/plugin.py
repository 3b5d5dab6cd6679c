"""User-defined algorithms, from Python files outside the package.

An algorithm is named as ``path/to/file.py:Name``. The file is executed, so name only files that you
trust.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import is_dataclass
from inspect import get_annotations, isabstract
from pathlib import Path
from types import ModuleType
from typing import Any

from networld_algos.base import Algorithm
from networld_algos.registry import ALGORITHMS, BUILT_IN
from networld_envs.files import run_file

_modules: dict[str, ModuleType] = {}  # modules of user-defined algorithms, by name


def is_plugin(name: str) -> bool:
    """Whether ``name`` has the form ``file.py:Class``."""
    return ".py:" in name or name.endswith(".py")


def add_algorithm(source: str) -> str:
    """Run a Python file and add one of its classes to `ALGORITHMS`.

    The class must be a subclass of `Algorithm`. Its annotation ``config: MyConfig`` names the
    frozen dataclass that holds its settings.

    Args:
        source: ``path/to/file.py:ClassName``.

    Returns:
        The ``name`` of the class, which suites, ``make`` and the command line now accept.

    Raises:
        ValueError: If the file or the class does not exist, the class is not a complete algorithm,
            or its name is that of a built-in algorithm.
    """
    path_text, _, class_name = source.rpartition(":")
    path = Path(path_text)
    if not class_name or path.suffix != ".py":
        raise ValueError(f"name an algorithm as path/to/file.py:ClassName, got {source!r}")
    if not path.is_file():
        raise ValueError(f"there is no file {path} (from {source!r})")
    module = run_file(path)
    found = getattr(module, class_name, None)
    if not (isinstance(found, type) and issubclass(found, Algorithm)):
        classes = [
            name
            for name, value in vars(module).items()
            if isinstance(value, type) and value.__module__ == module.__name__
        ]
        raise ValueError(
            f"{path} has no Algorithm subclass {class_name!r}; its classes: {sorted(classes)}"
        )
    if isabstract(found):
        missing = ", ".join(sorted(found.__abstractmethods__))
        raise ValueError(f"{class_name} of {path} is not complete; it lacks: {missing}")
    config_type = _config_type(found, module)
    name = getattr(found, "name", None)
    if not isinstance(name, str) or not name:
        raise ValueError(f'{class_name} of {path} needs a name: name = "my-algorithm"')
    if name in BUILT_IN:
        raise ValueError(
            f"{class_name} of {path} has the name of a built-in algorithm, {name!r}; choose another"
        )
    ALGORITHMS[name] = (config_type, found)
    _modules[module.__name__] = module
    return name


@contextmanager
def importable() -> Iterator[None]:
    """Let `inspect` find the source of user-defined algorithms inside this context."""
    sys.modules.update(_modules)
    try:
        yield
    finally:
        for name in _modules:
            del sys.modules[name]


def _config_type(found: type[Algorithm], module: ModuleType) -> type[Any]:
    """The dataclass that annotates ``config``, looked up along the method resolution order."""
    for base in found.__mro__:
        hint = get_annotations(base).get("config")
        if isinstance(hint, str):  # from __future__ import annotations
            home = module if base.__module__ == module.__name__ else sys.modules[base.__module__]
            hint = vars(home).get(hint)
        if isinstance(hint, type) and is_dataclass(hint):
            return hint
    raise ValueError(
        f"{found.__name__} needs an annotation `config: MyConfig` that names a dataclass"
    )
