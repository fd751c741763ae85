"""A sheet to draw on, with edges smoothed and every pixel decided by whole numbers, so that machines agree on it.

Only text is left to Pillow's FreeType, with the font that Pillow brings along.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

from bench.errors import UnavailableError
from bench.pictures.png import write_png

#: pixels that are drawn for a pixel of the picture, in each direction
FINE = 2
#: cosines are whole multiples of one over this: the last digits of a libm's may differ
_UNIT = 1 << 16

#: a place, in the picture's pixels from its upper left corner
Point = tuple[int, int]
Colour = tuple[int, int, int]


class Canvas:
    """A picture that is being drawn. Places and sizes are whole pixels."""

    def __init__(self, width: int, height: int, background: Colour) -> None:
        image_module, draw_module, _ = _pillow()
        self.width, self.height = width, height
        self._image = image_module.new("RGB", (width * FINE, height * FINE), background)
        self._draw = draw_module.Draw(self._image)

    def png(self) -> bytes:
        """Return the picture as a PNG file."""
        return write_png(self._image.reduce(FINE))

    def rectangle(self, left: int, top: int, right: int, bottom: int, colour: Colour) -> None:
        """Fill a rectangle; `right` and `bottom` are the first column and row outside."""
        if right > left and bottom > top:
            corners = (left * FINE, top * FINE, right * FINE - 1, bottom * FINE - 1)
            self._draw.rectangle(corners, fill=colour)

    def ellipse(self, x: int, y: int, across: int, down: int, colour: Colour) -> None:
        """Fill an ellipse around a place; `across` and `down` are its half axes."""
        box = ((x - across) * FINE, (y - down) * FINE, (x + across) * FINE - 1, (y + down) * FINE - 1)
        self._draw.ellipse(box, fill=colour)

    def circle(self, x: int, y: int, radius: int, colour: Colour) -> None:
        """Fill a circle."""
        self.ellipse(x, y, radius, radius, colour)

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        """Fill a polygon; parts that its outline encloses twice stay empty."""
        self._fill([(x * FINE, y * FINE) for x, y in points], colour)

    def line(self, points: Sequence[Point], width: int, colour: Colour) -> None:
        """Draw a line of some width through places, with round ends."""
        fine = [(x * FINE, y * FINE) for x, y in points]
        radius = width * FINE // 2
        for (x0, y0), (x1, y1) in pairwise(fine):
            length = math.isqrt((x1 - x0) ** 2 + (y1 - y0) ** 2)
            if length:
                dx, dy = _rounded((y0 - y1) * radius, length), _rounded((x1 - x0) * radius, length)
                self._fill([(x0 + dx, y0 + dy), (x1 + dx, y1 + dy), (x1 - dx, y1 - dy), (x0 - dx, y0 - dy)], colour)
        if radius > 1:
            for x, y in fine:
                self._draw.ellipse((x - radius, y - radius, x + radius - 1, y + radius - 1), fill=colour)

    def text(self, x: int, y: int, text: str, size: int, colour: Colour, anchor: str = "mm") -> None:
        """Write text; `anchor` says which of its places is at (x, y), as Pillow names them ("mm" is its middle)."""
        self._draw.text((x * FINE, y * FINE), text, font=_font(size * FINE), fill=colour, anchor=anchor)

    def text_width(self, text: str, size: int) -> int:
        """Return the width of a text, in pixels."""
        length: float = _font(size * FINE).getlength(text)
        return math.ceil(length / FINE)

    def _fill(self, points: Sequence[Point], colour: Colour) -> None:
        """Fill a polygon of fine places: a pixel belongs to it where its middle does."""
        first, last = min(y for _, y in points), max(y for _, y in points)
        crossings: list[list[int]] = [[] for _ in range(first, last)]
        for (x0, y0), (x1, y1) in zip(points, (*points[1:], points[0]), strict=True):
            top = min(y0, y1)
            for row, column in zip(crossings[top - first :], _columns(x0, y0, x1, y1), strict=False):
                row.append(column)
        for y, row in enumerate(crossings, first):
            row.sort()
            for left, right in zip(row[::2], row[1::2], strict=True):
                if left < right:
                    self._draw.rectangle((left, y, right - 1, y), fill=colour)


def _rounded(number: int, over: int) -> int:
    """Return number / over as the nearest whole number, the same distance from zero for -number."""
    nearest = (2 * abs(number) + over) // (2 * over)
    return nearest if number >= 0 else -nearest


def _columns(x0: int, y0: int, x1: int, y1: int) -> list[int]:
    """Return the first pixel whose middle is not left of an edge, for each row that it crosses, from the top."""
    if y0 > y1:
        x0, y0, x1, y1 = x1, y1, x0, y0
    across, down = x1 - x0, y1 - y0
    return [x0 - (down - odd * across) // (2 * down) for odd in range(1, 2 * down, 2)]


def around(x: int, y: int, radius: int, degrees: int, squeeze: int = 100) -> Point:
    """Return the place `radius` pixels from (x, y), clockwise from the top; `squeeze` is the height in percent."""
    angle = math.radians(degrees % 360)
    across, up = round(math.sin(angle) * _UNIT), round(math.cos(angle) * _UNIT)
    return x + (radius * across + _UNIT // 2) // _UNIT, y - (radius * up * squeeze // 100 + _UNIT // 2) // _UNIT


def _pillow() -> tuple[Any, Any, Any]:
    """Return Pillow's modules. Raises UnavailableError where it is not installed."""
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError:
        raise UnavailableError(
            "the workloads with pictures are drawn with Pillow, which is not installed here: pip install pillow"
        ) from None
    return Image, ImageDraw, ImageFont


@lru_cache(64)
def _font(size: int) -> Any:
    font = _pillow()[2].load_default(size)
    # Without FreeType, Pillow gives a font of one small size instead.
    if not hasattr(font, "getlength") or getattr(font, "size", None) != size:
        raise UnavailableError(
            "this Pillow was built without FreeType, which writes text into pictures; install another"
        )
    return font
