"""Nightly sweeps: a square a day, weeks as columns, the failed part of a day cut off its top."""

from datetime import date, timedelta
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from report.charts.canvas import FAINT, INK, PAPER, QUIET, SERIES, SMALL, WORSE, Sheet, nothing
from report.charts.data import Calendar, CalendarDay

_WIDE_WEEKS, _NARROW_WEEKS = 53, 27
#: older days stand in the table only
_MOST_WEEKS = 3 * 53
_DAYS = ("Mon", "", "Wed", "", "Fri", "", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MARGIN = 30
_GAP, _SIDE = 0.08, 0.84
#: left, top and height of a rectangle
_Corner = tuple[float, float, float]


def draw_calendar(data: Calendar, width: int) -> str:
    """Draw rows of weeks, as many beneath each other as the width asks for."""
    if not data.days:
        return nothing(width, "No sweep ran here.")
    days = {day.day: day for day in data.days}
    last = max(days)
    first = max(min(days), last - timedelta(weeks=_MOST_WEEKS))
    monday = first - timedelta(days=first.weekday())
    weeks = (last - monday).days // 7 + 1
    a_block = _WIDE_WEEKS if width > 400 else _NARROW_WEEKS
    blocks = -(-weeks // a_block)
    square = (width - _MARGIN) / min(max(weeks, 20), a_block)
    square = min(square, 18.0)
    tall = square * 7 + 26
    sheet = Sheet(width, tall * blocks + 34)
    for block in range(blocks):
        start = monday + timedelta(weeks=a_block * block)
        count = min(a_block, weeks - a_block * block)
        _draw_block(sheet, days, (first, last), start, count, square, tall * block + 18)
    _legend(sheet)
    return sheet.svg()


def _draw_block(
    sheet: Sheet,
    days: dict[date, CalendarDay],
    span: tuple[date, date],
    start: date,
    weeks: int,
    square: float,
    top: float,
) -> None:
    axes = sheet.bare_axes(_MARGIN, top, sheet.width - _MARGIN - square * weeks, sheet.height - top - square * 7)
    axes.set(xlim=(0, weeks), ylim=(7, 0))
    for row, name in enumerate(_DAYS):
        sheet.text(0, top + square * (row + 0.5), name, fontsize=SMALL - 1, color=QUIET)
    squares = _Squares()
    for week in range(weeks):
        monday = start + timedelta(weeks=week)
        new = next((d for d in (monday + timedelta(days=n) for n in range(7)) if d.day == 1), None)
        if new is not None and week + 1 < weeks:
            text = _MONTHS[new.month - 1] + (f" {new.year}" if new.month == 1 else "")
            sheet.text(_MARGIN + square * week, top - 8, text, fontsize=SMALL, color=QUIET)
        for row in range(7):
            day = monday + timedelta(days=row)
            if span[0] <= day <= span[1]:
                squares.add(week, row, days.get(day))
    squares.draw(axes)


class _Squares:
    """Squares of days by their look, each look drawn as one path: a year has hundreds."""

    def __init__(self) -> None:
        self._empty: list[_Corner] = []
        self._done: list[_Corner] = []
        self._failed: list[_Corner] = []
        self._disturbed: list[tuple[float, float]] = []

    def add(self, week: float, row: float, day: CalendarDay | None) -> None:
        """Add a day's square at a place."""
        x, y = week + _GAP, row + _GAP
        total = day.done + day.failed if day else 0
        if day is None or total <= 0:
            self._empty.append((x, y, _SIDE))
            return
        # A single failure among hundreds is still seen.
        failed = min(max(day.failed / total, 0.2), 1.0) * _SIDE if day.failed > 0 else 0.0
        if failed < _SIDE:
            self._done.append((x, y + failed, _SIDE - failed))
        if failed:
            self._failed.append((x, y, failed))
        if day.contaminated > 0:
            self._disturbed.append((x + _SIDE / 2, y + _SIDE * 0.6))

    def draw(self, axes: Axes) -> None:
        """Draw all squares."""
        _draw(axes, self._empty, facecolor="none", edgecolor=FAINT, linewidth=0.7)
        _draw(axes, self._done, facecolor=SERIES[0], alpha=0.55, linewidth=0)
        _draw(axes, self._failed, facecolor=WORSE, linewidth=0)
        xs, ys = [x for x, _ in self._disturbed], [y for _, y in self._disturbed]
        axes.plot(xs, ys, "o", markersize=4.6, mfc=PAPER, mec=INK, mew=0.9)


def _draw(axes: Axes, corners: list[_Corner], **look: Any) -> None:
    if not corners:
        return
    outlines = [
        Path([(x, y), (x + _SIDE, y), (x + _SIDE, y + tall), (x, y + tall), (x, y)], closed=True)
        for x, y, tall in corners
    ]
    axes.add_patch(PathPatch(Path.make_compound_path(*outlines), **look))


def _legend(sheet: Sheet) -> None:
    axes = sheet.bare_axes(0, sheet.height - 16, 0, 2)
    axes.set(xlim=(0, sheet.width / 14), ylim=(1, 0))
    day = date(2000, 1, 1)
    entries = (
        (CalendarDay(day, 1, 0), "all done"),
        (CalendarDay(day, 1, 1), "some failed"),
        (CalendarDay(day, 1, 0, 1), "some disturbed"),
        (None, "no sweep"),
    )
    x, squares = 0.0, _Squares()
    for example, text in entries:
        squares.add(x / 14, 0, example)
        sheet.text(x + 18, sheet.height - 9, text, fontsize=SMALL, color=QUIET)
        x += 26 + 6.0 * len(text)
    squares.draw(axes)
