"""The claim: which job a worker gets next, and taking it so that nobody else does."""

import json
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, Double, Row, TextClause, bindparam, insert, select, text, update

from bench.catalog import explain
from bench.spec import JobSpec
from db.engine import Database, now
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
_LOADED = {"condition": "AND h.session_key = :key AND h.priority = :priority", "order": "h.id", "best": "j.id"}
_OVERDUE = {"condition": "AND h.queued_at < :before", "order": "h.queued_at", "best": "j.queued_at, j.id"}


def _probes(parts: dict[str, str]) -> dict[tuple[str, bool], TextClause]:
    return {
        (dialect, of_batch): text((_OF_BATCH if of_batch else _OF_QUEUES).format(queues=queues, **parts))
        for dialect, queues in _QUEUES.items()
        for of_batch in (False, True)
    }


_HEAD_PROBE, _LOADED_PROBE, _OVERDUE_PROBE = _probes(_HEAD), _probes(_LOADED), _probes(_OVERDUE)


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
    with database.write() as connection:
        for _ in range(_CLAIM_TRIES):
            job_id = _pick(connection, claimant, session_key, max_wait_seconds)
            if job_id is None:
                return None
            claimed = _take(connection, job_id, claimant.worker_id, lease_seconds)
            if claimed is not None:
                return claimed
    return None


def _pick(
    connection: Connection, claimant: Claimant, session_key: str | None, max_wait_seconds: float | None
) -> int | None:
    dialect = connection.dialect.name
    kind = (dialect, claimant.batch_id is not None)
    queues = list(claimant.queues)
    values: dict[str, Any] = {
        "queues": json.dumps(queues) if dialect == "sqlite" else queues,
        "memory": claimant.memory_mib,
    }
    if claimant.batch_id is not None:
        values["batch"] = claimant.batch_id
    # In a batch all priorities are equal, so nothing in it is kept waiting by anything but `max_streak`.
    if max_wait_seconds is not None and claimant.batch_id is None:
        before = connection.execute(select(now())).scalar_one() - max_wait_seconds
        overdue = connection.execute(_OVERDUE_PROBE[kind], values | {"before": before}).first()
        if overdue is not None:
            return int(overdue.id)
    head = connection.execute(_HEAD_PROBE[kind], values).first()
    if head is None:
        return None
    if session_key is not None:
        wanted = values | {"key": session_key, "priority": head.priority}
        loaded = connection.execute(_LOADED_PROBE[kind], wanted).first()
        if loaded is not None:
            return int(loaded.id)
    return int(head.id)


# Built once: building them anew took nearly half of a claim's time on SQLite.
_TAKE = (
    update(job_table)
    .where(job_table.c.id == bindparam("taken"), job_table.c.state == "queued")
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
_BEGIN_ATTEMPT = insert(attempt_table).values(started_at=now())


def _take(connection: Connection, job_id: int, worker_id: str, lease_seconds: float) -> Claimed | None:
    values = {"taken": job_id, "worker": worker_id, "lease_seconds": lease_seconds}
    taken = connection.execute(_TAKE, values).first()
    if taken is None:
        return None
    begun = {"job_id": taken.id, "attempt": taken.attempt, "worker_id": worker_id}
    connection.execute(_BEGIN_ATTEMPT, begun)
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
