"""The queue: claiming, leasing and finishing jobs. The job's row decides; Redis only rings.

Every change of a running job is fenced by its attempt's number: a worker that lost its lease writes nothing.
"""

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    TextClause,
    and_,
    case,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    update,
)

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


class Lease(NamedTuple):
    """A lease that still holds."""

    cancel_requested: bool


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
    `max_wait_seconds` the oldest job that waited longer goes before all of them.
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
    if max_wait_seconds is not None:
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


def _take(connection: Connection, job_id: int, worker_id: str, lease_seconds: float) -> Claimed | None:
    taken = connection.execute(
        update(job_table)
        .where(job_table.c.id == job_id, job_table.c.state == "queued")
        .values(
            state="running",
            attempt=job_table.c.attempt + 1,
            worker_id=worker_id,
            lease_until=now() + literal(lease_seconds),
            started_at=now(),
            progress=None,
            error=None,
        )
        .returning(*[job_table.c[name] for name in Claimed.__dataclass_fields__])
    ).first()
    if taken is None:
        return None
    claimed = Claimed.from_row(taken)
    connection.execute(
        insert(attempt_table).values(job_id=claimed.id, attempt=claimed.attempt, worker_id=worker_id, started_at=now())
    )
    return claimed


def _held(job_id: int, attempt: int) -> ColumnElement[bool]:
    return and_(job_table.c.id == job_id, job_table.c.attempt == attempt, job_table.c.state == "running")


def extend_lease(
    database: Database, job_id: int, attempt: int, lease_seconds: float, progress: str | None = None
) -> Lease | None:
    """Extend a lease and store the progress; None where it is lost: the session must be killed."""
    values: dict[str, Any] = {"lease_until": now() + literal(lease_seconds)}
    if progress is not None:
        values["progress"] = progress
    statement = update(job_table).where(_held(job_id, attempt)).values(values)
    with database.write() as connection:
        row = connection.execute(statement.returning(job_table.c.cancel_requested)).first()
    return None if row is None else Lease(bool(row.cancel_requested))


def look_at_lease(database: Database, job_id: int, attempt: int) -> Lease | None:
    """Read whether a lease holds and whether cancelling was asked for, writing nothing."""
    with database.read() as connection:
        row = connection.execute(select(job_table.c.cancel_requested).where(_held(job_id, attempt))).first()
    return None if row is None else Lease(bool(row.cancel_requested))


def finish_job(connection: Connection, job_id: int, attempt: int) -> Row[Any] | None:
    """Set a job `done` and return its row, or None where this attempt was overtaken.

    A lease that ran out while the database was away does not matter as long as nobody claimed the job since.
    The caller inserts the run in the same transaction.
    """
    ours = and_(job_table.c.id == job_id, job_table.c.attempt == attempt)
    row = connection.execute(
        update(job_table)
        .where(ours, job_table.c.state.in_(("running", "queued")))
        .values(state="done", finished_at=now(), lease_until=None, error=None)
        .returning(job_table)
    ).first()
    close_attempt(connection, job_id, attempt, "done" if row is not None else "superseded")
    return row


def fail_job(
    database: Database,
    job_id: int,
    attempt: int,
    *,
    error: str,
    stderr: str = "",
    max_attempts: int,
    memory_mib: int | None = None,
) -> str | None:
    """End an attempt that failed. The job is queued again until `max_attempts` attempts have failed.

    `memory_mib` raises what the job is known to need. Returns the job's new state, or None where this attempt
    holds it no longer.
    """
    spent = job_table.c.failures + 1 >= max_attempts
    values: dict[str, Any] = {
        "state": case((job_table.c.cancel_requested, "cancelled"), (spent, "failed"), else_="queued"),
        "finished_at": case((or_(job_table.c.cancel_requested, spent), now()), else_=None),
        "failures": job_table.c.failures + 1,
        "lease_until": None,
        "error": error,
    }
    if memory_mib is not None:
        values["memory_mib"] = memory_mib
    with database.write() as connection:
        row = connection.execute(
            update(job_table).where(_held(job_id, attempt)).values(values).returning(job_table.c.state)
        ).first()
        close_attempt(connection, job_id, attempt, "failed" if row else "superseded", error=error, stderr=stderr)
    return None if row is None else str(row.state)


def requeue_elsewhere(
    database: Database, job_id: int, attempt: int, *, error: str, queue: str, memory_mib: int
) -> bool:
    """Queue a job again for a larger device: it ran out of memory on this one. False where the lease is lost."""
    with database.write() as connection:
        moved = connection.execute(
            update(job_table)
            .where(_held(job_id, attempt))
            .values(
                state=case((job_table.c.cancel_requested, "cancelled"), else_="queued"),
                finished_at=case((job_table.c.cancel_requested, now()), else_=None),
                failures=job_table.c.failures + 1,
                lease_until=None,
                error=error,
                queue=queue,
                memory_mib=memory_mib,
            )
        ).rowcount
        close_attempt(connection, job_id, attempt, "failed" if moved else "superseded", error=error)
    return bool(moved)


def return_job(database: Database, job_id: int, attempt: int) -> bool:
    """Put a job back because its worker stops; the attempt does not count. False where the lease is lost."""
    with database.write() as connection:
        returned = connection.execute(
            update(job_table)
            .where(_held(job_id, attempt))
            .values(
                state=case((job_table.c.cancel_requested, "cancelled"), else_="queued"),
                finished_at=case((job_table.c.cancel_requested, now()), else_=None),
                lease_until=None,
                progress=None,
            )
        ).rowcount
        close_attempt(connection, job_id, attempt, "returned" if returned else "superseded")
    return bool(returned)


def end_cancelled(database: Database, job_id: int, attempt: int) -> bool:
    """Set a running job `cancelled` after its session was stopped. False where the lease is lost."""
    with database.write() as connection:
        ended = connection.execute(
            update(job_table)
            .where(_held(job_id, attempt))
            .values(state="cancelled", finished_at=now(), lease_until=None)
        ).rowcount
        close_attempt(connection, job_id, attempt, "cancelled" if ended else "superseded")
    return bool(ended)


def close_attempt(
    connection: Connection, job_id: int, attempt: int, outcome: str, *, error: str | None = None, stderr: str = ""
) -> None:
    """Write how an attempt ended."""
    connection.execute(
        update(attempt_table)
        .where(attempt_table.c.job_id == job_id, attempt_table.c.attempt == attempt)
        .values(outcome=outcome, error=error, stderr=stderr or None, finished_at=now())
    )


class Expired(NamedTuple):
    """A job whose worker gave no sign of life in time, and its new state."""

    job_id: int
    state: str


def expire_leases(connection: Connection, max_attempts: int) -> list[Expired]:
    """Take back every job whose lease ran out: to the queue, or `failed` after `max_attempts`."""
    lost = "The worker was lost while it ran the job"
    spent = job_table.c.failures + 1 >= max_attempts
    rows = connection.execute(
        update(job_table)
        .where(job_table.c.state == "running", job_table.c.lease_until < now())
        .values(
            state=case((job_table.c.cancel_requested, "cancelled"), (spent, "failed"), else_="queued"),
            finished_at=case((or_(job_table.c.cancel_requested, spent), now()), else_=None),
            failures=job_table.c.failures + 1,
            lease_until=None,
            progress=None,
            error=lost,
        )
        .returning(job_table.c.id, job_table.c.attempt, job_table.c.state)
    ).all()
    for row in rows:
        close_attempt(connection, row.id, row.attempt, "lost", error=lost)
    return [Expired(row.id, row.state) for row in rows]


def has_expired_leases(connection: Connection) -> bool:
    """Whether `expire_leases` has something to do; reading takes no write lock."""
    query = select(job_table.c.id).where(job_table.c.state == "running", job_table.c.lease_until < now()).limit(1)
    return connection.execute(query).first() is not None


def cancel_jobs(connection: Connection, job_ids: list[int]) -> tuple[int, int]:
    """Cancel jobs: the queued ones at once, the running ones by asking their worker. Returns both counts."""
    queued = connection.execute(
        update(job_table)
        .where(job_table.c.id.in_(job_ids), job_table.c.state == "queued")
        .values(state="cancelled", finished_at=now())
    ).rowcount
    running = connection.execute(
        update(job_table)
        .where(job_table.c.id.in_(job_ids), job_table.c.state == "running")
        .values(cancel_requested=True)
    ).rowcount
    return queued, running


def queued_counts(connection: Connection) -> dict[str, int]:
    """Return the number of queued jobs by queue."""
    counts = select(job_table.c.queue, func.count().label("jobs")).where(job_table.c.state == "queued")
    return {row.queue: row.jobs for row in connection.execute(counts.group_by(job_table.c.queue))}


def next_queued(connection: Connection, queue: str, limit: int) -> list[int]:
    """Return the ids of the jobs of a queue that come first."""
    query = select(job_table.c.id).where(job_table.c.state == "queued", job_table.c.queue == queue)
    return list(connection.execute(query.order_by(job_table.c.priority.desc(), job_table.c.id).limit(limit)).scalars())


def next_queued_in_batch(connection: Connection, batch_id: int, limit: int) -> list[int]:
    """Return the ids of a batch's queued jobs that come first."""
    query = select(job_table.c.id).where(job_table.c.state == "queued", job_table.c.batch_id == batch_id)
    return list(connection.execute(query.order_by(job_table.c.priority.desc(), job_table.c.id).limit(limit)).scalars())


def work_left(connection: Connection, claimant: Claimant) -> bool:
    """Whether a claimant's batch has a job that runs, or a queued one that the claimant could take."""
    of_batch = job_table.c.batch_id == claimant.batch_id
    takes = and_(
        job_table.c.state == "queued",
        job_table.c.memory_mib <= claimant.memory_mib,
        job_table.c.queue.in_(claimant.queues),
    )
    query = select(job_table.c.id).where(of_batch, or_(job_table.c.state == "running", takes)).limit(1)
    return connection.execute(query).first() is not None
