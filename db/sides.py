"""What A and B of `compare` name: a batch, a run, a machine, days, or the last batches of a schedule or a name."""

import re
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Literal

from sqlalchemy import ColumnElement, Connection, func, select

from bench.errors import InputError, suggest
from db.conditions import Condition
from db.history import Query
from db.moments import Span, read_moment
from db.tables import batch, job, machine, schedule

Kind = Literal["batch", "run", "machine", "days"]

_NUMBER = re.compile(r"[1-9]\d{0,17}")
_BACK = re.compile(r"(.+?)~(\d{1,6})", re.DOTALL)
_PREFIXES = ("batch", "run", "machine", "schedule", "days")
_WEEKS = {"this-week": 0, "last-week": 1}
_MONTHS = {"this-month": 0, "last-month": 1}
_DAYS = ("today", "yesterday", *_WEEKS, *_MONTHS)
_HELP = (
    "a side is a batch (3), a run (run:7), a machine (machine:ID), days (yesterday, 2026-11-01..2026-11-07) "
    "or the last batch of a schedule (nightly; nightly~1 for the one before)"
)
#: job states that may still bring a run
_OPEN = ("queued", "running")


@dataclass(frozen=True)
class Side:
    """The runs that somebody names."""

    kind: Kind
    #: as it is shown: `batch 3`, `machine mini`, `last-week`
    name: str
    #: what a run of it meets
    condition: Condition | None = None
    #: times as people type them, both ends included, and what they cover together
    since: str | None = None
    until: str | None = None
    span: Span | None = None
    #: what a word stands for today, as a sentence
    meaning: str | None = None

    def of(self, query: Query) -> Query:
        """Return what asks for the runs of this side among those of a query."""
        if self.condition is not None:
            return replace(query, conditions=(*query.conditions, self.condition))
        return replace(query, since=self.since, until=self.until)

    def __str__(self) -> str:
        return self.name


def read_sides(connection: Connection, first: str, second: str, clock: datetime | None = None) -> tuple[Side, Side]:
    """Read both sides of a comparison; `clock` is the present.

    Raises InputError for what names nothing, with near matches, and for two sides that are the same or overlap.
    """
    sides = _read(connection, first, clock), _read(connection, second, clock)
    same = sides[0].condition is not None and sides[0].condition == sides[1].condition
    if same or (sides[0].span is not None and sides[0].span == sides[1].span):
        raise InputError(f"{sides[0]} can't be compared with itself")
    if sides[0].span is not None and sides[1].span is not None:
        (start, end), (other_start, other_end) = sides[0].span, sides[1].span
        if start < other_end and other_start < end:
            raise InputError(f"{sides[0]} and {sides[1]} overlap; a run can be on one side only")
    return sides


def unfinished(connection: Connection, side: Side) -> int:
    """Return how many jobs of a batch have not ended; 0 for another side."""
    if side.kind != "batch" or side.condition is None:
        return 0
    wanted = job.c.batch_id == int(side.condition.value), job.c.state.in_(_OPEN)
    return int(connection.execute(select(func.count()).select_from(job).where(*wanted)).scalar_one())


def _read(connection: Connection, text: str, clock: datetime | None) -> Side:
    typed = text.strip()
    prefix, colon, rest = typed.partition(":")
    kind = prefix.casefold() if colon and prefix.casefold() in _PREFIXES else ""
    named = rest.strip() if kind else typed
    if kind == "machine":
        return _machine(connection, named)
    if kind in ("", "batch", "run") and _NUMBER.fullmatch(named):
        return _numbered("run" if kind == "run" else "batch", named)
    if kind == "run":
        raise InputError(f"a run has a number, as in run:7 (it is {text!r})")
    if kind in ("", "days"):
        found = _days(named, clock, is_certain=kind == "days")
        if found is not None:
            return found
    return _last_batch(connection, named, kind)


def _numbered(kind: Literal["batch", "run"], number: str) -> Side:
    return Side(kind, f"{kind} {number}", Condition("run_id" if kind == "run" else "batch", "=", number))


def _machine(connection: Connection, name: str) -> Side:
    known = list(connection.execute(select(machine.c.id)).scalars())
    if name not in known:
        raise InputError(f"there is no machine {name!r}{suggest(name, known)}")
    return Side("machine", f"machine {name}", Condition("machine", "=", name))


def _days(text: str, clock: datetime | None, *, is_certain: bool) -> Side | None:
    """Return the side of a span of days; None where the text is none, and may be something else."""
    typed = text.lower()
    spoken = _in_words(typed, (clock or datetime.now()).date())  # noqa: DTZ005 - people type their own time
    first, dots, last = typed.partition("..")
    since, until = spoken or (first.strip(), last.strip() if dots else first.strip())
    if not since and not until:
        return None
    try:
        start = read_moment(since, clock=clock).start if since else 0.0
        end = read_moment(until or "now", clock=clock).end
    except InputError:
        if is_certain or dots:
            raise
        return None
    if not dots and not spoken and end == start:
        raise InputError(f"{text!r} is an instant, not a span; write {text}..now for what was measured since")
    if end <= start:
        raise InputError(f"{text!r} ends before it begins")
    meaning = f"{typed} is {since} to {until}" if spoken else None
    return Side("days", typed, None, since or None, until or None, Span(start, end), meaning)


def _in_words(typed: str, today: date) -> tuple[str, str] | None:
    """Return first and last day of a week or a month that is named."""
    if typed in _WEEKS:
        first = today - timedelta(days=today.weekday() + 7 * _WEEKS[typed])
        return first.isoformat(), (first + timedelta(days=6)).isoformat()
    if typed in _MONTHS:
        first = today.replace(day=1)
        if _MONTHS[typed]:
            first = (first - timedelta(days=1)).replace(day=1)
        return first.isoformat(), ((first + timedelta(days=31)).replace(day=1) - timedelta(days=1)).isoformat()
    return None


def _last_batch(connection: Connection, text: str, kind: str) -> Side:
    """Return the last batch of a schedule, else of a name; `NAME~1` is the one before it."""
    match = _BACK.fullmatch(text)
    name, back = (match[1], int(match[2])) if match else (text, 0)
    columns: list[ColumnElement[str | None]] = [] if kind == "batch" else [batch.c.schedule]
    if kind != "schedule":
        columns.append(batch.c.name)
    for column in columns:
        newest = select(batch.c.id).where(column == name).order_by(batch.c.id.desc()).limit(back + 1)
        ids = list(connection.execute(newest).scalars())
        if len(ids) > back:
            return replace(_numbered("batch", str(ids[back])), meaning=f"{text} is batch {ids[back]}")
        if ids:
            number = f"{len(ids)} batches" if len(ids) > 1 else "one batch only"
            raise InputError(f"{text!r} goes back too far; {name} has {number}")
    raise InputError(_unknown(connection, name, kind))


def _unknown(connection: Connection, name: str, kind: str) -> str:
    schedules = set(connection.execute(select(schedule.c.name)).scalars())
    if kind != "batch" and name in schedules:
        return f"the schedule {name} has made no batch yet"
    schedules |= set(
        connection.execute(select(batch.c.schedule).where(batch.c.schedule.is_not(None)).distinct()).scalars()
    )
    names = set(connection.execute(select(batch.c.name).distinct()).scalars())
    if kind == "schedule":
        return f"there is no schedule {name!r}{suggest(name, schedules)}"
    if kind == "batch":
        return f"there is no batch {name!r}{suggest(name, names)}"
    machines = {f"machine:{each}" for each in connection.execute(select(machine.c.id)).scalars()}
    near = suggest(name, {*schedules, *names, *machines, *_DAYS})
    return f"{name!r} is nothing to compare{near if '; did' in near else f': {_HELP}'}"
