"""Memory against speed, quality as the size of the mark; what none other beats is filled and joined."""

import math

from matplotlib.axes import Axes

from report.charts.canvas import (
    INK,
    PAPER,
    QUIET,
    SERIES,
    SMALL,
    Sheet,
    finite,
    label_ticks,
    limits,
    logarithmic,
    nothing,
    rules,
    shortened,
    width_of,
)
from report.charts.data import TradeOff, TradeOffPoint
from report.charts.places import Box, beside
from report.charts.quantities import in_words, scale_for

_MOST = 40
#: from this ratio of the largest to the smallest an axis is logarithmic
_WIDE_RANGE = 20


def draw_trade_off(data: TradeOff, width: int) -> str:
    """Draw a mark a model and precision."""
    points = [p for p in data.points if len(finite([p.memory_bytes, p.speed])) == 2][:_MOST]
    if not points:
        return nothing(width)
    memory = scale_for("bytes", [p.memory_bytes for p in points])
    speed = scale_for(data.speed_unit, [p.speed for p in points])
    places = [(memory.of(p.memory_bytes), speed.of(p.speed)) for p in points]
    sheet = Sheet(width, 400 if width > 400 else 380)
    axes = sheet.axes(48, 26, 16, 62)
    _scale_axis(axes, "x", [x for x, _ in places], 6 if sheet.is_wide else 4)
    _scale_axis(axes, "y", [y for _, y in places], 6)
    rules(axes, "x")
    rules(axes, "y")
    best = sorted(place for p, place in zip(points, places, strict=True) if p.is_best)
    axes.plot([x for x, _ in best], [y for _, y in best], color=SERIES[0], linewidth=0.8, linestyle=(0, (4, 2)))
    sizes = _sizes([p.quality for p in points])
    for point, (x, y), size in zip(points, places, sizes, strict=True):
        marker = "x" if point.quality is None else "o"
        face = SERIES[0] if point.is_best else PAPER
        axes.plot(x, y, marker, markersize=size, mfc=face, mec=SERIES[0], mew=1.3, clip_on=False)
    _name(sheet, axes, data, points, places, sizes)
    quiet = {"fontsize": SMALL, "color": QUIET}
    sheet.text(0, 10, f"↑ {shortened(speed.unit or 'speed', 40)}", **quiet)
    sheet.text(width - 16, sheet.height - 42, f"memory, {memory.unit} →", ha="right", **quiet)
    filled = "● unbeaten in memory, speed and quality together, joined"
    sheet.text(0, sheet.height - 22, filled, **quiet)
    sheet.text(
        0, sheet.height - 7, "○ beaten\N{EM SPACE}× quality not measured\N{EM SPACE}larger: better answers", **quiet
    )
    return sheet.svg()


def _scale_axis(axes: Axes, which: str, values: list[float], ticks: int) -> None:
    if min(values) > 0 and max(values) / min(values) > _WIDE_RANGE:
        logarithmic(axes, which, min(values) / 1.5, max(values) * 1.5)
        return
    _, high = limits([*values, 0.0], 0.12)
    (axes.set_xlim if which == "x" else axes.set_ylim)(min(0.0, *values), high)
    label_ticks(axes, which, ticks)


def _sizes(qualities: list[float | None]) -> list[float]:
    present = finite(qualities)
    low, high = (min(present), max(present)) if present else (0.0, 0.0)
    return [
        7.0 if not finite([q]) or q is None or high <= low else 5.0 + 8.0 * math.sqrt((q - low) / (high - low))
        for q in qualities
    ]


def _name(
    sheet: Sheet,
    axes: Axes,
    data: TradeOff,
    points: list[TradeOffPoint],
    places: list[tuple[float, float]],
    sizes: list[float],
) -> None:
    centres = [axes.transData.transform(place) for place in places]
    spots = [(float(x), sheet.height - float(y)) for x, y in centres]
    taken = [Box(x - 4, y - 4, x + 4, y + 4) for x, y in spots]
    paper = Box(2, 16, sheet.width - 2, sheet.height - 52)
    order = sorted(range(len(points)), key=lambda index: not points[index].is_best)
    for index in order:
        point, (x, y) = points[index], spots[index]
        text = shortened(point.label, 34 if sheet.is_wide else 18)
        if finite([point.quality]) and point.quality is not None:
            text += f" · {shortened(in_words(point.quality, data.quality_unit), 20)}"
        box = beside(x, y, (width_of(text, SMALL), 12), sizes[index] / 2 + 5, taken, paper)
        if box is None:
            continue
        taken.append(box)
        sheet.text(box.left, (box.top + box.bottom) / 2, text, fontsize=SMALL, color=INK if point.is_best else QUIET)
