"""Text that a user wrote, as it is shown: never as markup, one function for each place.

Labels, policies, ids, titles, paths and factors may hold any character. A terminal gets `visible`
text, a figure gets a `name`, prose gets `one_line`, a Markdown page gets `markdown`, and a file
name or an anchor gets a `slug`. HTML is escaped by the template.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

KEPT = "\n\t"
BREAKS = {"\n": "\\n", "\t": "\\t", "\u2028": "\\u2028", "\u2029": "\\u2029"}
REORDERING = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the direction of the text around them."""

MARKDOWN = re.compile(
    r"[\\`*|$~]"  # escape, code, emphasis, end of a cell, maths, strike-through
    r"|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])"  # emphasis, but not the _ of message_loss
    r"|\](?=[(\[:])"  # a link, an image, or the target of one
    r"|#(?=#*$)"  # the end of a heading
)


def visible(text: str) -> str:
    r"""The text with an escape such as ``\x1b`` for every character that is an instruction.

    These are control characters other than newline and tab, characters that reorder text, and
    halves of surrogate pairs, which no file can hold.
    """
    return "".join(_escaped(c) if _is_instruction(c) else c for c in text)


def name(text: str) -> str:
    r"""`visible` text in one line: ``\n`` stands for a newline, so that names stay distinct."""
    if text.isprintable():
        return text
    return visible("".join(BREAKS.get(c, c) for c in text))


def one_line(text: str) -> str:
    """`visible` text in one line, with single spaces."""
    return visible(" ".join(text.split()))


def capital(text: str) -> str:
    """The text with a capital first letter; the other letters stay as they are."""
    return text[:1].upper() + text[1:]


def markdown(text: str) -> str:
    """Text in one line of Markdown that is read as this text, also in a cell or a heading."""
    plain = re.sub(r"&(?=#?\w+;)", "&amp;", one_line(text)).replace("<", "&lt;")
    return MARKDOWN.sub(r"\\\g<0>", plain)


def slug(words: str, reserved: Iterable[str] = ()) -> str:
    """A name in lower case with hyphens, for anchors and file names.

    Different names have different slugs: if letters, digits and underscores are not all there is,
    or the slug is reserved, a hash of the name follows.
    """
    plain = re.sub(r"[^a-z0-9]+", "-", words.lower())[:60].strip("-")
    if plain in reserved or not plain or plain != words.replace("_", "-"):
        plain = f"{plain}-{_digest(words)}".strip("-")
    return plain


def file_stem(words: str, longest: int = 120) -> str:
    """Words joined with hyphens, at most ``longest`` characters, as the start of a file name."""
    stem = re.sub(r"[^A-Za-z0-9.]+", "-", words).strip("-")
    return stem if len(stem) <= longest else f"{stem[: longest - 9]}-{_digest(words)}"


def count(number: int, noun: str, several: str | None = None) -> str:
    """A number and its noun: ``1 run``, ``2 runs``."""
    return f"{number} {noun if number == 1 else several or noun + 's'}"


def suggestion(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'networld'?`` for a known word close to ``word``, otherwise nothing."""
    near = get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:8]


def _is_instruction(character: str) -> bool:
    kind = unicodedata.category(character)
    return (kind in ("Cc", "Cs") and character not in KEPT) or character in REORDERING


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
