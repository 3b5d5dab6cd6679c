"""Text that a user wrote, as it is shown: never as markup, one function for each place.

Labels, policies, ids, titles, paths and factors may hold any character. A terminal gets `visible`
text, a figure gets a `name`, prose gets `one_line`, a Markdown page gets `markdown` or, where
nothing stands before it, a `paragraph`, a paper gets `latex`, a spreadsheet gets `spreadsheet`, and
a file name or an anchor gets a `slug`. HTML is escaped by the template.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches
from itertools import pairwise

KEPT = "\n\t"
BREAKS = {"\n": "\\n", "\t": "\\t", "\u2028": "\\u2028", "\u2029": "\\u2029"}
REORDERING = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the direction of the text around them."""

NEGATIVE_ZERO = re.compile(r"-(0(?:\.0*)?)(?![.\d])")
MARKDOWN = re.compile(
    r"[\\`*|$~]"  # escape, code, emphasis, end of a cell, maths, strike-through
    r"|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])"  # emphasis, but not the _ of message_loss
    r"|\](?=[(\[:])"  # a link, an image, or the target of one
    r"|#(?=#*$)"  # the end of a heading
)


BLOCK = re.compile(r"^(\d*)([#>+=.)-])")
"""What makes a line a heading, quotation, list item or rule: a sign, perhaps after a number."""
LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "`": r"\textasciigrave{}",
    '"': r"{\char34}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # after the end of a line, an argument
    "*": "{*}",
    "\N{MINUS SIGN}": "$-$",
    "\N{EN DASH}": "--",
    "\N{LESS-THAN OR EQUAL TO}": r"$\leq$",
    "\N{GREATER-THAN OR EQUAL TO}": r"$\geq$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{UPWARDS ARROW}": r"$\uparrow$",
    "\N{DOWNWARDS ARROW}": r"$\downarrow$",
    "\N{LEFTWARDS ARROW}": r"$\leftarrow$",
    "\N{RIGHTWARDS ARROW}": r"$\rightarrow$",
    "\N{DAGGER}": r"\dag{}",
    "\N{DOUBLE DAGGER}": r"\ddag{}",
}
LIGATURES = "-',"
"""Characters that LaTeX makes another one of where two stand together, such as a dash."""
FORMULA = "=+-@\uff1d\uff0b\uff0d\uff20"
"""Characters that start a formula in a spreadsheet, some of them in their wide form."""


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


def paragraph(text: str) -> str:
    """`markdown` that stands alone: no heading, list, quotation or rule by how it begins."""
    plain = markdown(text)
    return BLOCK.sub(r"\g<1>\\\g<2>", plain, count=1)


def latex(text: str) -> str:
    """Text in one line of LaTeX that is read as this text, in a cell, a heading or a caption.

    Letters that LaTeX's fonts lack, such as Chinese ones, need XeLaTeX or LuaLaTeX and a font.
    """
    plain = one_line(text)
    apart = ("{}" if c == before and c in LIGATURES else "" for before, c in pairwise(" " + plain))
    return "".join(gap + LATEX.get(c, c) for gap, c in zip(apart, plain, strict=True))


def spreadsheet(text: str) -> str:
    """Text that no spreadsheet reads as a formula: an apostrophe stands before one.

    Otherwise, the label of somebody's method could run a command on the machine that opens the
    table.
    """
    start = text.lstrip()[:1]
    return f"'{text}" if start and start in FORMULA else text


def slug(words: str, reserved: Iterable[str] = ()) -> str:
    """A name in lower case with hyphens, for anchors and file names.

    Different names have different slugs: if letters, digits and underscores are not all there is,
    or the slug is reserved, a hash of the name follows.
    """
    plain = re.sub(r"[^a-z0-9]+", "-", words.lower())[:60].strip("-")
    if plain in reserved or not plain or plain != words.replace("_", "-"):
        plain = f"{plain}-{digest(words)}".strip("-")
    return plain


def file_stem(words: str, longest: int = 120) -> str:
    """Words joined with hyphens, at most ``longest`` characters, as the start of a file name."""
    stem = re.sub(r"[^A-Za-z0-9.]+", "-", words).strip("-")
    return stem if len(stem) <= longest else f"{stem[: longest - 9]}-{digest(words)}"


def count(number: int, noun: str, several: str | None = None) -> str:
    """A number and its noun: ``1 run``, ``2 runs``."""
    return f"{number} {noun if number == 1 else several or noun + 's'}"


def suggestion(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'networld'?`` for a known word close to ``word``, otherwise nothing."""
    near = get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def digest(text: str) -> str:
    """A short hash, for names that must differ where their readable part may not."""
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:8]


def _is_instruction(character: str) -> bool:
    kind = unicodedata.category(character)
    return (kind in ("Cc", "Cs") and character not in KEPT) or character in REORDERING


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def minus(text: str) -> str:
    """The text of numbers with minus signs in place of hyphens, and none before a zero."""
    return NEGATIVE_ZERO.sub(r"\1", text).replace("-", "\N{MINUS SIGN}")
