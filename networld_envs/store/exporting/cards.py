"""Texts of users in the cards of exported datasets."""

from __future__ import annotations

import re

SIGNS = re.compile(r"[\\`*_\[\]<>#|~$&]|^[-+=]|(?<=^\d)[.)]|(?<=^\d\d)[.)]")
"""What Markdown or HTML could read: signs within a text, and those that begin a list or rule."""


def plain(text: str) -> str:
    """Text in one line of Markdown that is shown as it is, without control characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return SIGNS.sub(r"\\\g<0>", line)
