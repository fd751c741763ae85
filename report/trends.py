"""The trends of series, printed."""

import sys
from collections.abc import Sequence
from typing import Any

from db.columns import plain
from db.trends import Trend
from report.printing import print_fitting, print_rows
from report.runs import local_time
from report.sparklines import sparkline

_KEY = ("series", "model", "workload", "strategy", "temperature", "precision", "prompt_tokens", "new_tokens")
_PLACE = ("device", "machine")
#: for programs
COLUMNS = (*_KEY, *_PLACE, "figure", "last", "n", "values", "last_run_at", "changed", "change_ratio", "changed_at")
#: what a terminal that is too narrow goes without, the first first
_EXPENDABLE = ("machine", "device", "new_tokens", "n", "series", "temperature", "prompt_tokens", "strategy")
_SHORT = {"decode_tokens_per_second": "decode tokens/s", "prefill_tokens_per_second": "prefill tokens/s"}


def print_trends(trends: Sequence[Trend], output: str) -> None:
    """Print trends: a table with a sparkline each, or the values themselves for programs."""
    if output != "table":
        print_rows(COLUMNS, [_row(each) for each in trends], output)
        return
    is_plain = (sys.stdout.encoding or "utf-8").lower().replace("-", "") not in ("utf8", "utf16", "utf32")
    columns = [*_KEY, *_PLACE, "figure", "last", "n", "trend", "last change"]
    rows = [_shown(each, is_plain=is_plain) for each in trends]
    kept = [n for n, name in enumerate(columns) if name == "last change" or any(row[n] is not None for row in rows)]
    columns, rows = [columns[n] for n in kept], [[row[n] for n in kept] for row in rows]
    expendable = [name for name in _EXPENDABLE if name in columns]
    print_fitting(columns, rows, output, say_equal=True, expendable=expendable)


def _row(trend: Trend) -> list[Any]:
    times = (plain(trend.last_run_at, "time"), plain(trend.changed_at, "time"))
    key = [trend.series[name] for name in (*_KEY, *_PLACE)]
    figures = [trend.figure, _last(trend), len(trend.values), list(trend.values)]
    return [*key, *figures, times[0], trend.changed, trend.change_ratio, times[1]]


def _shown(trend: Trend, *, is_plain: bool) -> list[Any]:
    key = [trend.series[name] for name in (*_KEY, *_PLACE)]
    line = sparkline(trend.values, is_plain=is_plain)
    figure = _SHORT.get(trend.figure, trend.figure)
    return [*key, figure, _last(trend), len(trend.values), line, _change(trend)]


def _last(trend: Trend) -> float | None:
    return next((value for value in reversed(trend.values) if value is not None), None)


def _change(trend: Trend) -> str | None:
    if trend.change_ratio is None:
        return None
    day = (local_time(trend.changed_at) or "")[:10]
    return f"{(trend.changed or '').removesuffix('_seconds')} x{trend.change_ratio:.3f} on {day}"
