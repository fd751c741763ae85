"""How readings are spread: the share at or below each value, with the median and the 99th percentile marked."""

from collections.abc import Callable

from report.charts.canvas import (
    DASHES,
    MARKERS,
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
from report.charts.data import Distribution
from report.charts.quantities import decimals_for, number, scale_for

#: points of a line, however many readings there are
_MOST_POINTS = 300
_WIDE_RANGE = 30


def draw_distribution(data: Distribution, width: int) -> str:
    """Draw a rising line a kind of reading, whose steepness says how alike the readings are."""
    spreads = [(spread.label, sorted(finite(spread.values))) for spread in data.spreads]
    spreads = [(label, values) for label, values in spreads if values][: len(SERIES)]
    if not spreads:
        return nothing(width)
    scale = scale_for(data.unit, [_percentile(values, 0.5) for _, values in spreads])
    decimals = min(decimals_for(scale.of(_percentile(values, 0.5)) for _, values in spreads), 2)
    legend = 18 * len(spreads)
    sheet = Sheet(width, legend + 280)
    axes = sheet.axes(48, legend + 34, 14, 40)
    ends = [scale.of(value) for _, values in spreads for value in (values[0], values[-1])]
    if min(ends) > 0 and max(ends) / min(ends) > _WIDE_RANGE:
        logarithmic(axes, "x", min(ends) / 1.1, max(ends) * 1.1)
    else:
        axes.set_xlim(*limits(ends, 0.03))
        label_ticks(axes, "x", 7 if sheet.is_wide else 5)
    axes.set_ylim(0, 1.02)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 0.99], ["0 %", "25 %", "50 %", "75 %", "99 %"])
    rules(axes, "y")
    for index, (_, values) in enumerate(spreads):
        xs, ys = _steps([scale.of(value) for value in values])
        axes.plot(xs, ys, linestyle=DASHES[index], drawstyle="steps-post", color=SERIES[index], linewidth=1.5)
        marks = [scale.of(_percentile(values, share)) for share in (0.5, 0.99)]
        axes.plot(marks, [0.5, 0.99], MARKERS[index], color=SERIES[index], markersize=5.5, clip_on=False)
    _legend(sheet, [(label, values) for label, values in spreads], scale.of, decimals)
    quiet = {"fontsize": SMALL, "color": QUIET}
    sheet.text(0, legend + 18, "share of readings at or below", **quiet)
    sheet.text(width - 14, sheet.height - 8, shortened(scale.unit or "count", 40), ha="right", **quiet)
    return sheet.svg()


def _legend(
    sheet: Sheet, spreads: list[tuple[str, list[float]]], scaled: Callable[[float], float], decimals: int
) -> None:
    from matplotlib.lines import Line2D

    marks = [[number(scaled(_percentile(values, share)), decimals) for share in (0.5, 0.99)] for _, values in spreads]
    numbers = [f"p50 {middle}\N{EM SPACE}p99 {high}" for middle, high in marks]
    room = sheet.width - 44 - max(width_of(text) for text in numbers)
    for index, (label, _) in enumerate(spreads):
        y = 9 + 18 * index
        height = 1 - y / sheet.height
        style = {"linestyle": DASHES[index], "marker": MARKERS[index], "color": SERIES[index]}
        xs = [x / sheet.width for x in (2, 16, 30)]
        sheet.figure.add_artist(Line2D(xs, [height] * 3, linewidth=1.5, markersize=4.5, markevery=(1, 2), **style))
        sheet.text(38, y, shortened(label, max(int(room / 6.2), 8)))
        sheet.text(sheet.width - 2, y, numbers[index], ha="right")


def _percentile(values: list[float], share: float) -> float:
    """Return a quantile of sorted values, as numpy's default does."""
    place = share * (len(values) - 1)
    below = int(place)
    above = min(below + 1, len(values) - 1)
    return values[below] + (values[above] - values[below]) * (place - below)


def _steps(values: list[float]) -> tuple[list[float], list[float]]:
    count = len(values)
    kept = sorted({round(index * (count - 1) / (_MOST_POINTS - 1)) for index in range(_MOST_POINTS)} | {0, count - 1})
    xs = [values[0], *(values[index] for index in kept)]
    ys = [0.0, *((index + 1) / count for index in kept)]
    return xs, ys
