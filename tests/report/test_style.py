import numpy as np
import pytest

from networld_algos.report import style
from networld_algos.results.display import Display, MethodLook


def _luminance_and_lab(colour: str, vision: np.ndarray) -> tuple[float, np.ndarray]:
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    luminance = float(to_xyz[1] @ linear)
    xyz = to_xyz @ np.clip(vision @ linear, 0, 1) / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return luminance, np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize(
    "vision",  # Machado, Oliveira and Fernandes, IEEE TVCG 15(6), 2009, severity 1
    [
        np.eye(3),
        np.array([[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]]),
        np.array([[0.3673, 0.8607, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]]),
        np.array([[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]]),
    ],
    ids=["normal", "protanopia", "deuteranopia", "tritanopia"],
)
def test_colours_are_told_apart_in_every_colour_vision(vision, display):
    colours = [look.colour for look in display.algorithms.values()]
    seen = [_luminance_and_lab(c, vision) for c in (*colours, *style.SPARE_COLOURS)]
    assert len(seen) == 6 + len(style.SPARE_COLOURS)
    assert min(1.05 / (luminance + 0.05) for luminance, _ in seen) >= 3
    apart = [np.linalg.norm(a - b) for i, (_, a) in enumerate(seen) for _, b in seen[i + 1 :]]
    assert min(apart) >= 16


def test_a_label_looks_the_same_in_every_figure(display):
    pairs = [("bc", "bc"), ("networld", "networld"), ("networld", "networld (from scratch)")]
    look = style.styles(pairs, display)
    assert look["networld"]["color"] == "#D55E00"
    assert look["bc"]["marker"] != look["networld"]["marker"]
    variant = look["networld (from scratch)"]
    assert variant["marker"] == look["networld"]["marker"]
    assert variant["linestyle"] != look["networld"]["linestyle"]
    assert display.method("ma-iql (mean field)") == "MA-IQL (mean field)"
    assert display.method("networld, loss 30%") == "NetWorld, loss 30%"
    assert display.method("bcq") == "bcq"


def test_names_without_a_look_get_what_is_free():
    taken, mark = style.SPARE_COLOURS[0], style.SPARE_MARKERS[1]
    known = {"mine": MethodLook("Mine", taken), "yours": MethodLook("Yours", marker=mark)}
    names = ["other", "mine", "yours", "third"]
    look = style.styles([(n, n) for n in names], Display(algorithms=known))
    colours = [look[n]["color"] for n in names]
    assert colours == [style.SPARE_COLOURS[i] for i in (1, 0, 2, 3)]
    markers = [look[n]["marker"] for n in names]
    assert markers == [style.SPARE_MARKERS[i] for i in (0, 2, 1, 3)]
    assert look.display.method("mine, loss 30%") == "Mine, loss 30%"
    assert look.display.method("other") == "other"
    plain = style.styles([(n, n) for n in names], Display())
    assert [plain[n]["color"] for n in names] == list(style.SPARE_COLOURS[:4])
