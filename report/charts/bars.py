"""Figures side by side with their intervals, and the numbers themselves in a column at the right."""

from collections.abc import Iterator
from dataclasses import dataclass

from report.charts.canvas import (
    INK,
    QUIET,
    SERIES,
    SMALL,
    Sheet,
    finite,
    label_ticks,
    nothing,
    rules,
    shortened,
    width_of,
)
from report.charts.data import Bar, Bars
from report.charts.quantities import decimals_for, number, scale_for

_ROW = 24
_MOST = 60


@dataclass(frozen=True)
class _Row:
    """A line of the picture: a bar, or the heading of a group."""

    y: float
    bar: Bar | None
    heading: str = ""


def draw_bars(data: Bars, width: int) -> str:
    """Draw horizontal bars from zero."""
    bars = [bar for bar in data.bars if finite([bar.value])]
    if not bars:
        return nothing(width)
    left_out = len(bars) - _MOST
    bars = bars[:_MOST]
    rows = list(_rows(bars))
    values = finite(value for bar in bars for value in (bar.value, bar.low, bar.high))
    scale = scale_for(data.unit, values)
    decimals = decimals_for((scale.of(bar.value) for bar in bars), data.unit)
    labels = {id(bar): shortened(bar.label, 34 if width > 400 else 20) for bar in bars}
    numbers = {id(bar): number(scale.of(bar.value), decimals, signed=data.unit == "points") for bar in bars}
    left = 12 + max(map(width_of, labels.values()))
    right = 14 + max(map(width_of, numbers.values()))

    top = 26
    sheet = Sheet(width, top + rows[-1].y + _ROW + 24 + (20 if left_out > 0 else 0))
    axes = sheet.axes(left, top, right, 24 + (20 if left_out > 0 else 0))
    low, high = min(0.0, *map(scale.of, values)), max(0.0, *map(scale.of, values))
    high = high if high > low else 1.0
    axes.set_xlim(low * 1.02, high * 1.02)
    axes.set_ylim(rows[-1].y + _ROW, 0)
    axes.set_yticks([])
    label_ticks(axes, "x", 6 if sheet.is_wide else 4)
    rules(axes, "x")
    axes.axvline(0, color=QUIET, linewidth=0.8)
    for row in rows:
        middle = row.y + _ROW / 2
        if row.bar is None:
            sheet.text(0, top + middle, shortened(row.heading, 48), fontweight="bold")
            continue
        axes.barh(middle, scale.of(row.bar.value), height=11, color=SERIES[0], alpha=0.55, linewidth=0)
        ends = finite([row.bar.low, row.bar.high])
        if len(ends) == 2:
            axes.plot([scale.of(end) for end in ends], [middle, middle], color=INK, linewidth=1.4)
            axes.plot([scale.of(end) for end in ends], [middle, middle], "|", color=INK, markersize=6, mew=1.2)
        sheet.text(left - 8, top + middle, labels[id(row.bar)], ha="right")
        sheet.text(width - 2, top + middle, numbers[id(row.bar)], ha="right")
    sheet.text(width - 2, 10, shortened(scale.unit or "count", 40), ha="right", fontsize=SMALL, color=QUIET)
    if left_out > 0:
        sheet.text(0, sheet.height - 8, f"{left_out:,} more in the table", fontsize=SMALL, color=QUIET)
    return sheet.svg()


def _rows(bars: list[Bar]) -> Iterator[_Row]:
    y, group = 0.0, None
    for bar in bars:
        if bar.group is not None and bar.group != group:
            y += 6 if y else 0
            yield _Row(y, None, bar.group)
            y += _ROW
        group = bar.group
        yield _Row(y, bar)
        y += _ROW
