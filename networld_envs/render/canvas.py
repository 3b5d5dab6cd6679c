"""A canvas with coordinates in final pixels; Pillow draws it larger, to smooth the edges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, ...]

SCALE = 2
INK = (34, 38, 43)
SOFT = (105, 112, 122)
LINE = (170, 177, 186)
PAPER = (255, 255, 255)
BLUE = (0, 114, 178)
ORANGE = (213, 94, 0)
GREEN = (0, 158, 115)
PURPLE = (126, 70, 170)
LOW_RATE = (243, 246, 250)
HIGH_RATE = (86, 160, 211)
COST = (170, 130, 205)
QUEUE = (65, 183, 151)
SATISFIED = (240, 246, 251)
VIOLATED = (233, 130, 60)
HEADER_PX = 34
FOOTER_PX = 46
PANEL_PX = 92


class Canvas:
    """Canvas in final pixels, origin at the top left, drawn `SCALE` times larger."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.width, self.height = size
        self.letters = min(1.0, size[0] / 640)  # smaller type in smaller pictures
        self.image = Image.new("RGB", (size[0] * SCALE, size[1] * SCALE), PAPER)
        self.pen = ImageDraw.Draw(self.image, "RGBA")

    @property
    def room(self) -> NDArray[np.float64]:
        """Width and height of the area between header, legend and the panel at the right."""
        panel = PANEL_PX * self.letters
        return np.array([self.width - 20 - panel, self.height - HEADER_PX - FOOTER_PX])

    def fit(self, points: NDArray[np.float64], margin: float) -> tuple[NDArray[np.float64], float]:
        """Map points ``(..., 2)``, y up, into the middle; also returns the pixels per unit."""
        flat = points.reshape(-1, 2)
        low, high = flat.min(axis=0) - margin, flat.max(axis=0) + margin
        room = self.room
        unit = float((room / np.maximum(high - low, 1e-9)).min())
        middle = np.array([10 + room[0] / 2, HEADER_PX + room[1] / 2])
        return middle + (points - (low + high) / 2) * unit * np.array([1.0, -1.0]), unit

    def polygon(self, points: Any, fill: Colour | None, line: Colour | None, width: float) -> None:
        """Fill a closed outline ``(P, 2)``, or draw it, or both."""
        flat = [tuple(p) for p in (np.asarray(points) * SCALE).tolist()]
        self.pen.polygon(flat, fill=fill)
        if line is not None:
            self.pen.line([*flat, flat[0]], fill=line, width=round(width * SCALE), joint="curve")

    def line(self, a: Any, b: Any, colour: Colour, width: float) -> None:
        """A straight line from ``a`` to ``b``."""
        ends = [tuple(p) for p in (np.asarray([a, b]) * SCALE).tolist()]
        self.pen.line(ends, fill=colour, width=max(1, round(width * SCALE)))

    def disc(
        self, at: Any, radius: float, fill: Colour | None, line: Colour | None = None, w: float = 1
    ) -> None:
        """A disc, filled or outlined with width ``w`` or both."""
        box = self._box(at, radius)
        self.pen.ellipse(box, fill=fill, outline=line, width=round(w * SCALE))

    def pie(self, at: Any, radius: float, share: float, fill: Colour) -> None:
        """A slice of ``share`` of the disc, clockwise from the top."""
        if share > 0:
            self.pen.pieslice(self._box(at, radius), -90, -90 + 360 * min(share, 1.0), fill=fill)

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: Colour) -> None:
        """A filled rectangle; nothing if it is empty."""
        if x1 > x0 and y1 > y0:
            self.pen.rectangle([v * SCALE for v in (x0, y0, x1, y1)], fill=fill)

    def text(
        self, at: Any, text: str, size: float, colour: Colour, anchor: str = "mm", halo: int = 0
    ) -> float:
        """Write text in one line, in a halo ``halo`` pixels wide; returns its width in pixels."""
        text = "".join(c if c.isprintable() else " " for c in text)  # a name in one line
        font = ImageFont.load_default(size * self.letters * SCALE)
        x, y = at
        where = (x * SCALE, y * SCALE)
        self.pen.text(
            where,
            text,
            fill=colour,
            font=font,
            anchor=anchor,
            stroke_width=halo * SCALE,
            stroke_fill=PAPER,
        )
        return float(self.pen.textlength(text, font=font)) / SCALE

    def array(self) -> NDArray[np.uint8]:
        """The picture ``(H, W, 3)``."""
        small = self.image.resize((self.width, self.height), Image.Resampling.LANCZOS)
        return np.array(small, dtype=np.uint8)

    def _box(self, at: Any, radius: float) -> list[float]:
        x, y = at
        return [v * SCALE for v in (x - radius, y - radius, x + radius, y + radius)]


class Legend:
    """Entries from left to right at the foot of the picture."""

    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas
        self.x = 14.0
        self.y = canvas.height - FOOTER_PX / 2
        self.gap = 14.0 * canvas.letters

    def item(self, text: str, symbol: Callable[[float, float], None]) -> None:
        """Add a symbol, which ``symbol(x, y)`` draws, and its name."""
        symbol(self.x + 8, self.y)
        self.x += 8 + 13 * self.canvas.letters
        self.note(text)

    def note(self, text: str) -> None:
        """Add a text."""
        self.x += self.canvas.text((self.x, self.y), text, 11, INK, "lm") + self.gap

    def scale(self, name: str, low: str, high: str, first: Colour, last: Colour) -> None:
        """Add a colour scale with its name and both ends."""
        self.note(name)
        self.x -= 0.6 * self.gap
        self.note(low)
        self.x -= 0.6 * self.gap
        wide = round(60 * self.canvas.letters)
        for i in range(wide):
            colour = blend(first, last, i / (wide - 1))
            self.canvas.box(self.x + i, self.y - 6, self.x + i + 1, self.y + 6, colour)
        self.x += wide + 5
        self.note(high)


def blend(first: Sequence[int], last: Sequence[int], share: float) -> Colour:
    """The colour at ``share`` of the way from the first to the last."""
    share = min(max(share, 0.0), 1.0)
    return tuple(round(a + share * (b - a)) for a, b in zip(first, last, strict=True))


def header_note(canvas: Canvas, text: str) -> None:
    """Write ``text`` at the right end of the header."""
    canvas.text((canvas.width - 14, HEADER_PX / 2), text, 12, SOFT, "rm")


def hexagons(at: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    """Corners ``(K, 6, 2)`` of adjacent hexagonal cells around their centres."""
    angle = np.pi / 6
    if len(at) > 1:
        nearest = at[1 + int(np.argmin(np.linalg.norm(at[1:] - at[0], axis=1)))] - at[0]
        angle += float(np.arctan2(nearest[1], nearest[0]))
    corner = angle + np.pi / 3 * np.arange(6)
    return at[:, None] + radius * np.stack([np.cos(corner), np.sin(corner)], axis=-1)
