"""The claim: which job a worker gets next, and taking it so that nobody else does."""

import json
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, Double, Row, TextualSelect, bindparam, insert, text, update
from sqlalchemy.sql.dml import ReturningUpdate

from bench.catalog import explain
from bench.spec import JobSpec
from db.driver import DriverStatement
from db.engine import CLOCKS, Database, now
from db.tables import attempt as attempt_table
from db.tables import job as job_table

#: how often a claim looks again after another worker was faster
_CLAIM_TRIES = 100


@dataclass(frozen=True)
class Claimed:
    """A job as its worker holds it."""

    id: int
    batch_id: int
    #: number of this attempt; the fence
    attempt: int
    #: attempts before this one that counted
    failures: int
    spec: JobSpec
    model_hash: str
    workload_hash: str
    strategy_hash: str | None
    session_key: str
    memory_mib: int

    @classmethod
    def from_row(cls, row: Row[Any]) -> "Claimed":
        """Read a row of the claim's RETURNING."""
        values = dict(row._mapping)
        return cls(spec=JobSpec.model_validate_json(values.pop("spec")), **values)


@dataclass(frozen=True)
class Claimant:
    """Who claims: what limits the jobs that it may take."""

    worker_id: str
    queues: tuple[str, ...]
    #: memory of its device
    memory_mib: int
    #: the one batch it works for; None takes every job
    batch_id: int | None = None


_QUEUES = {
    "sqlite": "json_each(:queues) AS q",
    "postgresql": "unnest(CAST(:queues AS text[])) AS q(value)",
}

# One index descent a queue; a plain ORDER BY over all queues took 14-44 ms at 100,000 queued jobs.
_OF_QUEUES = """
SELECT j.id, j.priority FROM {queues} JOIN job j ON j.id = (
    SELECT h.id FROM job h WHERE h.state = 'queued' AND h.queue = q.value AND h.memory_mib <= :memory {condition}
    ORDER BY {order} LIMIT 1)
ORDER BY {best} LIMIT 1
"""

_OF_BATCH = """
SELECT h.id, h.priority FROM job h WHERE h.state = 'queued' AND h.batch_id = :batch AND h.memory_mib <= :memory
    AND h.queue IN (SELECT q.value FROM {queues}) {condition}
ORDER BY {order} LIMIT 1
"""

_HEAD = {"condition": "", "order": "h.priority DESC, h.id", "best": "j.priority DESC, j.id"}
_LOADED = {
    "condition": "AND h.session_key = :key AND h.priority = (SELECT priority FROM head)",
    # Equal in all rows but for the id: so PostgreSQL, which can't know the priority when it plans, takes job_loaded.
    "order": "h.session_key, h.priority DESC, h.id",
    "best": "j.id",
}
_OVERDUE = {"condition": "AND h.queued_at < {now} - :wait", "order": "h.queued_at", "best": "j.queued_at, j.id"}

# The first of the three that finds a job; those behind it are not run. A key or a wait that is NULL finds nothing.
_PICK = """
WITH head AS ({head})
SELECT coalesce((SELECT o.id FROM ({overdue}) o), (SELECT l.id FROM ({loaded}) l), (SELECT head.id FROM head)) AS id
"""


def _pick(dialect: str, *, of_batch: bool) -> TextualSelect:
    """Return the query for the id of the job that comes next, NULL where there is none."""
    shape = _OF_BATCH if of_batch else _OF_QUEUES
    parts = {
        name: shape.format(queues=_QUEUES[dialect], **part).format(now=CLOCKS[dialect])
        for name, part in (("head", _HEAD), ("loaded", _LOADED), ("overdue", _OVERDUE))
    }
    return text(_PICK.format(**parts)).columns(job_table.c.id)


def _take(pick: TextualSelect) -> ReturningUpdate[Any]:
    """Return the statement that takes the job that comes next; no row where somebody else was faster."""
    return (
        update(job_table)
        .where(job_table.c.id == pick.scalar_subquery(), job_table.c.state == "queued")
        .values(
            state="running",
            attempt=job_table.c.attempt + 1,
            worker_id=bindparam("worker"),
            lease_until=now() + bindparam("lease_seconds", type_=Double()),
            started_at=now(),
            progress=None,
            error=None,
        )
        .returning(*[job_table.c[name] for name in Claimed.__dataclass_fields__])
    )


# Built once, by dialect and whether the worker is of one batch: building them anew took half of a claim's time on
# SQLite. Picking and taking are one statement, since each costs more on its way than in the database.
_PICKS = {(dialect, of_batch): _pick(dialect, of_batch=of_batch) for dialect in _QUEUES for of_batch in (False, True)}
_TAKES = {kind: DriverStatement(_take(pick)) for kind, pick in _PICKS.items()}
_BEGIN_ATTEMPT = DriverStatement(
    insert(attempt_table).values(
        **{name: bindparam(name) for name in ("job_id", "attempt", "worker_id")}, started_at=now()
    )
)


def claim(
    database: Database,
    claimant: Claimant,
    *,
    lease_seconds: float,
    session_key: str | None = None,
    max_wait_seconds: float | None = None,
) -> Claimed | None:
    """Take a job for `lease_seconds`, or return None where there is none that fits.

    The highest priority goes first; within it a job of `session_key`; then the oldest. With
    `max_wait_seconds` the oldest job that waited longer goes before all of them, but for a worker of one batch.
    """
    # A power cut that makes SQLite forget the claim ends its worker too: the job is queued, as it was.
    with database.write(durable=False) as connection:
        dialect = connection.dialect.name
        kind = (dialect, claimant.batch_id is not None)
        queues = list(claimant.queues)
        wanted: dict[str, Any] = {
            "queues": json.dumps(queues) if dialect == "sqlite" else queues,
            "memory": claimant.memory_mib,
            "key": session_key,
            # In a batch all priorities are equal, so nothing in it is kept waiting by anything but `max_streak`.
            "wait": max_wait_seconds if claimant.batch_id is None else None,
        }
        if claimant.batch_id is not None:
            wanted["batch"] = claimant.batch_id
        taking = wanted | {"worker": claimant.worker_id, "lease_seconds": lease_seconds}
        for _ in range(_CLAIM_TRIES):
            taken = _TAKES[kind].execute(connection, taking).first()
            if taken is not None:
                claimed = _begin(connection, taken, claimant.worker_id)
                if claimed is not None:
                    return claimed
            elif connection.execute(_PICKS[kind], wanted).scalar() is None:
                return None
    return None


def _begin(connection: Connection, taken: Row[Any], worker_id: str) -> Claimed | None:
    """Write the attempt of a job that was taken; None where its specification can't be read."""
    _BEGIN_ATTEMPT.execute(connection, {"job_id": taken.id, "attempt": taken.attempt, "worker_id": worker_id})
    try:
        return Claimed.from_row(taken)
    except ValidationError as error:
        _fail_unreadable(connection, taken.id, taken.attempt, explain(error, JobSpec))
        return None


def _fail_unreadable(connection: Connection, job_id: int, attempt: int, fault: str) -> None:
    """Set a job `failed` that a newer benchbeat wrote: left in the queue it would be every next claim's, for ever."""
    ended = {
        "finished_at": now(),
        "error": f"The worker's benchbeat can't read its specification ({fault}); upgrade it",
    }
    connection.execute(
        update(job_table)
        .where(job_table.c.id == job_id)
        .values(ended | {"state": "failed", "failures": job_table.c.failures + 1, "lease_until": None})
    )
    connection.execute(
        update(attempt_table)
        .where(attempt_table.c.job_id == job_id, attempt_table.c.attempt == attempt)
        .values(ended | {"outcome": "failed"})
    )
