"""How figures grow with a size, on two logarithmic axes: a straight line is a power."""

import math

from report.charts.canvas import (
    DASHES,
    INK,
    MARKERS,
    QUIET,
    SERIES,
    SMALL,
    Sheet,
    finite,
    logarithmic,
    nothing,
    rules,
    shortened,
    width_of,
)
from report.charts.data import Growth
from report.charts.places import apart
from report.charts.quantities import scale_for

_LEAST_SPREAD = 100.0


def draw_growth(data: Growth, width: int) -> str:
    """Draw a line of each kind, named at its end."""
    lines = []
    for line in data.lines[: len(DASHES)]:
        points = sorted((x, y) for x, y in line.points if len(finite([x, y])) == 2 and x > 0 and y > 0)
        if points:
            lines.append((shortened(line.label, 30 if width > 400 else 14), points))
    if not lines:
        return nothing(width)
    xs = [x for _, points in lines for x, _ in points]
    scale = scale_for(data.y_unit, [y for _, points in lines for _, y in points])
    ys = [scale.of(y) for _, points in lines for _, y in points]
    right = 12 + max(width_of(label) for label, _ in lines)
    sheet = Sheet(width, 320 if width > 400 else 300)
    axes = sheet.axes(48, 26, right, 46)
    logarithmic(axes, "x", min(xs) / 1.15, max(xs) * 1.15)
    logarithmic(axes, "y", *_spread(min(ys) / 1.3, max(ys) * 1.3))
    rules(axes, "x")
    rules(axes, "y")
    ends = []
    for index, (_, points) in enumerate(lines):
        axes.plot(
            [x for x, _ in points],
            [scale.of(y) for _, y in points],
            color=SERIES[index],
            linestyle=DASHES[index],
            marker=MARKERS[index],
            markersize=4,
            linewidth=1.4,
        )
        end = axes.transData.transform((points[-1][0], scale.of(points[-1][1])))
        ends.append(sheet.height - float(end[1]))
    for (label, _), y in zip(lines, apart(ends, 14, 30, sheet.height - 50), strict=True):
        sheet.text(width - right + 8, y, label, color=INK)
    sheet.text(0, 10, shortened(scale.unit or "count", 40), fontsize=SMALL, color=QUIET)
    sheet.text(width - right, sheet.height - 8, shortened(data.x_unit, 40), ha="right", fontsize=SMALL, color=QUIET)
    return sheet.svg()


def _spread(low: float, high: float) -> tuple[float, float]:
    """Return two powers of ten at least: on less, what hardly grows would look steep."""
    if high / low >= _LEAST_SPREAD:
        return low, high
    middle = math.sqrt(low) * math.sqrt(high)  # of the product a float may have no room
    half = math.sqrt(_LEAST_SPREAD)
    return middle / half, middle * half
