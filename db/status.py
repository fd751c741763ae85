"""What is going on: batches, jobs and why some of them wait."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from sqlalchemy import ColumnElement, Connection, Select, case, func, or_, select

from bench.errors import InputError
from bench.spec import JobSpec, describe
from db.reasons import IMPORTED
from db.tables import attempt as attempt_table
from db.tables import batch as batch_table
from db.tables import in_state
from db.tables import job as job_table
from db.tables import model as model_table
from db.tables import run as run_table
from db.workers import WorkerRow

if TYPE_CHECKING:
    from bench.catalog import ModelEntry

STATES = ("queued", "running", "done", "failed", "cancelled")


@dataclass(frozen=True)
class BatchStatus:
    """A batch with its jobs counted by state."""

    id: int
    name: str
    priority: int
    #: seconds since the epoch
    created_at: float
    queued: int
    running: int
    done: int
    failed: int
    cancelled: int
    #: runs that count as disturbed
    disturbed: int = 0

    @property
    def jobs(self) -> int:
        """All its jobs."""
        return self.queued + self.running + self.done + self.failed + self.cancelled

    @property
    def open(self) -> int:
        """The jobs that have not ended."""
        return self.queued + self.running


@dataclass(frozen=True)
class JobStatus:
    """A job as people want to see it."""

    id: int
    batch_id: int
    state: str
    #: model, workload, strategy ... in a line
    what: str
    queue: str
    memory_mib: int
    attempt: int
    worker_id: str | None
    #: the worker's last progress event, or None
    progress: dict[str, Any] | None
    error: str | None
    run_id: int | None
    accuracy: float | None
    decode_tokens_per_second: float | None
    #: of the run, where there is one
    task: str | None = None
    latency_seconds: float | None = None
    word_error_rate: float | None = None
    real_time_factor: float | None = None
    #: what disturbed the run, in words
    contamination: str | None = None
    #: the job that it measures once more, and why
    repeat_of: int | None = None
    reason: str | None = None
    warm: bool | None = None
    #: seconds since the epoch
    started_at: float | None = None
    finished_at: float | None = None

    @classmethod
    def from_row(cls, row: Any) -> "JobStatus":
        """Read a row of `select_jobs`."""
        values = dict(row._mapping)
        values["what"] = _what(values.pop("spec"))
        values["progress"] = json.loads(values["progress"]) if values["progress"] else None
        return cls(**values)


@dataclass(frozen=True)
class Waiting:
    """Queued jobs of one queue that no live worker can take."""

    queue: str
    jobs: int
    #: why, and what to do
    reason: str
    #: where they are told batch by batch
    batch_id: int | None = None


# Who watches sees the same running jobs every second.
@lru_cache(maxsize=1024)
def _what(spec: str) -> str:
    try:
        return describe(JobSpec.model_validate_json(spec))
    except ValidationError:  # a newer benchbeat wrote it, or it was imported
        fields = json.loads(spec)
        named = [str(fields[name]) for name in ("model", "workload", "test") if fields.get(name)]
        return " ".join(named) + (f" ({fields['source']})" if fields.get("source") else "")


def batch_status(connection: Connection, batch_id: int) -> BatchStatus:
    """Return one batch. Raises InputError where there is none of this id."""
    found = _batches(connection, _count_by_state().where(batch_table.c.id == batch_id))
    if not found:
        last = connection.execute(select(func.max(batch_table.c.id))).scalar()
        known = f"the last one is {last}" if last else "there is none yet"
        raise InputError(f"there is no batch {batch_id}; {known}")
    return found[0]


def recent_batches(connection: Connection, limit: int) -> list[BatchStatus]:
    """Return the batches that are open, and the last `limit` ones, newest first."""
    still_open = select(job_table.c.batch_id).where(job_table.c.state.in_(("queued", "running"))).distinct()
    last = select(batch_table.c.id).order_by(batch_table.c.id.desc()).limit(limit).subquery()
    wanted = or_(batch_table.c.id.in_(still_open), batch_table.c.id.in_(select(last.c.id)))
    return _batches(connection, _count_by_state().where(wanted).order_by(batch_table.c.id.desc()))


def jobs_of_batch(connection: Connection, batch_id: int, states: Iterable[str] = STATES) -> list[JobStatus]:
    """Return a batch's jobs in their order."""
    query = select_jobs().where(job_table.c.batch_id == batch_id, job_table.c.state.in_(list(states)))
    return [JobStatus.from_row(row) for row in connection.execute(query.order_by(job_table.c.id))]


def job_status(connection: Connection, job_id: int) -> JobStatus:
    """Return one job. Raises InputError where there is none of this id."""
    row = connection.execute(select_jobs().where(job_table.c.id == job_id)).first()
    if row is None:
        raise InputError(f"there is no job {job_id}")
    return JobStatus.from_row(row)


def running_jobs(connection: Connection) -> list[JobStatus]:
    """Return the jobs that run."""
    query = select_jobs().where(in_state("running")).order_by(job_table.c.id)
    return [JobStatus.from_row(row) for row in connection.execute(query)]


@dataclass(frozen=True)
class Event:
    """A moment in a job's life."""

    #: seconds since the epoch
    at: float
    #: queued | published | claimed | done | failed | lost | cancelled | returned | superseded; of a run of another
    #: tool measured | imported
    what: str
    attempt: int | None = None
    worker_id: str | None = None
    note: str | None = None


#: what an outcome means that says too little by itself
_OUTCOMES = {
    "returned": "its worker was stopped; it does not count",
    "superseded": "it came too late: the job had been taken back; its result is kept in the worker's spool/superseded",
}


def life_of(connection: Connection, job_id: int) -> list[Event]:
    """Return what happened to a job, in order."""
    asked = (job_table.c.queued_at, job_table.c.finished_at, job_table.c.state, job_table.c.reason, job_table.c.error)
    joined = job_table.join(batch_table, batch_table.c.id == job_table.c.batch_id)
    of_batch = (batch_table.c.published_at, batch_table.c.created_at, batch_table.c.schedule)
    query = select(*asked, *of_batch).select_from(joined)
    job = connection.execute(query.where(job_table.c.id == job_id)).one()
    by = f"by the schedule {job.schedule}" if job.schedule else None
    if job.reason == IMPORTED:
        return [Event(job.finished_at, "measured"), Event(job.created_at, "imported")]
    events = [Event(job.queued_at, "queued", note=job.reason or by)]
    if job.published_at is not None:
        # One that was queued again in a batch that was rung for long ago is rung for at once.
        events.append(Event(max(job.published_at, job.queued_at), "published"))
    attempts = attempts_of(connection, job_id)
    for each in attempts:
        events.append(Event(each.started_at, "claimed", each.attempt, each.worker_id))
        if each.outcome is not None:
            note = each.error or _OUTCOMES.get(each.outcome)
            events.append(Event(each.finished_at, each.outcome, each.attempt, each.worker_id, note))
    if job.state == "cancelled" and not (attempts and attempts[-1].outcome == "cancelled"):
        events.append(Event(job.finished_at, "cancelled"))
    # SQLite's clock has milliseconds: what came too late came after whatever overtook it in the same one.
    return sorted(events, key=lambda each: (each.at, each.what == "superseded"))


def attempts_of(connection: Connection, job_id: int) -> list[Any]:
    """Return the rows of a job's attempts."""
    query = select(attempt_table).where(attempt_table.c.job_id == job_id).order_by(attempt_table.c.attempt)
    return list(connection.execute(query).all())


def waiting_in_vain(
    connection: Connection, workers: list[WorkerRow], batch_id: int | None = None, *, job_id: int | None = None
) -> list[Waiting]:
    """Return the queued jobs (of a batch, or the one job) that no live worker can take, with the reason in words."""
    # A worker may work for one batch only, so each batch is looked at, and equal reasons are told once.
    waiting: Counter[tuple[str, str]] = Counter()
    for each in waiting_by_batch(connection, workers, batch_id, job_id=job_id):
        waiting[each.queue, each.reason] += each.jobs
    return [Waiting(queue, jobs, reason) for (queue, reason), jobs in waiting.items()]


def waiting_by_batch(
    connection: Connection, workers: list[WorkerRow], batch_id: int | None = None, *, job_id: int | None = None
) -> list[Waiting]:
    """Return the same with equal reasons told once a batch."""
    conditions: list[ColumnElement[bool]] = [in_state("queued")]
    if batch_id is not None:
        conditions.append(job_table.c.batch_id == batch_id)
    if job_id is not None:
        conditions.append(job_table.c.id == job_id)
    columns = [*(job_table.c[name] for name in _WAITING_ALIKE), (job_table.c.failures > 0).label("tried")]
    groups = connection.execute(
        select(*columns, func.count().label("jobs"))
        .where(*conditions)
        .group_by(*columns)
        .order_by(job_table.c.queue, job_table.c.memory_mib, job_table.c.batch_id, job_table.c.model)
    ).all()
    waiting: Counter[tuple[int, str, str]] = Counter()
    for group in groups:
        reason = _why(connection, group, workers)
        if reason is not None:
            waiting[group.batch_id, group.queue, reason] += group.jobs
    return [Waiting(queue, jobs, reason, batch_id) for (batch_id, queue, reason), jobs in waiting.items()]


#: jobs that agree in these wait for the same reason
_WAITING_ALIKE = ("queue", "memory_mib", "device", "machine", "batch_id", "model", "model_hash", "precision")


def _why(connection: Connection, group: Any, workers: list[WorkerRow]) -> str | None:
    """Return why no worker can take a group of jobs, or None where one can."""
    running, workers = workers, [w for w in workers if w.batch_id in (None, group.batch_id)]
    if any(group.queue in worker.queues and group.memory_mib <= worker.memory_mib for worker in workers):
        return None
    if not workers:
        which = "every worker that runs works for another batch" if running else "no worker is running"
        return f"{which}; start one with `benchbeat up` or `benchbeat worker`"
    here = [w for w in workers if group.machine in (None, w.machine_id)]
    if not here:
        return f"no worker of machine {group.machine} is running; start `benchbeat worker` there"
    fitting = [w for w in here if group.device in ("any", w.device)]
    if not fitting:
        return f"needs the device {group.device}; the workers have {', '.join(sorted({w.device for w in here}))}"
    return _too_large(group, max(fitting, key=lambda w: w.memory_mib), _entry(connection, group.model_hash))


def _too_large(group: Any, largest: WorkerRow, entry: "ModelEntry | None") -> str:
    """Return both figures, what is needed and what is there, and what would help."""
    known = 0 if entry is None or group.precision not in entry.memory_gib else entry.memory_mib(group.precision)
    if group.tried and group.memory_mib > known:
        # Out of memory raised what it needs by 1 MiB above the device where that was.
        said = f"ran out of memory on a device of {_gib(group.memory_mib - 1)}"
    else:
        said = f"needs {_gib(group.memory_mib)}"
    smaller = _smaller(entry, known or group.memory_mib, largest.memory_mib)
    return (
        f"{group.model} in {group.precision} {said}; the largest live device has {_gib(largest.memory_mib)} "
        f"({largest.device_name}, {largest.device}): start a worker on a larger machine{smaller}"
    )


def _smaller(entry: "ModelEntry | None", needed_mib: int, there_mib: int) -> str:
    """Return the advice to take a precision that fits, the most exact one; empty where none does."""
    if entry is None:
        return ""
    limit = min(needed_mib - 1, there_mib)
    fitting = {entry.memory_mib(each): each for each in entry.memory_gib if entry.memory_mib(each) <= limit}
    return f", or run it in {fitting[max(fitting)]} ({_gib(max(fitting))})" if fitting else ""


def _entry(connection: Connection, model_hash: str) -> "ModelEntry | None":
    """Return a job's model; None where a newer benchbeat wrote it."""
    # Read only where a job is too large, and a fifth of what `status` would take to start.
    from bench.catalog import ModelEntry

    stored = connection.execute(select(model_table.c.entry).where(model_table.c.hash == model_hash)).scalar_one()
    try:
        return ModelEntry.model_validate_json(stored)
    except ValidationError:
        return None


def _gib(mib: int) -> str:
    return f"{mib / 1024:.1f} GiB"


def _count_by_state() -> Select[Any]:
    counts = [func.sum(case((job_table.c.state == state, 1), else_=0)).label(state) for state in STATES]
    named = [batch_table.c.id, batch_table.c.name, batch_table.c.priority, batch_table.c.created_at]
    joined = batch_table.outerjoin(job_table, job_table.c.batch_id == batch_table.c.id)
    return select(*named, *counts).select_from(joined).group_by(*named)


def _batches(connection: Connection, query: Select[Any]) -> list[BatchStatus]:
    found = [BatchStatus(**row._mapping) for row in connection.execute(query)]
    # Apart: joined to the jobs, the runs would cost every look at a large batch.
    counted = select(run_table.c.batch_id, func.count()).where(
        run_table.c.batch_id.in_([each.id for each in found]), run_table.c.contaminated
    )
    disturbed = {row[0]: row[1] for row in connection.execute(counted.group_by(run_table.c.batch_id))}
    return [replace(each, disturbed=disturbed.get(each.id, 0)) for each in found]


def select_jobs() -> Select[Any]:
    """Return the query whose rows `JobStatus.from_row` reads."""
    names = (
        *("id", "batch_id", "state", "spec", "queue", "memory_mib", "attempt", "worker_id", "progress", "error"),
        *("repeat_of", "reason", "started_at", "finished_at"),
    )
    joined = job_table.outerjoin(run_table, run_table.c.job_id == job_table.c.id)
    figures = (
        *("accuracy", "decode_tokens_per_second", "task", "latency_seconds", "word_error_rate", "real_time_factor"),
        *("contamination", "warm"),
    )
    measured = [run_table.c.id.label("run_id"), *(run_table.c[name] for name in figures)]
    return select(*[job_table.c[name] for name in names], *measured).select_from(joined)
