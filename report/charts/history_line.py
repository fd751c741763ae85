"""One series over time: runs with their intervals, changes of level, and what was new in the environment."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

from report.charts.canvas import (
    BETTER,
    FAINT,
    PAPER,
    QUIET,
    SERIES,
    SMALL,
    WORSE,
    Sheet,
    finite,
    label_ticks,
    limits,
    nothing,
    rules,
    shortened,
    width_of,
)
from report.charts.data import EnvironmentMark, HistoryLine, LevelChangeMark, LinePoint
from report.charts.places import lanes
from report.charts.quantities import Scale, number, scale_for

_LANE = 15
_PLOT = 190
#: from here on intervals are drawn as a band
_MANY = 150
_DASHES = {"confirmed": "-", "found": (0, (5, 2)), "suspected": (0, (1.5, 2))}


@dataclass(frozen=True)
class _Mark:
    """A vertical line with its label."""

    x: float
    text: str
    colour: str
    dashes: object
    #: whether it is a change of level, labelled above those of the environment
    is_change: bool


def draw_history_line(data: HistoryLine, width: int) -> str:
    """Draw a point a run, labels above."""
    points = sorted((p for p in data.points if finite([p.value])), key=lambda p: _day(p.at))
    if not points:
        return nothing(width)
    scale = scale_for(data.unit, [p.value for p in points])
    marks = [_change(mark) for mark in data.changes]
    marks += [_environment(mark, 44 if width > 400 else 24) for mark in data.environments]
    marks.sort(key=lambda mark: mark.x)
    days = [_day(p.at) for p in points]
    first, last = min(days), max(days)
    room = max((last - first) * 0.02, 0.25)
    span = (first - room, last + room)
    left, right = 48.0, 12.0
    marks = [mark for mark in marks if span[0] <= mark.x <= span[1]]
    spots = [left + (mark.x - span[0]) / (span[1] - span[0]) * (width - left - right) for mark in marks]
    spans = [_label_span(spot, mark.text, width) for spot, mark in zip(spots, marks, strict=True)]
    placed = _in_lanes(marks, spans, 6)
    used = max((lane for lane in placed if lane is not None), default=-1) + 1
    top = 26 + _LANE * used
    sheet = Sheet(width, top + _PLOT + 48)
    axes = sheet.axes(left, top, right, 48)
    axes.set_xlim(*span)
    axes.set_ylim(*_value_limits(points, scale))
    label_ticks(axes, "y", 5)
    _label_days(axes, 8 if sheet.is_wide else 5)
    rules(axes, "y")
    _draw_runs(axes, points, scale)
    for mark, spot, (start, _), lane in zip(marks, spots, spans, placed, strict=True):
        axes.axvline(mark.x, color=mark.colour, linewidth=1.1, linestyle=mark.dashes)
        if lane is None:
            continue
        y = 24 + _LANE * lane
        sheet.text(start, y, mark.text, fontsize=SMALL, color=mark.colour)
        _leader(sheet, spot, y + 7, top, mark)
    _legend(sheet, data, scale, sum(lane is None for lane in placed))
    return sheet.svg()


def _day(at: datetime) -> float:
    return at.timestamp() / 86_400


def _label_days(axes: Axes, most: int) -> None:
    # matplotlib's dates are days since 1970, and carry no types.
    locator: Any = AutoDateLocator
    formatter: Any = ConciseDateFormatter
    dates = locator(minticks=2, maxticks=most)
    axes.xaxis.set_major_locator(dates)
    axes.xaxis.set_major_formatter(formatter(dates, show_offset=False))


def _change(mark: LevelChangeMark) -> _Mark:
    sign = "▼" if mark.ratio < 1 else "▲"
    percent = (mark.ratio - 1) * 100 if finite([mark.ratio]) else 0.0
    text = f"{sign} {number(percent, 1 if abs(percent) < 100 else 0, signed=True)} % {mark.state}"
    return _Mark(_day(mark.at), text, WORSE if mark.is_worse else BETTER, _DASHES[mark.state], is_change=True)


def _environment(mark: EnvironmentMark, longest: int) -> _Mark:
    return _Mark(_day(mark.at), shortened(mark.text.replace("->", "→"), longest), QUIET, (0, (1, 2)), is_change=False)


def _label_span(spot: float, text: str, width: float) -> tuple[float, float]:
    wide = width_of(text, SMALL)
    start = spot + 4 if spot + 4 + wide <= width else max(spot - 4 - wide, 0.0)
    return start, start + wide + 10


def _in_lanes(marks: Sequence[_Mark], spans: Sequence[tuple[float, float]], most: int) -> list[int | None]:
    """Give changes of level the first choice."""
    order = sorted(range(len(marks)), key=lambda index: (not marks[index].is_change, spans[index]))
    changes = [index for index in order if marks[index].is_change]
    others = [index for index in order if not marks[index].is_change]
    placed: list[int | None] = [None] * len(marks)
    for index, lane in zip(changes, lanes([spans[i] for i in changes], most), strict=True):
        placed[index] = lane
    below = max((lane for lane in placed if lane is not None), default=-1) + 1
    for index, lane in zip(others, lanes([spans[i] for i in others], most - below), strict=True):
        placed[index] = None if lane is None else below + lane
    return placed


def _value_limits(points: Sequence[LinePoint], scale: Scale) -> tuple[float, float]:
    clean = [p for p in points if not p.contaminated] or points
    inner = [scale.of(v) for v in finite(v for p in clean for v in (p.value, p.low, p.high))]
    low, high = limits(inner, 0.0)
    # One disturbed run far off must not flatten the rest.
    reach = (high - low) * 1.5
    outer = [min(max(scale.of(p.value), low - reach), high + reach) for p in points]
    return limits([*inner, *outer], 0.1)


def _draw_runs(axes: Axes, points: Sequence[LinePoint], scale: Scale) -> None:
    clean = [p for p in points if not p.contaminated]
    with_interval = [p for p in clean if p.low is not None and p.high is not None and len(finite([p.low, p.high])) == 2]
    days = [_day(p.at) for p in with_interval]
    lows = [scale.of(p.low) for p in with_interval if p.low is not None]
    highs = [scale.of(p.high) for p in with_interval if p.high is not None]
    if len(with_interval) > _MANY:
        axes.fill_between(days, lows, highs, color=SERIES[0], alpha=0.22, linewidth=0)
    elif with_interval:
        axes.vlines(days, lows, highs, color=SERIES[0], linewidth=1.0, alpha=0.45)
    many = len(clean) > _MANY
    axes.plot(
        [_day(p.at) for p in clean],
        [scale.of(p.value) for p in clean],
        "-o",
        color=SERIES[0],
        linewidth=0.7,
        markersize=2.2 if many else 3.6,
        mew=0,
    )
    bottom, top = axes.get_ylim()
    for p in points:
        if p.contaminated:
            value = min(max(scale.of(p.value), bottom), top)
            axes.plot(_day(p.at), value, "o", markersize=4.6, mfc=PAPER, mec=QUIET, mew=1.1, clip_on=False)


def _leader(sheet: Sheet, x: float, start: float, end: float, mark: _Mark) -> None:
    from matplotlib.lines import Line2D

    places = [1 - start / sheet.height, 1 - end / sheet.height]
    line = Line2D([x / sheet.width] * 2, places, color=FAINT if not mark.is_change else mark.colour, linewidth=0.7)
    sheet.figure.add_artist(line)


def _legend(sheet: Sheet, data: HistoryLine, scale: Scale, unnamed: int) -> None:
    sheet.text(0, sheet.height - 48 - _PLOT - 10, shortened(scale.unit or "count", 40), fontsize=SMALL, color=QUIET)
    words = ["● run with its interval"]
    if any(p.contaminated for p in data.points):
        words.append("○ disturbed")
    if unnamed:
        words.append(f"{unnamed} more marks in the table")
    sheet.text(48, sheet.height - 9, "\N{EM SPACE}".join(words), fontsize=SMALL, color=QUIET)
