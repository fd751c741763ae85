"""Sweeps by the clock: adding a schedule, and making batches of what is due.

A due time is dealt with in one transaction: the schedule's next due time, the firing and its batch with all jobs. So
any number of beats may tick at once, and one that dies midway leaves nothing; `firing(schedule, due_at)` is unique.
"""

import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import ValidationError
from sqlalchemy import Connection, select

from bench.catalog import ModelEntry
from bench.errors import InputError
from bench.faults import explain
from bench.schedules import ON_TIME_SECONDS, Decision, Misfire, Missed, Overlap, Timing, decide, duration_in_units
from bench.spec import JobSpec
from bench.sweep import Sweep
from db.engine import Database
from db.schedules import (
    Schedule,
    all_schedules,
    change_schedule,
    due_schedules,
    insert_firing,
    insert_schedule,
    jobs_of_schedule,
    lock_due_schedule,
    open_batch_of,
    schedule_by_name,
    seconds_now,
    set_batch_of_firing,
)
from db.submissions import NewBatch, NewJob, insert_batch, insert_payload
from db.tables import model as model_table
from scheduler.queues import queue_of, session_key
from scheduler.submit import prepare

log = logging.getLogger("benchbeat.schedules")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

#: where the time comes from: the database, so that beats on machines with other clocks agree
Clock = Callable[[Connection], float]


@dataclass(frozen=True)
class Handled:
    """What became of a due time."""

    schedule: str
    due_at: float
    #: fired | missed | overlapped | refused
    outcome: str
    batch_id: int | None = None
    note: str | None = None


class StaleSweepError(Exception):
    """A stored sweep can't be read by this version; the message says why."""


def check_schedule_name(name: str) -> str:
    """Return a schedule's name. Raises InputError."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"must be letters, digits, '.', '_' and '-', beginning with a letter or digit (it is {name!r})",
            where="NAME",
        )
    return name


def add_schedule(
    database: Database,
    name: str,
    sweep: Sweep,
    timing: Timing,
    *,
    misfire: Misfire = "latest",
    grace_seconds: float,
    overlap: Overlap = "skip",
    machine: str | None = None,
    source: str | None = None,
) -> Schedule:
    """Store a schedule with its sweep, expanded as it is now. Raises InputError where the name is taken.

    `source` is the text of the sweep's file.
    """
    check_schedule_name(name)
    batch, jobs = prepare(sweep)
    stored = [
        {
            "spec": each.spec.model_dump(mode="json", exclude_defaults=True),
            "model_hash": each.model_hash,
            "workload_hash": each.workload_hash,
            "strategy_hash": each.strategy_hash,
        }
        for each in jobs
    ]
    facts = {"name": batch.name, "priority": batch.priority, "labels": batch.labels, "sweep_hash": batch.sweep_hash}
    with database.write() as connection:
        insert_payload(connection, batch)
        insert_schedule(
            connection,
            {
                "name": name,
                "cron": timing.cron,
                "every_seconds": timing.every_seconds,
                "anchor_at": timing.anchor,
                "timezone": timing.timezone,
                "misfire": misfire,
                "grace_seconds": grace_seconds,
                "overlap": overlap,
                "machine": machine,
                "batch": json.dumps(facts),
                "jobs": json.dumps(stored, separators=(",", ":")),
                "job_count": len(jobs),
                "source": source,
                "paused": False,
                "next_due_at": timing.next_after(seconds_now(connection)),
            },
        )
        return schedule_by_name(connection, name)


def resume_schedule(connection: Connection, schedule: Schedule) -> None:
    """Let a paused schedule go on with the next due time; what was due meanwhile is forgotten.

    Raises InputError where the stored sweep can't be read any more.
    """
    try:
        stored_sweep(connection, schedule)
    except StaleSweepError as error:
        raise _stale(schedule.name, error) from error
    next_due = schedule.timing.next_after(seconds_now(connection))
    change_schedule(connection, schedule.id, paused=False, paused_reason=None, next_due_at=next_due)


def _stale(name: str, error: StaleSweepError) -> InputError:
    return InputError(f"the schedule {name!r} can't be used ({error}); remove it and add it again from its file")


def trigger_schedule(database: Database, name: str) -> int:
    """Make a schedule's batch now, whatever the clock says and also where it is paused. Returns the batch's id.

    Raises InputError where the stored sweep can't be read any more.
    """
    with database.write() as connection:
        schedule = schedule_by_name(connection, name)
        moment = seconds_now(connection)
        try:
            batch, jobs = stored_sweep(connection, schedule)
        except StaleSweepError as error:
            raise _stale(name, error) from error
        insert_firing(connection, schedule.id, moment, "triggered")
        batch_id = insert_batch(connection, batch, jobs)
        set_batch_of_firing(connection, schedule.id, moment, batch_id)
        return batch_id


def stored_sweep(connection: Connection, schedule: Schedule) -> tuple[NewBatch, list[NewJob]]:
    """Return a schedule's batch and jobs as they would be submitted now. Raises StaleSweepError."""
    jobs = []
    entries: dict[str, ModelEntry] = {}
    for stored in jobs_of_schedule(connection, schedule.id):
        jobs.append(_job(connection, stored, entries))
    facts = schedule.batch
    batch = NewBatch(
        name=facts["name"],
        key=None,
        sweep_hash=facts["sweep_hash"],
        priority=facts["priority"],
        models={},
        workloads={},
        strategies={},
        labels=facts["labels"],
        schedule=schedule.name,
    )
    return batch, jobs


def _job(connection: Connection, stored: dict[str, Any], entries: dict[str, ModelEntry]) -> NewJob:
    model_hash = stored["model_hash"]
    try:
        spec = JobSpec.model_validate(stored["spec"])
        if model_hash not in entries:
            text = connection.execute(select(model_table.c.entry).where(model_table.c.hash == model_hash)).scalar_one()
            entries[model_hash] = ModelEntry.model_validate_json(text)
    except ValidationError as error:
        kind = JobSpec if error.title == "JobSpec" else ModelEntry
        name = stored["spec"].get("model")
        raise StaleSweepError(f"its job of {name} is not valid in this version: {explain(error, kind)}") from error
    memory_mib = entries[model_hash].memory_mib(spec.precision)
    return NewJob(
        spec=spec,
        model_hash=model_hash,
        workload_hash=stored["workload_hash"],
        strategy_hash=stored["strategy_hash"],
        queue=queue_of(spec.device, spec.machine, memory_mib),
        session_key=session_key(spec, model_hash),
        memory_mib=memory_mib,
    )


class Ticker:
    """Deals with what is due, each time that it is asked to."""

    def __init__(
        self, database: Database, *, on_time_seconds: float = ON_TIME_SECONDS, clock: Clock = seconds_now
    ) -> None:
        self._database = database
        self._on_time_seconds = on_time_seconds
        self._clock = clock
        self._last: float | None = None

    def tick(self) -> list[Handled]:
        """Make batches of what is due. Raises UnavailableError where the database is away."""
        with self._database.read() as connection:
            moment = self._clock(connection)
            due = due_schedules(connection, moment)
        if self._last is None or moment < self._last - 1:
            settle(self._database, moment)
        self._last = moment
        handled = []
        for schedule_id in due:
            with self._database.write() as connection:
                handled += self._handle(connection, schedule_id, moment)
        return handled

    def _handle(self, connection: Connection, schedule_id: int, moment: float) -> list[Handled]:
        schedule = lock_due_schedule(connection, schedule_id, moment)
        if schedule is None or schedule.next_due_at is None:
            return []
        decision = decide(
            schedule.timing,
            schedule.next_due_at,
            moment,
            misfire=schedule.misfire,
            grace_seconds=schedule.grace_seconds,
            on_time_seconds=self._on_time_seconds,
        )
        change_schedule(connection, schedule.id, next_due_at=decision.next_due)
        handled = [_missed(connection, schedule, decision.missed, moment)] if decision.missed else []
        return handled + _fire(connection, schedule, decision)


def _fire(connection: Connection, schedule: Schedule, decision: Decision) -> list[Handled]:
    if not decision.fire:
        return []
    try:
        batch, jobs = stored_sweep(connection, schedule)
    except StaleSweepError as error:
        return [_refuse(connection, schedule, decision.fire[0], str(error))]
    handled = []
    for due_at in decision.fire:
        still_open = open_batch_of(connection, schedule.id) if schedule.overlap == "skip" else None
        if still_open is not None:
            note = f"batch {still_open} had not ended"
            if insert_firing(connection, schedule.id, due_at, "overlapped", note):
                handled.append(Handled(schedule.name, due_at, "overlapped", note=note))
        # Where the clock went back, it has fired before.
        elif insert_firing(connection, schedule.id, due_at, "fired"):
            batch_id = insert_batch(connection, batch, jobs)
            set_batch_of_firing(connection, schedule.id, due_at, batch_id)
            handled.append(Handled(schedule.name, due_at, "fired", batch_id))
    return handled


def _refuse(connection: Connection, schedule: Schedule, due_at: float, reason: str) -> Handled:
    """Pause a schedule whose sweep can't be read: every later firing would end the same."""
    change_schedule(connection, schedule.id, paused=True, paused_reason=reason)
    insert_firing(connection, schedule.id, due_at, "refused", reason)
    return Handled(schedule.name, due_at, "refused", note=f"{reason}; the schedule is paused")


def _missed(connection: Connection, schedule: Schedule, missed: Missed, moment: float) -> Handled:
    late = duration_in_units(60 * round((moment - missed.first) / 60))
    times = "1 due time was" if missed.times == 1 else f"{missed.times:,} due times were"
    until = "" if missed.times == 1 else f", the last one at {said(missed.last, schedule.timing.timezone)}"
    note = f"{times} missed{until}: no beat ran, or the machine slept; noticed {late} late"
    insert_firing(connection, schedule.id, missed.first, "missed", note)
    return Handled(schedule.name, missed.first, "missed", note=note)


def settle(database: Database, moment: float) -> None:
    """Bring forward what a clock that ran ahead put off: after it was set back, the next due time lies too far away.

    What fired meanwhile does not fire again, see `firing`.
    """
    with database.read() as connection:
        ahead = [each for each in all_schedules(connection) if _is_too_far(each, moment)]
    for schedule in ahead:
        with database.write() as connection:
            change_schedule(connection, schedule.id, next_due_at=schedule.timing.next_after(moment))


def _is_too_far(schedule: Schedule, moment: float) -> bool:
    if schedule.paused or schedule.next_due_at is None or schedule.next_due_at <= moment:
        return False
    expected = schedule.timing.next_after(moment)
    return expected is not None and expected < schedule.next_due_at


def said(moment: float, timezone: str) -> str:
    """Return a time in a zone, as people read it."""
    return datetime.fromtimestamp(moment, ZoneInfo(timezone)).strftime("%a %Y-%m-%d %H:%M %Z")


def specs_of(database: Database, name: str) -> list[JobSpec]:
    """Return the job specifications of a schedule's sweep. Raises InputError where they can't be read any more."""
    with database.read() as connection:
        try:
            _, jobs = stored_sweep(connection, schedule_by_name(connection, name))
        except StaleSweepError as error:
            raise _stale(name, error) from error
    return [each.spec for each in jobs]
