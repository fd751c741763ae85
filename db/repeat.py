"""Measuring again: a new job beside the old one, which stays what it was."""

from typing import Any

from sqlalchemy import Connection, insert, select

from bench.errors import InputError
from db.engine import now
from db.tables import job

_COPIED = (
    "batch_id spec model workload strategy temperature precision prompt_tokens new_tokens device machine model_hash "
    "workload_hash strategy_hash queue session_key memory_mib priority"
).split()


def repeat_jobs(connection: Connection, job_ids: list[int], reason: str) -> list[int]:
    """Queue each ended job once more, in its batch. Returns the new jobs' ids.

    Raises InputError for a job that does not exist or has not ended.
    """
    rows = {row.id: row for row in connection.execute(select(job).where(job.c.id.in_(job_ids)))}
    for job_id in job_ids:
        if job_id not in rows:
            raise InputError(f"there is no job {job_id}")
        if rows[job_id].state in ("queued", "running"):
            raise InputError(f"job {job_id} is {rows[job_id].state}; it can be repeated once it has ended")
    return [_copy(connection, rows[job_id], reason) for job_id in job_ids]


def failed_jobs(connection: Connection, batch_id: int) -> list[int]:
    """Return the jobs of a batch that failed or were cancelled and were not repeated yet."""
    again = select(job.c.repeat_of).where(job.c.repeat_of.is_not(None))
    query = select(job.c.id).where(
        job.c.batch_id == batch_id, job.c.state.in_(("failed", "cancelled")), job.c.id.not_in(again)
    )
    return list(connection.execute(query.order_by(job.c.id)).scalars())


def _copy(connection: Connection, old: Any, reason: str) -> int:
    values = {name: getattr(old, name) for name in _COPIED}
    values |= {"state": "queued", "repeat_of": old.id, "reason": reason, "queued_at": now()}
    return int(connection.execute(insert(job).values(values).returning(job.c.id)).scalar_one())
