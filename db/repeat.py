"""Measuring again: a new job beside the old one, which stays what it was."""

from typing import Any

from sqlalchemy import Connection, Row, insert, select

from bench.errors import InputError
from db.engine import now
from db.jobs import in_parts
from db.tables import job

#: what describes the job, as against what happened to it
_COPIED = (
    "batch_id",
    "spec",
    "model",
    "workload",
    "strategy",
    "temperature",
    "precision",
    "prompt_tokens",
    "new_tokens",
    "device",
    "machine",
    "model_hash",
    "workload_hash",
    "strategy_hash",
    "queue",
    "session_key",
    "memory_mib",
    "priority",
)


def repeat_jobs(connection: Connection, job_ids: list[int], reason: str) -> list[int]:
    """Queue each ended job once more, in its batch. Returns the new jobs' ids.

    Raises InputError for a job that does not exist or has not ended.
    """
    job_ids = list(dict.fromkeys(job_ids))  # one named by itself and with its batch is repeated once
    rows: dict[int, Row[Any]] = {}
    for part in in_parts(job_ids):
        rows |= {row.id: row for row in connection.execute(select(job).where(job.c.id.in_(part)))}
    for job_id in job_ids:
        if job_id not in rows:
            raise InputError(f"there is no job {job_id}")
        if rows[job_id].state in ("queued", "running"):
            raise InputError(f"job {job_id} is {rows[job_id].state}; it can be repeated once it has ended")
    if not job_ids:
        return []
    shared = {"state": "queued", "reason": reason, "queued_at": connection.execute(select(now())).scalar_one()}
    copies = [
        {name: getattr(rows[job_id], name) for name in _COPIED} | shared | {"repeat_of": job_id} for job_id in job_ids
    ]
    in_order = insert(job).returning(job.c.id, sort_by_parameter_order=True)
    return list(connection.execute(in_order, copies).scalars())


def failed_jobs(connection: Connection, batch_id: int) -> list[int]:
    """Return the jobs of a batch that failed or were cancelled and were not repeated yet."""
    again = select(job.c.repeat_of).where(job.c.repeat_of.is_not(None))
    query = select(job.c.id).where(
        job.c.batch_id == batch_id, job.c.state.in_(("failed", "cancelled")), job.c.id.not_in(again)
    )
    return list(connection.execute(query.order_by(job.c.id)).scalars())
