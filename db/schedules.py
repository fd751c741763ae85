"""Schedules and their firings, as the database holds them. What fires is decided in scheduler/schedules.py."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update

from bench.errors import InputError, suggest
from bench.schedules import Misfire, Overlap, Timing
from db.engine import Database, now
from db.inserts import insert_if_new
from db.tables import beat, firing, job, schedule

#: a beat that was not seen for so long counts as gone
BEAT_ALIVE_SECONDS = 60.0


@dataclass(frozen=True)
class Schedule:
    """A schedule without its jobs. Times are seconds since the epoch."""

    id: int
    name: str
    timing: Timing
    misfire: Misfire
    grace_seconds: float
    overlap: Overlap
    machine: str | None
    #: name, priority, labels and sweep_hash of its batches
    batch: dict[str, Any]
    job_count: int
    paused: bool
    #: why it was paused by itself
    paused_reason: str | None
    next_due_at: float | None
    created_at: float

    @classmethod
    def from_row(cls, row: Row[Any]) -> "Schedule":
        """Read a row of `_columns`."""
        values = dict(row._mapping)
        timing = Timing(
            values.pop("cron"), values.pop("every_seconds"), values.pop("timezone"), values.pop("anchor_at")
        )
        return cls(timing=timing, batch=json.loads(values.pop("batch")), **values)


@dataclass(frozen=True)
class Firing:
    """What became of a due time."""

    due_at: float
    decided_at: float
    #: fired | triggered | missed | overlapped | refused
    outcome: str
    batch_id: int | None
    note: str | None


def _columns() -> Select[Any]:
    return select(*[each for each in schedule.c if each.name not in ("jobs", "source")])


def insert_schedule(connection: Connection, values: dict[str, Any]) -> int:
    """Write a schedule; returns its id. Raises InputError where the name is taken."""
    name = values["name"]
    if connection.execute(select(schedule.c.id).where(schedule.c.name == name)).first() is not None:
        raise InputError(f"there is a schedule {name!r} already; remove it first, or choose another name", where="NAME")
    inserted = connection.execute(insert(schedule).values(created_at=now(), **values).returning(schedule.c.id))
    return int(inserted.scalar_one())


def schedule_by_name(connection: Connection, name: str) -> Schedule:
    """Return a schedule. Raises InputError with near matches where there is none of this name."""
    row = connection.execute(_columns().where(schedule.c.name == name)).first()
    if row is None:
        names = connection.execute(select(schedule.c.name)).scalars().all()
        raise InputError(f"there is no schedule {name!r}{suggest(name, names) if names else '; there is none yet'}")
    return Schedule.from_row(row)


def all_schedules(connection: Connection) -> list[Schedule]:
    """Return every schedule, by name."""
    return [Schedule.from_row(row) for row in connection.execute(_columns().order_by(schedule.c.name))]


def due_schedules(connection: Connection, moment: float) -> list[int]:
    """Return the ids of the schedules that have something due, the longest due first."""
    due = select(schedule.c.id).where(schedule.c.paused.is_(False), schedule.c.next_due_at <= moment)
    return list(connection.execute(due.order_by(schedule.c.next_due_at, schedule.c.id)).scalars())


def lock_due_schedule(connection: Connection, schedule_id: int, moment: float) -> Schedule | None:
    """Return a schedule that has something due, for this transaction alone; None where another one was faster."""
    due = _columns().where(schedule.c.id == schedule_id, schedule.c.paused.is_(False), schedule.c.next_due_at <= moment)
    row = connection.execute(due.with_for_update()).first()
    return None if row is None else Schedule.from_row(row)


def jobs_of_schedule(connection: Connection, schedule_id: int) -> list[dict[str, Any]]:
    """Return what is stored of a schedule's jobs, as it was stored."""
    stored: list[dict[str, Any]] = json.loads(
        connection.execute(select(schedule.c.jobs).where(schedule.c.id == schedule_id)).scalar_one()
    )
    return stored


def source_of_schedule(connection: Connection, schedule_id: int) -> str | None:
    """Return the text of the sweep file that a schedule was made from."""
    text: str | None = connection.execute(select(schedule.c.source).where(schedule.c.id == schedule_id)).scalar_one()
    return text


def change_schedule(connection: Connection, schedule_id: int, **values: Any) -> None:
    """Change columns of a schedule."""
    connection.execute(update(schedule).where(schedule.c.id == schedule_id).values(**values))


def remove_schedule(connection: Connection, schedule_id: int) -> None:
    """Remove a schedule and its firings. Its batches stay, and keep its name."""
    connection.execute(delete(firing).where(firing.c.schedule_id == schedule_id))
    connection.execute(delete(schedule).where(schedule.c.id == schedule_id))


def insert_firing(
    connection: Connection, schedule_id: int, due_at: float, outcome: str, note: str | None = None
) -> bool:
    """Write what becomes of a due time. False where that was written before: it must not fire again."""
    statement = insert_if_new(connection, firing).values(
        schedule_id=schedule_id, due_at=due_at, decided_at=now(), outcome=outcome, note=note
    )
    done = connection.execute(statement.returning(firing.c.due_at)).first()
    return done is not None


def set_batch_of_firing(connection: Connection, schedule_id: int, due_at: float, batch_id: int) -> None:
    """Note the batch that a firing made."""
    ours = (firing.c.schedule_id == schedule_id, firing.c.due_at == due_at)
    connection.execute(update(firing).where(*ours).values(batch_id=batch_id))


def firings_of(connection: Connection, schedule_id: int, limit: int) -> list[Firing]:
    """Return the last firings, newest first."""
    columns = [firing.c[name] for name in Firing.__dataclass_fields__]
    query = select(*columns).where(firing.c.schedule_id == schedule_id).order_by(firing.c.due_at.desc()).limit(limit)
    return [Firing(**row._mapping) for row in connection.execute(query)]


def last_firings(connection: Connection) -> dict[int, Firing]:
    """Return the last firing of every schedule that has one, by the schedule's id."""
    last = select(firing.c.schedule_id, func.max(firing.c.due_at).label("due_at")).group_by(firing.c.schedule_id)
    newest = last.subquery()
    names = list(Firing.__dataclass_fields__)
    is_newest = (newest.c.schedule_id == firing.c.schedule_id) & (newest.c.due_at == firing.c.due_at)
    columns = [firing.c.schedule_id, *(firing.c[name] for name in names)]
    rows = connection.execute(select(*columns).select_from(firing.join(newest, is_newest)))
    return {row.schedule_id: Firing(**{name: getattr(row, name) for name in names}) for row in rows}


def open_batch_of(connection: Connection, schedule_id: int) -> int | None:
    """Return the last batch of a schedule where that has jobs that have not ended."""
    made = select(firing.c.batch_id).where(firing.c.schedule_id == schedule_id, firing.c.batch_id.is_not(None))
    last = connection.execute(made.order_by(firing.c.batch_id.desc()).limit(1)).scalar()
    if last is None:
        return None
    still_open = select(job.c.id).where(job.c.batch_id == last, job.c.state.in_(("queued", "running"))).limit(1)
    return int(last) if connection.execute(still_open).first() is not None else None


def seconds_now(connection: Connection) -> float:
    """Return the database's time."""
    return float(connection.execute(select(now())).scalar_one())


def mark_beat(database: Database, beat_id: str, *, pid: int, version: str) -> None:
    """Note that a beat lives."""
    with database.write() as connection:
        seen = connection.execute(update(beat).where(beat.c.id == beat_id).values(seen_at=now())).rowcount
        if not seen:
            row = {"id": beat_id, "pid": pid, "version": version}
            connection.execute(insert(beat).values(**row, started_at=now(), seen_at=now()))


def mark_beat_stopped(database: Database, beat_id: str) -> None:
    """Note that a beat stopped of its own accord."""
    with database.write() as connection:
        connection.execute(update(beat).where(beat.c.id == beat_id).values(stopped_at=now()))


def live_beats(connection: Connection) -> Sequence[Row[Any]]:
    """Return the rows of the beats that were seen lately, oldest first."""
    alive = (beat.c.stopped_at.is_(None), beat.c.seen_at > now() - BEAT_ALIVE_SECONDS)
    return connection.execute(select(beat).where(*alive).order_by(beat.c.started_at, beat.c.id)).all()
