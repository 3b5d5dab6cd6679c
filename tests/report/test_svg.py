import base64
import io
import re
from urllib.parse import unquote
from xml.etree import ElementTree

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
        ax.set_title("50%")
        ax.legend()
        out = io.StringIO()
        fig.savefig(out, format="svg")
    return out.getvalue()


def numbers(path: str) -> list[float]:
    return [float(x) for x in re.findall(r"-?\d+(?:\.\d+)?", path)]


def test_a_compact_figure_draws_the_same_paths_and_letters(svg):
    """Coordinates differ by at most half a hundredth of a point."""
    before, after = (ElementTree.fromstring(text) for text in (svg, compact(svg)))
    space = "{http://www.w3.org/2000/svg}"
    for kind in ("path", "use", "clipPath", "rect"):
        old, new = list(before.iter(space + kind)), list(after.iter(space + kind))
        assert len(old) == len(new) > 0
        for one, other in zip(old, new, strict=True):
            a, b = numbers(one.get("d", "")), numbers(other.get("d", ""))
            assert a == pytest.approx(b, abs=0.00501)
    assert before.get("viewBox") == after.get("viewBox")
    letters = [e.get("transform") for e in before.iter(space + "use") if e.get("transform")]
    shifts = [e.get("x") for e in after.iter(space + "use") if e.get("x") and not e.get("y")]
    assert len(letters) == len(shifts) > 10
    for letter, shift in zip(letters, shifts, strict=True):
        assert numbers(letter or "")[0] == pytest.approx(float(shift or "nan"), abs=0.2)


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
    assert not re.search(r'["&\s#]', url)
    assert unquote(url.split(",", 1)[1]).replace("'", '"') == compact(svg)
    assert len(url) < 0.6 * len(base64.b64encode(svg.encode()))
