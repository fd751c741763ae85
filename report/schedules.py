"""Schedules, printed: when they are due in their own time zone and in yours, and what became of it."""

from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import click

from bench.schedules import duration_in_units
from db.engine import Database
from db.schedules import (
    Firing,
    Schedule,
    all_schedules,
    firings_of,
    last_firings,
    live_beats,
    schedule_by_name,
)
from db.status import batch_status
from report.plan import duration_in_words
from report.printing import print_fitting, print_rows, print_text

#: due times ahead that are shown
_NEXT = 3
_FIRINGS = 20
_COLUMNS = [
    *("schedule", "state", "cron", "every_seconds", "timezone", "jobs", "misfire", "grace_seconds", "overlap"),
    *("machine", "next", "last_due", "last_outcome", "last_batch", "paused_reason"),
]

NO_BEAT = "No beat is running, so nothing fires; start one with `benchbeat up` or `benchbeat beat`."


def print_schedules(database: Database, output: str) -> None:
    """Print every schedule with its next due times and what became of the last one."""
    with database.read() as connection:
        schedules = all_schedules(connection)
        last = last_firings(connection)
        beats = live_beats(connection)
    if output != "table":
        print_rows(_COLUMNS, [_row(each, last.get(each.id)) for each in schedules], output)
        return
    if not schedules:
        click.echo('no schedule yet; begin with `benchbeat schedule add nightly SWEEP --cron "0 2 * * *"`')
        return
    for number, each in enumerate(schedules):
        if number:
            click.echo()
        _print_schedule(each, last.get(each.id))
    if not beats:
        click.echo(err=True)
        print_text(NO_BEAT, err=True)


def print_schedule(database: Database, name: str, output: str) -> None:
    """Print one schedule with its last firings and their batches. Raises InputError where there is no such one."""
    with database.read() as connection:
        schedule = schedule_by_name(connection, name)
        firings = firings_of(connection, schedule.id, _FIRINGS)
        states = {f.batch_id: _states(connection, f.batch_id) for f in firings if f.batch_id is not None}
    columns = ["due", "outcome", "batch", "late", "jobs", "note"]
    if output != "table":
        columns = ["due", "decided", "outcome", "batch", "jobs", "note"]
        rows = [
            [_iso(f.due_at), _iso(f.decided_at), f.outcome, f.batch_id, states.get(f.batch_id or 0), f.note]
            for f in firings
        ]
        print_rows(columns, rows, output)
        return
    _print_schedule(schedule, None)
    rules = f"{schedule.misfire}, within {duration_in_units(schedule.grace_seconds)}"
    if schedule.misfire == "skip":
        rules = "skip"
    print_text(f"  missed times: {rules}; while its last batch runs: {schedule.overlap}")
    if schedule.machine is not None:
        print_text(f"  machine: {schedule.machine}")
    click.echo()
    if not firings:
        click.echo("it has not been due yet")
        return
    rows = [
        [_said(f.due_at, schedule), f.outcome, f.batch_id, _late(f), states.get(f.batch_id or 0), f.note]
        for f in firings
    ]
    used = [place for place in range(len(columns)) if any(row[place] is not None for row in rows)]
    shown = [[row[place] for place in used] for row in rows]
    print_fitting([columns[place] for place in used], shown, output, expendable=["late"])


def print_next(database: Database, name: str) -> None:
    """Print when a schedule is due. Raises InputError where there is none of this name."""
    with database.read() as connection:
        _print_schedule(schedule_by_name(connection, name), None)


def schedule_lines(schedules: Sequence[Schedule], last: dict[int, Firing]) -> list[str]:
    """Return a line about each schedule, for an overview."""
    return [f"{each.name}: {_state(each)}{_last(each, last.get(each.id))}" for each in schedules]


def schedule_details(schedule: Schedule) -> dict[str, Any]:
    """Return what a program wants to know of a schedule."""
    next_due = _iso(schedule.next_due_at, schedule.timing.timezone)
    return {"paused": schedule.paused, "paused_reason": schedule.paused_reason, "next": next_due}


def next_times(schedule: Schedule, count: int = _NEXT) -> list[float]:
    """Return the due times ahead; none where it is paused."""
    if schedule.paused or schedule.next_due_at is None:
        return []
    # What is due and was not dealt with yet is next, however late.
    return [schedule.next_due_at, *islice(schedule.timing.after(schedule.next_due_at), count - 1)]


def _print_schedule(schedule: Schedule, last: Firing | None) -> None:
    click.secho(schedule.name, bold=True)
    jobs = "1 job" if schedule.job_count == 1 else f"{schedule.job_count:,} jobs"
    print_text(f"  {schedule.timing.in_words()}: {schedule.batch['name']}, {jobs}")
    if schedule.paused:
        print_text(f"  {_state(schedule)}")
    for number, due in enumerate(next_times(schedule)):
        click.echo(f"  {'next' if number == 0 else '    '}  {_said(due, schedule)}{_here(due, schedule)}")
    if last is not None:
        print_text(f"  last  {_said(last.due_at, schedule)}: {_outcome(last)}")


def _state(schedule: Schedule) -> str:
    if schedule.paused and schedule.paused_reason:
        return f"paused, since {schedule.paused_reason}; remove it and add it again from its file"
    if schedule.paused:
        return "paused"
    if schedule.next_due_at is None:
        return "never due again"
    return f"next {_said(schedule.next_due_at, schedule)}"


def _last(schedule: Schedule, last: Firing | None) -> str:
    return f"; last {_said(last.due_at, schedule)}: {_outcome(last)}" if last is not None else ""


def _outcome(firing: Firing) -> str:
    if firing.batch_id is not None:
        return f"{firing.outcome}, batch {firing.batch_id}"
    return f"{firing.outcome} ({firing.note})" if firing.note else firing.outcome


def _late(firing: Firing) -> str | None:
    """Return by how much a firing was late, where that is worth a word."""
    late = firing.decided_at - firing.due_at
    return duration_in_words(late) if late >= 60 and firing.batch_id is not None else None


def _said(moment: float, schedule: Schedule) -> str:
    return _in_words(datetime.fromtimestamp(moment, ZoneInfo(schedule.timing.timezone)))


def _here(moment: float, schedule: Schedule) -> str:
    """Return the time in this machine's zone, where that differs."""
    there = datetime.fromtimestamp(moment, ZoneInfo(schedule.timing.timezone))
    here = there.astimezone()
    return "" if here.utcoffset() == there.utcoffset() else f"  (here {_in_words(here)})"


def _in_words(moment: datetime) -> str:
    return moment.strftime("%a %Y-%m-%d %H:%M %Z")


def _iso(moment: float | None, zone: str = "UTC") -> str | None:
    return None if moment is None else datetime.fromtimestamp(moment, ZoneInfo(zone)).isoformat()


def _row(schedule: Schedule, last: Firing | None) -> list[Any]:
    timing = schedule.timing
    ahead = [_iso(due, timing.timezone) for due in next_times(schedule)]
    ended = (_iso(last.due_at, timing.timezone), last.outcome, last.batch_id) if last else (None, None, None)
    return [
        schedule.name,
        "paused" if schedule.paused else "active",
        timing.cron,
        timing.every_seconds,
        timing.timezone,
        schedule.job_count,
        schedule.misfire,
        schedule.grace_seconds,
        schedule.overlap,
        schedule.machine,
        ahead,
        *ended,
        schedule.paused_reason,
    ]


def _states(connection: Any, batch_id: int) -> str:
    batch = batch_status(connection, batch_id)
    counts = [(state, getattr(batch, state)) for state in ("queued", "running", "done", "failed", "cancelled")]
    return ", ".join(f"{count} {state}" for state, count in counts if count)
