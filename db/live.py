"""What goes on, looked at again and again: cheap enough for once a second beside a measurement.

What changes within a job (the running jobs with their progress, the workers) is read at every look. Counts, queues,
failures and the last runs are read when something has changed, and what is dear no more often than its share of the
time allows: with 100,000 jobs in the queue they are seconds old.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select

from db.engine import now
from db.status import STATES, BatchStatus, JobStatus, Waiting, select_jobs, waiting_by_batch
from db.tables import batch as batch_table
from db.tables import in_state
from db.tables import job as job_table
from db.tables import run as run_table
from db.time_left import seconds_left, seconds_per_job
from db.workers import WorkerRow, live_workers

#: ended batches, failed jobs and last runs that are kept in sight
_ENDED_BATCHES = 10
_FAILURES = 50
_RUNS = 50
#: open batches that are counted
_OPEN_BATCHES = 200
#: share of the time that the counts, and the estimates, may take
_COUNTS_SHARE = 0.002
_ESTIMATES_SHARE = 0.002
#: seconds after which they are read again though nothing seems to have changed
_COUNTS_SECONDS = 5.0
_ESTIMATES_SECONDS = 60.0
#: no look is put off longer, however dear it was
_LONGEST_PAUSE_SECONDS = 120.0

Clock = Callable[[], float]


@dataclass(frozen=True)
class Queue:
    """The jobs that wait in a queue, which is one device's and memory class's."""

    name: str
    jobs: int
    #: those that no live worker can take, by their reason
    in_vain: tuple[Waiting, ...] = ()


@dataclass(frozen=True)
class Live:
    """What goes on at one moment."""

    #: seconds since the epoch, by the database's clock
    at: float
    #: the open ones in the order in which they are worked off, then those that ended last
    batches: tuple[BatchStatus, ...] = ()
    #: seconds until a batch ends, by its id, where there are runs to go by
    left: Mapping[int, float] = field(default_factory=dict)
    running: tuple[JobStatus, ...] = ()
    workers: tuple[WorkerRow, ...] = ()
    queues: tuple[Queue, ...] = ()
    #: failed jobs of these batches, the last first
    failures: tuple[JobStatus, ...] = ()
    #: jobs with the runs that came last, the last first
    runs: tuple[JobStatus, ...] = ()


class Looker:
    """Looks at everything, or at one batch, and remembers what need not be read again."""

    def __init__(self, batch_id: int | None = None, *, clock: Clock = time.perf_counter) -> None:
        self.batch_id = batch_id
        self._counts_ration = _Ration(_COUNTS_SHARE, _COUNTS_SECONDS, clock)
        self._estimates_ration = _Ration(_ESTIMATES_SHARE, _ESTIMATES_SECONDS, clock)
        self._counted = Live(at=0.0)
        self._ended: dict[int, BatchStatus] = {}
        self._per_job: dict[int, float] = {}

    def look(self, connection: Connection) -> Live:
        """Return what goes on now."""
        head = connection.execute(_HEAD).one()
        workers = live_workers(connection)
        running = sorted(self._jobs(connection, _RUNNING), key=lambda job: job.id)
        signs = (
            *(head.last_job, head.last_run),
            frozenset((each.id, each.attempt) for each in running),
            frozenset((each.id, each.batch_id) for each in workers),
        )
        if self._counts_ration.is_due(signs):
            with self._counts_ration.spent(signs):
                self._counted = self._count(connection, workers, head.last_run)
        batches = self._counted.batches
        open_batches = frozenset(each.id for each in batches if each.open)
        if self._estimates_ration.is_due((open_batches, head.last_run is None)):
            with self._estimates_ration.spent((open_batches, head.last_run is None)):
                self._per_job = seconds_per_job(connection, batches)
        in_vain: dict[int, int] = defaultdict(int)
        for queue in self._counted.queues:
            for each in queue.in_vain:
                in_vain[each.batch_id or 0] += each.jobs
        left = seconds_left(batches, self._per_job, in_vain, running, workers, head.at)
        return replace(self._counted, at=head.at, left=left, running=tuple(running), workers=tuple(workers))

    def _jobs(self, connection: Connection, query: Select[Any]) -> list[JobStatus]:
        if self.batch_id is not None:
            query = query.where(job_table.c.batch_id == self.batch_id)
        return [JobStatus.from_row(row) for row in connection.execute(query)]

    def _count(self, connection: Connection, workers: list[WorkerRow], last_run: int | None) -> Live:
        batches = self._batches(connection)
        failures, runs = self._counted.failures, self._counted.runs
        if _failed(batches) != _failed(self._counted.batches):
            failures = tuple(self._failures(connection, batches))
        if last_run is not None and last_run != max((each.run_id or 0 for each in runs), default=0):
            runs = tuple(self._runs(connection))
        queues = tuple(self._queues(connection, workers))
        return Live(at=0.0, batches=tuple(batches), queues=queues, failures=failures, runs=runs)

    def _batches(self, connection: Connection) -> list[BatchStatus]:
        if self.batch_id is not None:
            return self._counts(connection, [self.batch_id])
        waiting = {row.batch_id for row in connection.execute(_QUEUED_BATCHES)}
        waiting |= {row.batch_id for row in connection.execute(_RUNNING_BATCHES)}
        last = [row.id for row in connection.execute(_LAST_BATCHES)]
        ended = [each for each in last if each not in waiting]
        known = [self._ended[each] for each in ended if each in self._ended]
        fresh = self._counts(connection, sorted(waiting)[:_OPEN_BATCHES] + [e for e in ended if e not in self._ended])
        self._ended = {each.id: each for each in [*known, *fresh] if not each.open}
        still_open = sorted((each for each in fresh if each.open), key=lambda each: (-each.priority, each.id))
        return still_open + sorted(self._ended.values(), key=lambda each: -each.id)

    def _counts(self, connection: Connection, batch_ids: list[int]) -> list[BatchStatus]:
        """Return batches with their jobs counted, by an index that holds all that is read."""
        of_batches = job_table.c.batch_id.in_(batch_ids)
        by_state: dict[int, dict[str, int]] = defaultdict(lambda: dict.fromkeys(STATES, 0))
        counted = select(job_table.c.batch_id, job_table.c.state, func.count().label("jobs")).where(of_batches)
        for row in connection.execute(counted.group_by(job_table.c.batch_id, job_table.c.state)):
            by_state[row.batch_id][row.state] = row.jobs
        runs = select(run_table.c.batch_id, func.count().label("runs"))
        runs = runs.where(run_table.c.batch_id.in_(batch_ids), run_table.c.contaminated)
        disturbed = {row.batch_id: row.runs for row in connection.execute(runs.group_by(run_table.c.batch_id))}
        named = ("id", "name", "priority", "created_at")
        batches = select(*(batch_table.c[name] for name in named)).where(batch_table.c.id.in_(batch_ids))
        return [
            BatchStatus(**(dict(row._mapping) | by_state[row.id]), disturbed=disturbed.get(row.id, 0))
            for row in connection.execute(batches)
        ]

    def _failures(self, connection: Connection, batches: list[BatchStatus]) -> list[JobStatus]:
        of_batches = job_table.c.batch_id.in_([each.id for each in batches if each.failed])
        last = select(job_table.c.id).where(of_batches, job_table.c.state == "failed")
        last = last.order_by(job_table.c.id.desc()).limit(_FAILURES)
        query = select_jobs().where(job_table.c.id.in_(list(connection.execute(last).scalars())))
        return self._jobs(connection, query.order_by(job_table.c.finished_at.desc(), job_table.c.id.desc()))

    def _runs(self, connection: Connection) -> list[JobStatus]:
        conditions: list[ColumnElement[bool]] = []
        if self.batch_id is not None:
            conditions.append(run_table.c.batch_id == self.batch_id)
        last = select(run_table.c.job_id).where(*conditions).order_by(run_table.c.id.desc()).limit(_RUNS)
        query = select_jobs().where(job_table.c.id.in_(list(connection.execute(last).scalars())))
        return self._jobs(connection, query.order_by(run_table.c.id.desc()))

    def _queues(self, connection: Connection, workers: list[WorkerRow]) -> Iterator[Queue]:
        query = _QUEUES
        if self.batch_id is not None:
            query = query.where(job_table.c.batch_id == self.batch_id)
        rows = list(connection.execute(query))
        in_vain: dict[str, list[Waiting]] = defaultdict(list)
        if not all(_somebody_takes(row, workers) for row in rows):
            for each in waiting_by_batch(connection, workers, self.batch_id):
                in_vain[each.queue].append(each)
        for row in rows:
            yield Queue(row.queue, row.jobs, tuple(in_vain[row.queue]))


def look(connection: Connection) -> Live:
    """Return what goes on, for somebody who looks once."""
    return Looker().look(connection)


def _failed(batches: Sequence[BatchStatus]) -> dict[int, int]:
    return {each.id: each.failed for each in batches if each.failed}


def _somebody_takes(queue: Any, workers: list[WorkerRow]) -> bool:
    """Whether a worker takes every job of a queue, which saves looking at each."""
    return any(
        worker.batch_id is None and queue.queue in worker.queues and queue.largest_mib <= worker.memory_mib
        for worker in workers
    )


class _Ration:
    """Lets a look be taken when something has changed or some time has passed, within its share of the time."""

    def __init__(self, share: float, seconds: float, clock: Clock) -> None:
        self._share, self._seconds, self._clock = share, seconds, clock
        self._signs: Hashable = None
        self._ended: float | None = None
        self._cost_seconds = 0.0

    def is_due(self, signs: Hashable) -> bool:
        """Whether the look is due; `signs` differ where something has changed."""
        if self._ended is None:
            return True
        since = self._clock() - self._ended
        pause = min(self._cost_seconds / self._share, _LONGEST_PAUSE_SECONDS)
        return since >= (pause if signs != self._signs else max(pause, self._seconds))

    @contextmanager
    def spent(self, signs: Hashable) -> Iterator[None]:
        """Take the time of the look."""
        began = self._clock()
        yield
        self._ended = self._clock()
        self._cost_seconds, self._signs = self._ended - began, signs


_HEAD = select(
    now().label("at"),
    select(func.max(job_table.c.id)).scalar_subquery().label("last_job"),
    select(func.max(run_table.c.id)).scalar_subquery().label("last_run"),
)
# Sorted by id, SQLite would go through all jobs instead of the index of the running ones.
_RUNNING = select_jobs().where(in_state("running"))
_QUEUED_BATCHES = select(job_table.c.batch_id).where(in_state("queued")).group_by(job_table.c.batch_id)
_RUNNING_BATCHES = select(job_table.c.batch_id).where(in_state("running")).group_by(job_table.c.batch_id)
_LAST_BATCHES = select(batch_table.c.id).order_by(batch_table.c.id.desc()).limit(_ENDED_BATCHES)
_QUEUES = (
    select(job_table.c.queue, func.count().label("jobs"), func.max(job_table.c.memory_mib).label("largest_mib"))
    .where(in_state("queued"))
    .group_by(job_table.c.queue)
    .order_by(job_table.c.queue)
)
