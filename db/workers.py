"""Machines and workers: who is there, seen by the database's clock."""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, insert, select, update

from db.engine import Database, now
from db.inserts import insert_new
from db.tables import machine, worker

#: a worker that was not seen for so long counts as gone
ALIVE_SECONDS = 30.0


@dataclass(frozen=True)
class WorkerRow:
    """A live worker."""

    id: str
    machine_id: str
    device: str
    device_name: str
    memory_mib: int
    queues: tuple[str, ...]
    batch_id: int | None
    pid: int
    job_id: int | None
    #: seconds since it was last seen
    silent_seconds: float


def register_worker(database: Database, facts: dict[str, Any], machine_facts: dict[str, Any]) -> None:
    """Write a worker that starts, and its machine where that is new."""
    with database.write() as connection:
        first_seen = connection.execute(select(now())).scalar_one()
        insert_new(connection, machine, [machine_facts | {"first_seen_at": first_seen}])
        connection.execute(update(machine).where(machine.c.id == machine_facts["id"]).values(**machine_facts))
        row = facts | {"queues": json.dumps(facts["queues"])}
        connection.execute(insert(worker).values(**row, started_at=now(), seen_at=now()))


def mark_seen(database: Database, worker_id: str, *, job_id: int | None, loaded: str | None) -> None:
    """Note that a worker lives, and what it does."""
    with database.write() as connection:
        values = {"seen_at": now(), "job_id": job_id, "loaded": loaded}
        connection.execute(update(worker).where(worker.c.id == worker_id).values(**values))


def mark_stopped(database: Database, worker_id: str) -> None:
    """Note that a worker stopped of its own accord."""
    with database.write() as connection:
        connection.execute(update(worker).where(worker.c.id == worker_id).values(stopped_at=now(), job_id=None))


def live_workers(connection: Connection) -> list[WorkerRow]:
    """Return the workers that were seen lately, oldest first."""
    return _read(connection, _LIVE)


def workers_of_batch(connection: Connection, batch_id: int) -> list[WorkerRow]:
    """Return the workers that work, or worked, for this batch only, oldest first."""
    return _read(connection, _select(worker.c.batch_id == batch_id))


def _select(*conditions: ColumnElement[bool]) -> Select[Any]:
    silent = (now() - worker.c.seen_at).label("silent_seconds")
    return select(worker, silent).where(*conditions).order_by(worker.c.started_at, worker.c.id)


# Built once: it is asked every second.
_LIVE = _select(worker.c.stopped_at.is_(None), worker.c.seen_at > now() - ALIVE_SECONDS)


def _read(connection: Connection, query: Select[Any]) -> list[WorkerRow]:
    names = [name for name in WorkerRow.__dataclass_fields__ if name != "queues"]
    return [
        WorkerRow(queues=tuple(json.loads(row.queues)), **{name: getattr(row, name) for name in names})
        for row in connection.execute(query)
    ]


def live_worker_for(connection: Connection, machine_id: str, device: str) -> WorkerRow | None:
    """Return a live worker that owns a device of a machine and takes every batch's jobs."""
    for row in live_workers(connection):
        if row.machine_id == machine_id and row.batch_id is None and device in (row.device, "auto"):
            return row
    return None
