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


def ciede2000(one: np.ndarray, other: np.ndarray) -> float:
    """Difference of two colours, CIE 142-2001; about 1 is just visible side by side."""
    (light_1, *plane_1), (light_2, *plane_2) = one, other
    mean = (np.hypot(*plane_1) + np.hypot(*plane_2)) / 2
    stretch = 1.5 - 0.5 * np.sqrt(mean**7 / (mean**7 + 25.0**7))
    a_1, a_2 = stretch * plane_1[0], stretch * plane_2[0]
    chroma_1, chroma_2 = np.hypot(a_1, plane_1[1]), np.hypot(a_2, plane_2[1])
    hue_1, hue_2 = (
        np.degrees(np.arctan2(b, a)) % 360 for a, b in ((a_1, plane_1[1]), (a_2, plane_2[1]))
    )
    turn = (hue_2 - hue_1 + 180) % 360 - 180
    light, chroma, hue = (light_1 + light_2) / 2, (chroma_1 + chroma_2) / 2, hue_1 + turn / 2
    t = 1 - 0.17 * np.cos(np.radians(hue - 30)) + 0.24 * np.cos(np.radians(2 * hue))
    t += 0.32 * np.cos(np.radians(3 * hue + 6)) - 0.20 * np.cos(np.radians(4 * hue - 63))
    of_light = (light_2 - light_1) / (
        1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    )
    of_chroma = (chroma_2 - chroma_1) / (1 + 0.045 * chroma)
    of_hue = 2 * np.sqrt(chroma_1 * chroma_2) * np.sin(np.radians(turn / 2))
    of_hue /= 1 + 0.015 * chroma * t
    bend = 60 * np.exp(-(((hue % 360 - 275) / 25) ** 2))
    turned = -2 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7)) * np.sin(np.radians(bend))
    return np.sqrt(of_light**2 + of_chroma**2 + of_hue**2 + turned * of_chroma * of_hue)


@pytest.mark.parametrize(
    ("one", "other", "difference"),  # Sharma, Wu and Dalal, Color Res. Appl. 30(1), 2005, table 1
    [
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((22.7233, 20.0904, -46.694), (23.0331, 14.973, -42.5619), 2.0373),
        ((50.0, -1.0, 2.0), (50.0, 0.0, 0.0), 2.3669),
    ],
)
def test_the_difference_of_colours_is_that_of_its_published_examples(one, other, difference):
    assert ciede2000(np.array(one), np.array(other)) == pytest.approx(difference, abs=1e-4)


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
    fixed = [look.colour for look in display.algorithms.values()]
    seen = [_luminance_and_lab(c, vision) for c in (*fixed, *style.SPARE_COLOURS)]
    assert len(seen) == 6 + len(style.SPARE_COLOURS)
    assert min(1.05 / (luminance + 0.05) for luminance, _ in seen) >= 3
    labs = [lab for _, lab in seen]
    apart = [ciede2000(a, b) for i, a in enumerate(labs) for b in labs[i + 1 :]]
    assert min(apart) >= 9.5
    first = labs[6]  # most reports have one method of the user
    assert min(ciede2000(first, lab) for lab in labs[:6]) >= 14


def test_no_two_methods_have_the_same_colour_and_marker():
    names = [f"mine-{i}" for i in range(30)]
    look = style.styles([(n, n) for n in names], Display())
    assert len({(look[n]["color"], look[n]["marker"]) for n in names}) == 30


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
