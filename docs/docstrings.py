"""Converts docstrings for the API pages and adds the defaults of dataclass fields.

This is a griffe extension, named in ``mkdocs.yml``. It converts reStructuredText to Markdown with
the function that the pages' hooks use.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import griffe

_spec = importlib.util.spec_from_file_location("docs_hooks", Path(__file__).with_name("hooks.py"))
assert _spec is not None
assert _spec.loader is not None
_hooks = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_hooks)


class Docstrings(griffe.Extension):
    """Rewrites every docstring before it is parsed."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Called when a package has been read."""
        rewrite(pkg)


def rewrite(found: griffe.Object) -> None:
    """Convert the docstrings of an object and of its members."""
    if found.docstring is not None:
        text = _hooks.to_markdown(found.docstring.value)
        if isinstance(found, griffe.Class) and "dataclass" in found.labels:
            text = with_defaults(text, found)
        found.docstring.value = text.rstrip("\n")
    for member in found.members.values():
        if isinstance(member, griffe.Object):  # an alias is converted where it is defined
            rewrite(member)


def with_defaults(text: str, dataclass: griffe.Class) -> str:
    """A dataclass's docstring in which each listed attribute starts with its default."""
    for name, field in dataclass.attributes.items():
        if field.value is None or "field(" in str(field.value):
            continue
        text = re.sub(
            rf"^( +{name}): ",
            lambda match, value=field.value: f"{match[1]}: Default `{value}`. ",
            text,
            flags=re.MULTILINE,
        )
    return text
