import base64
import io
import re
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from networld_algos.report.style import drawing
from networld_algos.report.svg import compact, data_url


@pytest.fixture(scope="module")
def svg() -> str:
    with drawing():
        fig = Figure(figsize=(4.0, 3.0))
        ax = fig.add_subplot()
        ax.plot([0.0, 1 / 3, 2.0], [1.0, 2 / 3, 5.0], marker="o", ls="--", label='R&D <"#">')
        ax.fill_between([0.0, 1.0], [0.0, 1.0], [1.0, 2.0], alpha=0.3)
        ax.plot(range(99), [k // 7 % 5 for k in range(99)], drawstyle="steps-post")
        ax.set(title="50%", xlabel="Score", ylabel="Score")
        ax.legend()
        out = io.StringIO()
        fig.savefig(out, format="svg")
    return out.getvalue()


PAIRS = {"M": 1, "L": 1, "Q": 2, "C": 3}
TOKEN = re.compile(r"[A-Za-z]|-?(?:\d+\.?\d*|\.\d+)")


def walked(path: str) -> list[list[tuple[float, float]]]:
    """Positions that a path passes, one list for each stroke, by the rules of SVG."""
    tokens = TOKEN.findall(path)
    strokes: list[list[tuple[float, float]]] = []
    command, i, x, y = "", 0, 0.0, 0.0
    while i < len(tokens):
        if tokens[i].isalpha():
            command, i = tokens[i], i + 1
        if command in "Zz":
            x, y = strokes[-1][0]
            continue
        if command in "Mm" and tokens[i - 1].isalpha():
            strokes.append([])
        start = (x, y) if command.islower() else (0.0, 0.0)
        for _ in range(PAIRS[command.upper()]):
            x, y = start[0] + float(tokens[i]), start[1] + float(tokens[i + 1])
            strokes[-1].append((x, y))
            i += 2
    return strokes


def scale_of(path: ElementTree.Element) -> float:
    return float((path.get("transform") or "scale(1)")[6:-1])


def corners(stroke: list[tuple[float, float]], scale: float) -> np.ndarray:
    """A stroke without points that repeat the one before or lie on a straight way along an axis."""
    kept: list[np.ndarray] = []
    near = 0.11 if scale == 1.0 else -1.0
    for point in scale * np.array(stroke):
        if kept and np.all(np.abs(point - kept[-1]) < near):
            continue
        if len(kept) > 1:
            one, two = kept[-1] - kept[-2], point - kept[-1]
            if any(
                abs(one[i]) < near and abs(two[i]) < near and one[1 - i] * two[1 - i] > 0
                for i in (0, 1)
            ):
                kept.pop()
        kept.append(point)
    return np.array(kept)


def test_a_compact_figure_draws_the_same_paths_and_letters(svg):
    """Coordinates differ by at most half a tenth of a point, also at the end of a long path."""
    before, after = (ElementTree.fromstring(text) for text in (svg, compact(svg)))
    assert before.get("viewBox") == after.get("viewBox")
    old, new = (list(x.iter("{http://www.w3.org/2000/svg}path")) for x in (before, after))
    assert len(old) == len(new) > 20
    for one, other in zip(old, new, strict=True):
        strokes = walked(one.get("d", "")), walked(other.get("d", ""))
        scales = scale_of(one), scale_of(other)
        for a, b in zip(*strokes, strict=True):
            # Letters are in hundredths of their size.
            first, second = (corners(x, s) for x, s in zip((a, b), scales, strict=True))
            assert first == pytest.approx(second, abs=0.3 if scales[0] < 1.0 else 0.1)


def letters(element: ElementTree.Element, names: dict[str, ElementTree.Element]) -> list[float]:
    """Shifts of all letters of a picture, in the order in which they are drawn."""
    out: list[float] = []
    for child in element:
        address = child.get("href") or child.get("{http://www.w3.org/1999/xlink}href")
        if address is None:
            out += [] if child.tag.endswith("defs") else letters(child, names)
        elif names[address[1:]].tag.endswith("}g"):  # a word that is written again
            out += letters(names[address[1:]], names)
        elif names[address[1:]].get("transform"):
            shift = re.findall(r"[\d.]+", child.get("transform") or "")
            out.append(float(shift[0] if shift else child.get("x") or 0.0))
    return out


def test_every_letter_stays_where_it_is(svg):
    """Also those of a word that is drawn once and written twice."""
    shifts: list[list[float]] = []
    for text in (svg, compact(svg)):
        root = ElementTree.fromstring(text)
        shifts.append(letters(root, {e.get("id", ""): e for e in root.iter()}))
    assert len(shifts[0]) > 20
    assert shifts[0] == pytest.approx(shifts[1], abs=0.5)
    assert 'href="#c0"' in compact(svg)


def test_every_name_and_class_that_is_used_is_defined_once(svg):
    text = compact(svg)
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'href="#([^"]+)"', text)) | set(re.findall(r"url\(#([^)]+)\)", text))
    assert used == set(ids)
    assert set(re.findall(r'class="([^"]+)"', text)) == set(re.findall(r"\.(b\d+)\{", text))


def test_a_data_url_fits_in_an_attribute_and_is_smaller(svg):
    url = data_url(svg)
    assert url.startswith("data:image/svg+xml,")
    assert not re.search(r'["&\n#]', url)
    narrow = data_url(svg, in_srcset=True)
    assert " " not in narrow
    assert unquote(narrow) == unquote(url)
    assert unquote(url.split(",", 1)[1]).replace("'", '"') == compact(svg)
    assert len(url) < 0.6 * len(base64.b64encode(svg.encode()))
