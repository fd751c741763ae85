"""Points in time as people type them: a date, "7d", "yesterday"."""

import re
from datetime import date, datetime, timedelta
from typing import NamedTuple

from bench.errors import InputError

_AGO = re.compile(r"(\d{1,6})\s*(s|min|m|h|d|w)(?:\s+ago)?")
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_FORMATS = {"%Y-%m-%d %H:%M:%S": 1, "%Y-%m-%d %H:%M": 60, "%Y-%m-%d": 0}
_HELP = 'a time is a date ("2026-05-01", "2026-05-01 14:30"), an age ("7d", "12h") or a day ("yesterday", "monday")'


class Span(NamedTuple):
    """What a typed time covers, in seconds since the epoch; `end` lies just behind it."""

    start: float
    end: float


def read_moment(text: str, *, where: str | None = None, clock: datetime | None = None) -> Span:
    """Return what a typed time covers, in this machine's time zone: a date is that day, an age is an instant.

    `clock` is the present. A day of the week is the last one, today included. Raises InputError.
    """
    present = clock or datetime.now()  # noqa: DTZ005 - people type their own time
    typed = " ".join(text.strip().lower().replace("t", " ", 1).split() if _is_iso(text) else text.lower().split())
    day = _day(typed, present.date())
    if day is not None:
        return _whole_day(day)
    if match := _AGO.fullmatch(typed):
        # nothing was measured before 1970, and no database goes back for ever
        instant = max(0.0, present.timestamp() - int(match[1]) * _UNITS[match[2]])
        return Span(instant, instant)
    if typed == "now":
        return Span(present.timestamp(), present.timestamp())
    for pattern, seconds in _FORMATS.items():
        try:
            moment = datetime.strptime(typed, pattern)  # noqa: DTZ007 - see above
            if seconds == 0:
                return _whole_day(moment.date())
            return Span(max(0.0, moment.timestamp()), max(0.0, moment.timestamp() + seconds))
        except (ValueError, OverflowError, OSError):
            continue
    raise InputError(f"{text!r} is no time; {_HELP}", where=where)


def check_span(since: str | None, until: str | None) -> None:
    """Raise InputError for a typed span in which nothing lies, and for an end that is no time."""
    first = None if since is None else read_moment(since, where="--since")
    last = None if until is None else read_moment(until, where="--until")
    # Whole days end where the next one begins.
    if first and last and (first.start > last.end or last.start < last.end <= first.start):
        raise InputError(f"{since!r} lies after --until {until!r}; nothing is between them", where="--since")


def _is_iso(text: str) -> bool:
    return re.match(r"\s*\d{4}-\d\d-\d\d[tT]\d", text) is not None


def _day(typed: str, today: date) -> date | None:
    if typed in ("today", "yesterday"):
        return today - timedelta(days=typed == "yesterday")
    if typed in _DAYS:
        return today - timedelta(days=(today.weekday() - _DAYS.index(typed)) % 7)
    return None


def _whole_day(day: date) -> Span:
    # not 24 hours: a day on which clocks change has 23 or 25
    start, end = (datetime.combine(each, datetime.min.time()) for each in (day, day + timedelta(days=1)))
    return Span(max(0.0, start.timestamp()), max(0.0, end.timestamp()))
