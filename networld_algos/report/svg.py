"""Small data URLs of SVG figures, so that a page with many of them stays small.

Matplotlib writes coordinates to a millionth of a point, a name for every group, and every text as
a comment beside its letters. None of this shows on a screen. The files in ``figures/`` keep it,
because drawing programs use the names.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

_SVG = "http://www.w3.org/2000/svg"
_LINK = "{http://www.w3.org/1999/xlink}href"
_USED = re.compile(r"(?<=url\(#)[^)]+")
_NUMBER = re.compile(r"-?\d+\.\d+")
_LETTER = re.compile(r"translate\((-?[\d.]+) 0\)")
_STEP = re.compile(r"([MLQCZz])([^MLQCZz]*)")
"""A command of a path that Matplotlib writes, all with absolute positions."""
_SRC_UNSAFE = re.compile(r"[%#&\x00-\x1f\x7f-\U0010ffff]")
_SRCSET_UNSAFE = re.compile(r"[%#&\x00-\x20\x7f-\U0010ffff]")
_LETTER_SCALE = "scale(0.015625)"
LETTER_UNIT = 16
"""Unit of the outlines of letters: a 400th of their size."""
_EXACT = 0.1
"""Numbers below this, such as the scale of letters, are kept as they are."""


def data_url(svg: str, in_srcset: bool = False) -> str:
    """A figure as a data URL, without what does not show on a screen.

    It may stand in ``src="..."`` as it is: it has no double quote and no ampersand.

    Args:
        svg: The figure.
        in_srcset: Whether it is for ``srcset="..."``, where an address must not have a space.
    """
    text = compact(svg).replace('"', "'")
    unsafe = _SRCSET_UNSAFE if in_srcset else _SRC_UNSAFE
    return "data:image/svg+xml," + unsafe.sub(_percent, text)  # base64: a third longer


def compact(svg: str) -> str:
    """The same picture in less than half of the bytes: coordinates to a tenth of a point."""
    root = ElementTree.fromstring(svg)
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{_SVG}}}")
    for old in root.findall("metadata"):
        root.remove(old)
    names = {name: f"a{i}" for i, name in enumerate(_used(root))}
    classes: dict[str, str] = {}
    for element in root.iter():
        _shorten(element, names, classes)
    _unwrap(root)
    _share_words(root)
    sheet = next(root.iter("style"))
    rules = "".join(f".{name}{{{style}}}" for style, name in classes.items())
    sheet.text = f"{(sheet.text or '').strip()}{rules}"
    root.set("xmlns", _SVG)
    return ElementTree.tostring(root, encoding="unicode").replace(" />", "/>")


def _used(root: Element) -> list[str]:
    """Names that something in the picture refers to, in order of appearance."""
    found: dict[str, None] = {}
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == _LINK:
                found[value.removeprefix("#")] = None
            else:
                found.update(dict.fromkeys(_USED.findall(value)))
    return list(found)


def _shorten(element: Element, names: dict[str, str], classes: dict[str, str]) -> None:
    """Rewrite the attributes of one element; ``classes`` collects its style."""
    given, element.attrib = dict(element.attrib), {}
    styles: list[str] = []
    element.text = (element.text or "").strip()
    element.tail = ""
    for key, value in given.items():
        if key == "id":
            if value in names:
                element.set("id", names[value])
        elif key == _LINK:
            element.set("href", f"#{names[value.removeprefix('#')]}")
        elif key == "style":
            styles.append(_NUMBER.sub(_rounded, value).replace(": ", ":").replace("; ", ";"))
        elif key == "clip-path":
            styles.append("clip-path:" + _USED.sub(lambda found: names[found[0]], value))
        elif key == "d":
            letter = given.get("transform") == _LETTER_SCALE
            element.set("d", _path(value, LETTER_UNIT if letter else None))
        elif value == _LETTER_SCALE:
            element.set(key, f"scale({0.015625 * LETTER_UNIT:g})")
        elif key == "transform" and (letter := _LETTER.fullmatch(value)):
            element.set("x", f"{float(letter[1]):.0f}")  # a letter, in hundredths of its size
        else:
            text = _NUMBER.sub(_rounded, value)
            element.set(key, text.replace(" ", ",") if key == "transform" else text)
    if styles:
        style = ";".join(styles)
        element.set("class", classes.setdefault(style, f"b{len(classes)}"))


def _unwrap(element: Element) -> None:
    """Replace groups without attributes by what is in them, at all depths."""
    children: list[Element] = []
    for child in list(element):
        _unwrap(child)
        children += list(child) if child.tag == "g" and not child.attrib else [child]
    for child in list(element):
        element.remove(child)
    element.extend(children)


def _share_words(root: Element) -> None:
    """Draw the letters of a text once, and refer to them where it is written again."""
    first: dict[tuple[tuple[str, str], ...], Element] = {}
    again: dict[tuple[tuple[str, str], ...], str] = {}
    for group in list(root.iter("g")):
        letters = [child for child in group if child.tag == "use"]
        word = tuple((letter.get("href", ""), letter.get("x", "")) for letter in letters)
        others = {child.tag for child in group} - {"use", "defs"}
        if len(letters) < 2 or others or any(set(x.attrib) - {"href", "x"} for x in letters):
            continue
        if word not in first:
            first[word] = group
            continue
        if word not in again:
            again[word] = f"c{len(again)}"
            shared = Element("g", {"id": again[word]})
            shared.extend(letters)
            for letter in [child for child in first[word] if child.tag == "use"]:
                first[word].remove(letter)
            first[word].append(shared)
        for letter in letters:
            group.remove(letter)
        group.append(Element("use", {"href": f"#{again[word]}"}))


def _path(text: str, unit: int | None = None) -> str:
    """A path with steps in place of positions, in whole numbers so that errors do not add up.

    They are multiples of ``unit`` or, without one, tenths. Points that repeat the one before, or
    lie on a straight way along an axis, are left out: a figure of steps has many.
    """
    parts: list[tuple[str, list[int]]] = []
    x = y = 0
    start = [0, 0]
    for command, numbers in _STEP.findall(text):
        values = [round(float(number) / (unit or 0.1)) for number in numbers.split()]
        if command in "Zz":
            parts.append(("z", []))
            x, y = start
            continue
        steps = [value - (x, y)[i % 2] for i, value in enumerate(values)]
        x, y = values[-2:]
        if command == "M":
            parts.append(("M", values))
            start = values
        elif command == "L" and steps == [0, 0] and parts[-1][0] == "l":
            continue
        elif command == "L" and parts[-1][0] == "l" and _goes_on(parts[-1][1], steps):
            parts[-1] = ("l", [a + b for a, b in zip(parts[-1][1], steps, strict=True)])
        else:
            parts.append((command.lower(), steps))
    joined, before = "", ""
    for command, steps in parts:
        # The command of a step need not be repeated.
        numbers = [str(step) if unit else _tenths(step) for step in steps]
        for number in ([] if command == before in "lqc" else [command]) + numbers:
            glue = "" if not joined or joined[-1].isalpha() or number[0] in "-MlqcZz" else ","
            joined += glue + number
        before = command
    return joined


def _goes_on(step: list[int], following: list[int]) -> bool:
    """Whether a step along an axis goes on in its direction."""
    return any(step[i] == following[i] == 0 and step[1 - i] * following[1 - i] > 0 for i in (0, 1))


def _tenths(value: int) -> str:
    """``15`` as ``"1.5"``."""
    whole, rest = divmod(abs(value), 10)
    return ("-" if value < 0 else "") + (f"{whole or ''}.{rest}" if rest else str(whole))


def _rounded(found: re.Match[str]) -> str:
    value = float(found[0])
    if abs(value) < _EXACT:
        return found[0]
    return f"{value:.{2 if abs(value) < 10 else 1}f}".rstrip("0").rstrip(".")


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode())
