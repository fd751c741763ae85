"""Where labels go so that none covers another."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """A rectangle in px from the upper left corner."""

    left: float
    top: float
    right: float
    bottom: float

    def covers(self, other: "Box") -> bool:
        """Whether the two have a place in common."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


def apart(wanted: Sequence[float], gap: float, lowest: float, highest: float) -> list[float]:
    """Return places near the wanted ones, in their order, that are at least `gap` apart where there is room."""
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    places = dict.fromkeys(order, 0.0)
    previous = lowest - gap
    for index in order:
        places[index] = previous = max(wanted[index], previous + gap)
    following = highest + gap
    for index in reversed(order):
        places[index] = following = min(places[index], following - gap)
    return [places[index] for index in range(len(wanted))]


def lanes(spans: Sequence[tuple[float, float]], most: int) -> list[int | None]:
    """Return for each span, given from left to right, the first lane in which it is free; None where all are full."""
    ends: list[float] = []
    found: list[int | None] = []
    for left, right in spans:
        lane = next((index for index, end in enumerate(ends) if end <= left), len(ends))
        if lane >= most:
            found.append(None)
            continue
        ends[lane : lane + 1] = [right]
        found.append(lane)
    return found


def beside(x: float, y: float, size: tuple[float, float], away: float, taken: Sequence[Box], paper: Box) -> Box | None:
    """Return a free place for a label near a point, first of all above it at its right; None where there is none."""
    width, height = size
    for left, top in (
        (x + away * 0.7, y - away * 0.7 - height * 0.8),
        (x + away, y - height / 2),
        (x - away - width, y - height / 2),
        (x - width / 2, y - away - height),
        (x - width / 2, y + away),
        (x + away * 0.7, y + away * 0.7),
        (x - away * 0.7 - width, y - away * 0.7 - height),
        (x - away * 0.7 - width, y + away * 0.7),
    ):
        box = Box(left, top, left + width, top + height)
        inside = paper.left <= left and box.right <= paper.right and paper.top <= top and box.bottom <= paper.bottom
        if inside and not any(box.covers(other) for other in taken):
            return box
    return None
