"""The queue: leasing and finishing jobs (db/claims.py claims them). The job's row decides; Redis only rings.

Every change of a running job is fenced by its attempt's number: a worker that lost its lease writes nothing.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    bindparam,
    case,
    func,
    literal,
    literal_column,
    or_,
    select,
    update,
)

from db.claims import Claimant as Claimant
from db.claims import Claimed as Claimed
from db.claims import claim as claim
from db.driver import DriverStatement
from db.engine import Database, now
from db.tables import attempt as attempt_table
from db.tables import batch as batch_table
from db.tables import in_state
from db.tables import job as job_table
from db.text import storable

#: what one statement is given: PostgreSQL takes at most 65,535 parameters, SQLite may take 32,766
_IDS_AT_ONCE = 10_000


class Lease(NamedTuple):
    """A lease that still holds."""

    cancel_requested: bool


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


_FINISH = DriverStatement(
    update(job_table)
    .where(
        job_table.c.id == bindparam("finished"),
        job_table.c.attempt == bindparam("fence"),
        job_table.c.state.in_([literal_column("'running'"), literal_column("'queued'")]),
    )
    .values(state="done", finished_at=now(), lease_until=None, error=None, progress=None)
    .returning(job_table)
)
_CLOSE_DONE = DriverStatement(
    update(attempt_table)
    .where(attempt_table.c.job_id == bindparam("finished"), attempt_table.c.attempt == bindparam("fence"))
    .values(outcome="done", finished_at=now(), error=None, stderr=None)
)


def finish_job(connection: Connection, job_id: int, attempt: int) -> Row[Any] | None:
    """Set a job `done` and return its row, or None where this attempt was overtaken.

    A lease that ran out while the database was away does not matter as long as nobody claimed the job since.
    The caller inserts the run in the same transaction.
    """
    held = {"finished": job_id, "fence": attempt}
    row = _FINISH.execute(connection, held).first()
    if row is None:
        close_attempt(connection, job_id, attempt, "superseded")
    else:
        _CLOSE_DONE.execute(connection, held)
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
        "error": storable(error),
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
                error=storable(error),
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
    """Write how an attempt ended that was not done. Its own word stays; one given up for lost may still speak."""
    statement = update(attempt_table).where(
        attempt_table.c.job_id == job_id,
        attempt_table.c.attempt == attempt,
        or_(attempt_table.c.outcome.is_(None), attempt_table.c.outcome == "lost"),
    )
    texts = {"error": error and storable(error), "stderr": storable(stderr) or None}
    connection.execute(statement.values(outcome=outcome, finished_at=now(), **texts))


class Expired(NamedTuple):
    """A job whose worker gave no sign of life in time, and its new state."""

    job_id: int
    state: str


def expire_leases(connection: Connection, max_attempts: int) -> list[Expired]:
    """Take back every job whose lease ran out: to the queue, or `failed` after `max_attempts`."""
    lost = "The worker was lost while it ran the job"
    spent = job_table.c.failures + 1 >= max_attempts
    ran_out = and_(in_state("running"), job_table.c.lease_until < now())
    # A row that somebody writes to at this moment waits for the next tick: two that wait for each other would not end.
    free = select(job_table.c.id).where(ran_out).with_for_update(skip_locked=True)
    rows = connection.execute(
        update(job_table)
        .where(job_table.c.id.in_(free), ran_out)
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
    query = select(job_table.c.id).where(in_state("running"), job_table.c.lease_until < now()).limit(1)
    return connection.execute(query).first() is not None


def in_parts(ids: list[int]) -> Iterator[list[int]]:
    """Cut a list into parts that one statement can be given."""
    for start in range(0, len(ids), _IDS_AT_ONCE):
        yield ids[start : start + _IDS_AT_ONCE]


def cancel_jobs(connection: Connection, job_ids: list[int]) -> tuple[int, int]:
    """Cancel jobs: the queued ones at once, the running ones by asking their worker. Returns both counts."""
    queued = job_table.c.state == "queued"
    # One statement: between two, a job could go from one state to the other and escape both.
    statement = update(job_table).values(
        state=case((queued, "cancelled"), else_=job_table.c.state),
        finished_at=case((queued, now()), else_=None),
        cancel_requested=True,
    )
    states: Counter[str] = Counter()
    for part in in_parts(job_ids):
        open_ones = statement.where(job_table.c.id.in_(part), job_table.c.state.in_(("queued", "running")))
        states.update(connection.execute(open_ones.returning(job_table.c.state)).scalars())
    return states["cancelled"], states["running"]


def queued_counts(connection: Connection) -> dict[str, int]:
    """Return the number of queued jobs by queue."""
    counts = select(job_table.c.queue, func.count().label("jobs")).where(in_state("queued"))
    return {row.queue: row.jobs for row in connection.execute(counts.group_by(job_table.c.queue))}


def next_queued(connection: Connection, queue: str, limit: int) -> list[int]:
    """Return the ids of the jobs of a queue that come first."""
    query = select(job_table.c.id).where(in_state("queued"), job_table.c.queue == queue)
    return list(connection.execute(query.order_by(job_table.c.priority.desc(), job_table.c.id).limit(limit)).scalars())


def next_queued_in_batch(connection: Connection, batch_id: int, limit: int) -> list[int]:
    """Return the ids of a batch's queued jobs that come first."""
    query = select(job_table.c.id).where(in_state("queued"), job_table.c.batch_id == batch_id)
    return list(connection.execute(query.order_by(job_table.c.priority.desc(), job_table.c.id).limit(limit)).scalars())


def unpublished_batches(connection: Connection) -> list[int]:
    """Return the batches that nobody has rung for yet."""
    return list(connection.execute(select(batch_table.c.id).where(batch_table.c.published_at.is_(None))).scalars())


def mark_published(database: Database, batch_ids: list[int]) -> None:
    """Note that batches were rung for."""
    for part in in_parts(batch_ids):
        with database.write() as connection:
            new = (batch_table.c.id.in_(part), batch_table.c.published_at.is_(None))
            connection.execute(update(batch_table).where(*new).values(published_at=now()))


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
