"""Measuring again: a new job beside the old one, which stays what it was."""

from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select

from bench.errors import InputError
from bench.spec import JobSpec, hash_of
from bench.sweep import PRIORITIES
from db.engine import now
from db.jobs import in_parts
from db.reasons import CONFIRMATION, DISTURBED, IMPORTED
from db.submissions import NewBatch, NewJob, insert_batch
from db.tables import batch, job, run

#: a confirming job goes before what is due: the machine should still be as it was
_RAISED = 10

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

    Raises InputError for a job that does not exist, has not ended or was imported.
    """
    rows = _ended_jobs(connection, job_ids)
    if not rows:
        return []
    shared = {"state": "queued", "reason": reason, "queued_at": connection.execute(select(now())).scalar_one()}
    copies = [
        {name: getattr(row, name) for name in _COPIED} | shared | {"repeat_of": job_id} for job_id, row in rows.items()
    ]
    in_order = insert(job).returning(job.c.id, sort_by_parameter_order=True)
    return list(connection.execute(in_order, copies).scalars())


def repeat_disturbed(connection: Connection, old: Row[Any], place: tuple[str, str], *, max_repeats: int) -> str | None:
    """Queue a job whose run was disturbed once more, in its batch, on the machine and the device that measured it.

    Not one that somebody cancelled, and not one that was repeated `max_repeats` times: of that one the sentence is
    returned that says so. Must be called in the transaction that ends the job.
    """
    if old.cancel_requested or max_repeats == 0:
        return None
    tries = _tries(connection, old, max_repeats)
    if tries > max_repeats:
        return f"the last of {tries} tries: the machine never got quiet"
    _repeat_in_place(connection, old, place, DISTURBED, old.priority)
    return None


def repeat_to_confirm(connection: Connection, job_id: int, place: tuple[str, str]) -> int:
    """Queue a job once more, in its batch and before others, on the machine and device of `place`; returns its id."""
    old = connection.execute(select(job).where(job.c.id == job_id)).one()
    priority = min(old.priority + (0 if old.reason == CONFIRMATION else _RAISED), PRIORITIES.stop - 1)
    return _repeat_in_place(connection, old, place, CONFIRMATION, priority)


def _repeat_in_place(connection: Connection, old: Row[Any], place: tuple[str, str], reason: str, priority: int) -> int:
    again = _again(old, place)
    placed = {"spec": again.spec.canonical(), "device": again.spec.device, "machine": again.spec.machine}
    values = {name: getattr(old, name) for name in _COPIED} | placed | {"queue": again.queue, "priority": priority}
    values |= {"repeat_of": old.id, "reason": reason, "state": "queued", "queued_at": now()}
    return int(connection.execute(insert(job).values(values).returning(job.c.id)).scalar_one())


def _tries(connection: Connection, last: Row[Any], max_repeats: int) -> int:
    """Return how often a job was measured, itself included, since somebody asked for it."""
    tries, reason, before = 1, last.reason, last.repeat_of
    while reason == DISTURBED and before is not None and tries <= max_repeats:
        row = connection.execute(select(job.c.reason, job.c.repeat_of).where(job.c.id == before)).one()
        tries, reason, before = tries + 1, row.reason, row.repeat_of
    return tries


def rerun(connection: Connection, job_ids: list[int], batch_id: int | None = None, anywhere: bool = False) -> int:
    """Queue ended jobs, and all of a batch, once more in a new batch, whose id is returned.

    Each job asks for what the old one asked for, on the machine and device that measured it unless `anywhere`. Of a
    batch's jobs that were repeated within it the repetition alone counts. Raises InputError for a batch or a job that
    does not exist, and for a job that has not ended or was imported.
    """
    wanted = list(job_ids) if batch_id is None else [*job_ids, *_last_jobs(connection, batch_id)]
    rows = _ended_jobs(connection, wanted)
    if not rows:
        raise InputError("there is no job to run again")
    places = {} if anywhere else _places(connection, list(rows))
    jobs = [_again(row, places.get(row.id)) for row in rows.values()]
    asked = [[each.spec.digest(), each.model_hash, each.workload_hash, each.strategy_hash] for each in jobs]
    batches = {row.batch_id for row in rows.values()}
    old = [row for part in in_parts(sorted(batches)) for row in connection.execute(_batches(part))]
    new = NewBatch(
        name=old[0].name if len(old) == 1 else "rerun",
        key=None,
        sweep_hash=hash_of([max(row.priority for row in old), asked]),
        priority=max(row.priority for row in old),
        models={},
        workloads={},
        strategies={},
        labels=(old[0].labels or {}) if len(old) == 1 else {},
    )
    return insert_batch(connection, new, jobs)


def _batches(ids: list[int]) -> Select[Any]:
    return select(batch).where(batch.c.id.in_(ids))


def _last_jobs(connection: Connection, batch_id: int) -> list[int]:
    if connection.execute(select(batch.c.id).where(batch.c.id == batch_id)).first() is None:
        raise InputError(f"there is no batch {batch_id}")
    repeated = select(job.c.repeat_of).where(job.c.repeat_of.is_not(None), job.c.batch_id == batch_id)
    query = select(job.c.id).where(job.c.batch_id == batch_id, job.c.id.not_in(repeated)).order_by(job.c.id)
    return list(connection.execute(query).scalars())


def _places(connection: Connection, job_ids: list[int]) -> dict[int, tuple[str, str]]:
    """Return machine and device that measured each job, by its id."""
    columns = (run.c.job_id, run.c.machine_id, run.c.device)
    found = (connection.execute(select(*columns).where(run.c.job_id.in_(part))) for part in in_parts(job_ids))
    return {row.job_id: (row.machine_id, row.device) for rows in found for row in rows}


def _again(old: Row[Any], place: tuple[str, str] | None) -> NewJob:
    spec, queue = JobSpec.model_validate_json(old.spec), old.queue
    if place is not None:
        machine, device = place
        spec = JobSpec.model_validate(spec.model_dump() | {"machine": machine, "device": device})
        queue = f"machine.{machine}.{device}"  # as scheduler/queues.py names it
    return NewJob(
        spec=spec,
        model_hash=old.model_hash,
        workload_hash=old.workload_hash,
        strategy_hash=old.strategy_hash,
        queue=queue,
        session_key=old.session_key,
        memory_mib=old.memory_mib,
        repeat_of=old.id,
        reason="rerun asked for",
    )


def _ended_jobs(connection: Connection, job_ids: list[int]) -> dict[int, Row[Any]]:
    """Return the jobs' rows by id, in the order asked for, each once. Raises InputError, see `repeat_jobs`."""
    job_ids = list(dict.fromkeys(job_ids))  # one named by itself and with its batch is repeated once
    rows: dict[int, Row[Any]] = {}
    for part in in_parts(job_ids):
        rows |= {row.id: row for row in connection.execute(select(job).where(job.c.id.in_(part)))}
    for job_id in job_ids:
        if job_id not in rows:
            raise InputError(f"there is no job {job_id}")
        if rows[job_id].reason == IMPORTED:
            raise InputError(f"job {job_id} was imported; only the tool that measured it can measure it again")
        if rows[job_id].state in ("queued", "running"):
            raise InputError(f"job {job_id} is {rows[job_id].state}; it can be repeated once it has ended")
    return {job_id: rows[job_id] for job_id in job_ids}


def failed_jobs(connection: Connection, batch_id: int) -> list[int]:
    """Return the jobs of a batch that failed or were cancelled and were not repeated yet."""
    again = select(job.c.repeat_of).where(job.c.repeat_of.is_not(None))
    query = select(job.c.id).where(
        job.c.batch_id == batch_id, job.c.state.in_(("failed", "cancelled")), job.c.id.not_in(again)
    )
    return list(connection.execute(query.order_by(job.c.id)).scalars())
