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
_SPACE = re.compile(r"\s+")
_AROUND_COMMAND = re.compile(r" ?([A-Za-z]) ?")
_URL_UNSAFE = re.compile(r"[%#&\x00-\x20\x7f-\U0010ffff]")
_EXACT = 0.1
"""Numbers below this, such as the scale of letters, are kept as they are."""


def data_url(svg: str) -> str:
    """A figure as a data URL, without what does not show on a screen.

    It may stand in ``src="..."`` and in ``srcset="..."`` as it is: it has no double quote, no
    ampersand and no space.
    """
    text = compact(svg).replace('"', "'")
    return "data:image/svg+xml," + _URL_UNSAFE.sub(_percent, text)  # base64: a third longer


def compact(svg: str) -> str:
    """The same picture in less than half of the bytes: coordinates to a hundredth of a point."""
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
    element.text = (element.text or "").strip()
    element.tail = ""
    for key, value in given.items():
        if key == "id":
            if value in names:
                element.set("id", names[value])
        elif key == _LINK:
            element.set("href", f"#{names[value.removeprefix('#')]}")
        elif key == "style":
            style = _NUMBER.sub(_rounded, value).replace(": ", ":").replace("; ", ";")
            element.set("class", classes.setdefault(style, f"b{len(classes)}"))
        elif key == "d":
            path = _SPACE.sub(" ", _NUMBER.sub(_rounded, value))
            path = _AROUND_COMMAND.sub(r"\1", path).strip()
            element.set("d", path.replace(" ", ","))  # a space is three bytes of a URL
        elif key == "clip-path":
            element.set(key, _USED.sub(lambda found: names[found[0]], value))
        elif key == "transform" and (letter := _LETTER.fullmatch(value)):
            element.set("x", f"{float(letter[1]):.4g}")  # a letter, in hundredths of its size
        else:
            text = _NUMBER.sub(_rounded, value)
            element.set(key, text.replace(" ", ",") if key == "transform" else text)


def _unwrap(element: Element) -> None:
    """Replace groups without attributes by what is in them, at all depths."""
    children: list[Element] = []
    for child in list(element):
        _unwrap(child)
        children += list(child) if child.tag == "g" and not child.attrib else [child]
    for child in list(element):
        element.remove(child)
    element.extend(children)


def _rounded(found: re.Match[str]) -> str:
    value = float(found[0])
    if abs(value) < _EXACT:
        return found[0]
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode())
