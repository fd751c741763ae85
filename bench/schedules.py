"""Schedules: when a sweep is due, and what becomes of due times that nobody was there for."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Literal, NamedTuple, get_args
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from bench.errors import InputError, suggest

#: what becomes of due times that were missed; see `decide`
Misfire = Literal["skip", "latest", "all"]
#: what becomes of a due time while the schedule's last batch still runs
Overlap = Literal["skip", "queue"]

MISFIRES: tuple[str, ...] = get_args(Misfire)
OVERLAPS: tuple[str, ...] = get_args(Overlap)

#: a due time that is noticed within so long is on time
ON_TIME_SECONDS = 60.0
#: longest grace: every due time within it is looked at one by one
MAX_GRACE_SECONDS = 31 * 86_400.0
MIN_EVERY_SECONDS = 60.0
MAX_EVERY_SECONDS = 366 * 86_400.0
#: due times that are counted one by one where they are too old to matter
_MOST_COUNTED = 10_000

_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_PART = re.compile(r"(\d{1,9})\s*(s|min|m|h|d|w)\s*")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")

_ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS = ("minute", "hour", "day of month", "month", "day of week")
_CRONSIM_FIELDS = dict(zip(("minute", "hour", "day-of-month", "month", "day-of-week"), _FIELDS, strict=True))


@dataclass(frozen=True)
class Timing:
    """When something is due: a cron line in a time zone, or every so many seconds. Times are Unix time.

    Cron is Debian's: on the day on which clocks go forward, what falls into the missing hour is due at its end; on
    the one on which they go back, a time that occurs twice is due once, and `*` hours are due in both.
    """

    cron: str | None
    every_seconds: float | None
    #: name in the IANA database
    timezone: str
    #: from when on `every_seconds` counts
    anchor: float = 0.0

    def after(self, moment: float) -> Iterator[float]:
        """Yield the due times behind `moment`, each later than the one before it."""
        if self.every_seconds is not None:
            number = max(0, int((moment - self.anchor) // self.every_seconds)) + 1
            while True:
                yield self.anchor + number * self.every_seconds
                number += 1
        assert self.cron is not None
        last = moment
        for due in CronSim(self.cron, datetime.fromtimestamp(moment, ZoneInfo(self.timezone))):
            # In the hour that occurs twice cronsim begins with its first pass again.
            if (seconds := due.timestamp()) > last:
                last = seconds
                yield seconds

    def next_after(self, moment: float) -> float | None:
        """Return the first due time behind `moment`; None where there is none in 50 years."""
        return next(self.after(moment), None)

    def in_words(self) -> str:
        """Return the timing as people say it, its time zone included."""
        if self.every_seconds is not None:
            return f"every {duration_in_units(self.every_seconds)}"
        assert self.cron is not None
        said = CronSim(self.cron, datetime(2000, 1, 1, tzinfo=UTC)).explain()
        return f"{said[:1].lower()}{said[1:]} ({self.timezone})"


class Missed(NamedTuple):
    """Due times that nobody was there for and that nothing makes up for."""

    first: float
    last: float
    #: how many, at least
    times: int


class Decision(NamedTuple):
    """What is to be done now."""

    #: due times to fire for, in their order
    fire: tuple[float, ...]
    missed: Missed | None
    #: the first due time that lies ahead
    next_due: float | None


def decide(
    timing: Timing,
    due: float,
    moment: float,
    *,
    misfire: Misfire,
    grace_seconds: float,
    on_time_seconds: float = ON_TIME_SECONDS,
) -> Decision:
    """Say what to do at `moment` about the due times from `due` on.

    A due time of up to `on_time_seconds` ago is on time. An older one was missed: `skip` never makes up for it;
    `latest` fires once for all that is due, where the last of it is at most `grace_seconds` old; `all` fires for each
    that is at most so old.
    """
    patience = on_time_seconds if misfire == "skip" else max(grace_seconds, on_time_seconds)
    start = moment - patience
    old = _old(timing, due, start)
    recent = [each for each in [due, *_until(timing, max(due, start - 1), moment)] if start <= each <= moment]
    fire = recent[-1:] if misfire == "latest" else recent
    passed_over = recent[: len(recent) - len(fire)]
    return Decision(tuple(fire), _together(old, passed_over), timing.next_after(moment))


def _old(timing: Timing, due: float, start: float) -> Missed | None:
    """Return the due times from `due` on that lie before `start`."""
    if due >= start:
        return None
    first, last, count = due, due, 1
    for each in islice(timing.after(due), _MOST_COUNTED):
        if each >= start:
            break
        last, count = each, count + 1
    return Missed(first, last, count)


def _together(old: Missed | None, passed_over: list[float]) -> Missed | None:
    if not passed_over:
        return old
    if old is None:
        return Missed(passed_over[0], passed_over[-1], len(passed_over))
    return Missed(old.first, passed_over[-1], old.times + len(passed_over))


def _until(timing: Timing, moment: float, end: float) -> Iterator[float]:
    for each in timing.after(moment):
        if each > end:
            return
        yield each


def read_cron(text: str, timezone: str, *, where: str | None = None, moment: float = 0.0) -> Timing:
    """Read a cron line of five fields, or one of `@hourly`, `@daily` and so on. Raises InputError.

    `moment` is the present: a line that is never due after it is refused.
    """
    line = " ".join(text.split())
    if line.startswith("@"):
        if line.lower() not in _ALIASES:
            raise InputError(f"unknown word {line!r}{suggest(line, _ALIASES)}", where=where)
        line = _ALIASES[line.lower()]
    fields = line.split()
    if len(fields) != len(_FIELDS):
        count = f"{len(fields)} {'field' if len(fields) == 1 else 'fields'}"
        raise InputError(
            f'a cron line has five fields, {", ".join(_FIELDS)}, like "0 2 * * *" (it has {count}: {text!r})',
            where=where,
        )
    check_timezone(timezone, where="--timezone")
    timing = Timing(line, None, timezone)
    try:
        if timing.next_after(moment) is None:
            raise InputError(f"{text!r} is never due: no such day exists", where=where)
    except CronSimError as error:
        raise InputError(_cron_fault(line, str(error)), where=where) from None
    return timing


def _cron_fault(line: str, said: str) -> str:
    name = said.removeprefix("Bad ")
    field = _CRONSIM_FIELDS.get(name)
    if field is None:
        return f"{line!r} is no cron line ({said})"
    value = line.split()[_FIELDS.index(field)]
    try:
        # Alone it is right: with these months no such day exists.
        CronSim(" ".join(value if each == field else "*" for each in _FIELDS), datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError:
        return f"the {field} of {line!r} can't be {value!r}"
    return f"{line!r} is never due: no such day exists"


def read_every(text: str, *, where: str | None = None, anchor: float) -> Timing:
    """Read an interval ("45m", "1h30m"), which counts from `anchor`. Raises InputError."""
    seconds = read_duration(text, where=where)
    if not MIN_EVERY_SECONDS <= seconds <= MAX_EVERY_SECONDS:
        raise InputError(f"must be from 1m to 366d (it is {text!r})", where=where)
    return Timing(None, seconds, "UTC", float(int(anchor)))


def read_duration(text: str, *, where: str | None = None) -> float:
    """Return a duration ("45m", "1h30m", "7d") in seconds. Raises InputError."""
    typed = text.strip().lower()
    if not _DURATION.fullmatch(typed):
        raise InputError(f"{text!r} is no duration; write 45m, 6h, 1h30m or 7d", where=where)
    return sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(typed))


def duration_in_units(seconds: float) -> str:
    """Return a duration as `read_duration` takes it: "1h30m"."""
    parts, left = [], round(seconds)
    for unit in ("d", "h", "m", "s"):
        number, left = divmod(left, int(_UNITS[unit]))
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"


def check_timezone(name: str, *, where: str | None = None) -> str:
    """Return the name of a time zone. Raises InputError."""
    known = available_timezones()
    if name not in known:
        near = suggest(name, known) or _by_city(name, known) or "; write a name like Europe/Zurich"
        raise InputError(f"unknown time zone {name!r}{near}", where=where)
    return name


def _by_city(name: str, known: set[str]) -> str:
    """Return the zone of a city that was named alone: "zurich"."""
    city = name.strip().lower().replace(" ", "_")
    found = sorted(each for each in known if each.rpartition("/")[2].lower() == city)
    return f"; did you mean {found[0]!r}?" if found else ""
