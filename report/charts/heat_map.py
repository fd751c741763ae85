"""A figure by two settings: the value in each cell, the stronger the higher, gaps hatched."""

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from report.charts.canvas import (
    FAINT,
    HEAT,
    ON_LIGHT_HEAT,
    ON_STRONG_HEAT,
    PAPER,
    QUIET,
    SMALL,
    Sheet,
    finite,
    nothing,
    shortened,
    width_of,
)
from report.charts.data import HeatMap
from report.charts.quantities import Scale, decimals_for, number, scale_for

_ROW = 30
_MOST_ROWS, _MOST_COLUMNS = 40, 24
#: the first step on which letters are light
_STRONG = 5


def draw_heat_map(data: HeatMap, width: int) -> str:
    """Draw a grid of cells."""
    rows, columns = data.rows[:_MOST_ROWS], data.columns[:_MOST_COLUMNS]
    values = [[_finite(value) for value in line[: len(columns)]] for line in data.values[: len(rows)]]
    present = finite(value for line in values for value in line)
    if not present:
        return nothing(width)
    scale = scale_for(data.unit, present)
    labels = [shortened(row, 30 if width > 400 else 16) for row in rows]
    left = 12 + max(width_of(label) for label in labels)
    top = 44
    sheet = Sheet(width, top + _ROW * len(rows) + 26)
    cell = min((width - left) / len(columns), 96)
    axes = sheet.bare_axes(left, top, width - left - cell * len(columns), 26)
    axes.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
    decimals = min(decimals_for(map(scale.of, present), data.unit), 1 if cell < 40 else 3)
    for y, line in enumerate(values):
        sheet.text(left - 8, top + _ROW * (y + 0.5), labels[y], ha="right")
        for x, value in enumerate(line):
            _draw_cell(axes, x, y, value, present, scale, decimals, SMALL if cell < 44 else 11)
    longest = max(int(cell / 6.2), 3)
    for x, column in enumerate(columns):
        sheet.text(left + cell * (x + 0.5), top - 10, shortened(column, longest), ha="center")
    quiet = {"fontsize": SMALL, "color": QUIET}
    sheet.text(left, 12, shortened(data.column_title, 40), **quiet)
    sheet.text(left - 8, 12, shortened(data.row_title, 16), ha="right", **quiet)
    unit = shortened(f"in {scale.unit}" if scale.unit else "counts", 30)
    sheet.text(left, sheet.height - 10, f"{unit}, stronger is higher; hatched: not measured", **quiet)
    return sheet.svg()


def _draw_cell(
    axes: Axes, x: int, y: int, value: float | None, present: list[float], scale: Scale, decimals: int, size: float
) -> None:
    corner = (x + 0.02, y + 0.03)
    if value is None:
        axes.add_patch(Rectangle(corner, 0.96, 0.94, linewidth=0, facecolor=PAPER, edgecolor=FAINT, hatch="////"))
        return
    low, high = min(present), max(present)
    step = round((value - low) / (high - low) * (len(HEAT) - 1)) if high > low else 2
    axes.add_patch(Rectangle(corner, 0.96, 0.94, linewidth=0, facecolor=HEAT[step]))
    colour = ON_STRONG_HEAT if step >= _STRONG else ON_LIGHT_HEAT
    text = number(scale.of(value), decimals)
    axes.text(x + 0.5, y + 0.5, text, ha="center", va="center", color=colour, fontsize=size)


def _finite(value: float | None) -> float | None:
    return value if finite([value]) else None
