"""What is going on: batches, jobs and why some of them wait."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from sqlalchemy import ColumnElement, Connection, Select, case, func, or_, select

from bench.errors import InputError
from bench.spec import JobSpec, describe
from db.tables import attempt as attempt_table
from db.tables import batch as batch_table
from db.tables import in_state
from db.tables import job as job_table
from db.tables import run as run_table
from db.workers import WorkerRow

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

    @classmethod
    def from_row(cls, row: Any) -> "JobStatus":
        """Read a row of `_jobs`."""
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


def _what(spec: str) -> str:
    try:
        return describe(JobSpec.model_validate_json(spec))
    except ValidationError:  # a newer benchbeat wrote it
        fields = json.loads(spec)
        return f"{fields.get('model')} {fields.get('workload')}"


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
    query = _jobs().where(job_table.c.batch_id == batch_id, job_table.c.state.in_(list(states)))
    return [JobStatus.from_row(row) for row in connection.execute(query.order_by(job_table.c.id))]


def job_status(connection: Connection, job_id: int) -> JobStatus:
    """Return one job. Raises InputError where there is none of this id."""
    row = connection.execute(_jobs().where(job_table.c.id == job_id)).first()
    if row is None:
        raise InputError(f"there is no job {job_id}")
    return JobStatus.from_row(row)


def running_jobs(connection: Connection) -> list[JobStatus]:
    """Return the jobs that run."""
    query = _jobs().where(in_state("running")).order_by(job_table.c.id)
    return [JobStatus.from_row(row) for row in connection.execute(query)]


def attempts_of(connection: Connection, job_id: int) -> list[Any]:
    """Return the rows of a job's attempts."""
    query = select(attempt_table).where(attempt_table.c.job_id == job_id).order_by(attempt_table.c.attempt)
    return list(connection.execute(query).all())


def waiting_in_vain(connection: Connection, workers: list[WorkerRow], batch_id: int | None = None) -> list[Waiting]:
    """Return the queued jobs that no live worker can take, with the reason in words."""
    conditions: list[ColumnElement[bool]] = [in_state("queued")]
    if batch_id is not None:
        conditions.append(job_table.c.batch_id == batch_id)
    groups = connection.execute(
        select(
            job_table.c.queue,
            job_table.c.memory_mib,
            job_table.c.device,
            job_table.c.machine,
            job_table.c.batch_id,
            func.count().label("jobs"),
        )
        .where(*conditions)
        .group_by(
            job_table.c.queue, job_table.c.memory_mib, job_table.c.device, job_table.c.machine, job_table.c.batch_id
        )
        .order_by(job_table.c.queue, job_table.c.memory_mib, job_table.c.batch_id)
    ).all()
    # A worker may work for one batch only, so each batch is looked at, and equal reasons are told once.
    waiting: Counter[tuple[str, str]] = Counter()
    for group in groups:
        reason = _why(group, workers)
        if reason is not None:
            waiting[group.queue, reason] += group.jobs
    return [Waiting(queue, jobs, reason) for (queue, reason), jobs in waiting.items()]


def _why(group: Any, workers: list[WorkerRow]) -> str | None:
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
    largest = max(fitting, key=lambda w: w.memory_mib)
    return (
        f"needs {_gib(group.memory_mib)} of memory; the largest worker, on {largest.device_name}, "
        f"has {_gib(largest.memory_mib)}: run one on a larger machine, or choose a smaller precision"
    )


def _gib(mib: int) -> str:
    return f"{mib / 1024:.1f} GiB"


def _count_by_state() -> Select[Any]:
    counts = [func.sum(case((job_table.c.state == state, 1), else_=0)).label(state) for state in STATES]
    named = [batch_table.c.id, batch_table.c.name, batch_table.c.priority, batch_table.c.created_at]
    joined = batch_table.outerjoin(job_table, job_table.c.batch_id == batch_table.c.id)
    return select(*named, *counts).select_from(joined).group_by(*named)


def _batches(connection: Connection, query: Select[Any]) -> list[BatchStatus]:
    return [BatchStatus(**row._mapping) for row in connection.execute(query)]


def _jobs() -> Select[Any]:
    names = ("id", "batch_id", "state", "spec", "queue", "memory_mib", "attempt", "worker_id", "progress", "error")
    joined = job_table.outerjoin(run_table, run_table.c.job_id == job_table.c.id)
    measured = [run_table.c.id.label("run_id"), run_table.c.accuracy, run_table.c.decode_tokens_per_second]
    return select(*[job_table.c[name] for name in names], *measured).select_from(joined)
