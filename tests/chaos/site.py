"""A site where faults happen: a home with its database and Redis, workers that a supervisor starts again."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import psutil
from redis import Redis
from sqlalchemy import select

from bench.errors import UnavailableError
from bench.library import builtin_library
from bench.sweep import Block, Sweep, expand
from db.engine import Database
from db.jobs import cancel_jobs
from db.schema import upgrade
from db.tables import attempt as attempt_table
from db.tables import job as job_table
from db.tables import run as run_table
from db.tables import worker as worker_table
from scheduler.broker import ensure_embedded, find_embedded, stop_embedded
from scheduler.reconcile import ring_for_queued
from scheduler.ring import Bell
from scheduler.submit import submit
from tests.chaos.counting import Counts, executions, overlapping, recomputed
from tests.chaos.session import Behaviour
from tests.commands import ROOT, UNWATCHED
from tests.services import stop_process
from tests.waiting import wait_until

LEASE_SECONDS = 2.0
TICK_SECONDS = 0.5
DRAIN_SECONDS = 180.0

_ENDED = ("done", "failed", "cancelled")
_tokens = count(4)


def sweep(tokens: list[int], **axes: Any) -> Sweep:
    """Return a sweep of jobs with these numbers of prompt tokens."""
    fixed = {"model": "smollm2-135m", "workload": "speed", "new_tokens": 2}
    return expand([Block(fixed | {"prompt_tokens": tokens} | axes, str)], builtin_library(), name="chaos")


class Site:
    """One trial's home. `away` makes its database unreachable for a while."""

    def __init__(self, folder: Path, url: str, away: Callable[[], Any]) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.locks = folder / "locks"
        for each in (self.home, self.locks):
            each.mkdir(parents=True)
        self.url = url
        self.away = away
        #: a context in which the database can be read only, where that is possible
        self.read_only = away
        upgrade(url)
        self.database = Database(url)
        self.broker = ensure_embedded(self.home)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("BENCHBEAT_")}
        self.environment |= {
            "BENCHBEAT_HOME": str(self.home),
            "BENCHBEAT_DATABASE_URL": url,
            "BENCHBEAT_BROKER_URL": self.broker,
            "BENCHBEAT_MACHINE": "chaos",
            "BENCHBEAT_DEVICE": "cpu",
            "BENCHBEAT_LOCK_DIR": str(self.locks),
            "BENCHBEAT_LEASE_SECONDS": str(LEASE_SECONDS),
            "BENCHBEAT_TICK_SECONDS": str(TICK_SECONDS),
            **UNWATCHED,
            "PYTHONPATH": str(ROOT),
        }
        self.workers: list[subprocess.Popen[bytes]] = []
        #: how many workers the supervisor keeps
        self.wanted = 0
        self.faults = 0
        self.accepted: list[int] = []
        self.started = time.monotonic()

    # Processes

    def spawn(self, module: str, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start a module of the suite as a process of its own."""
        with (self.folder / "worker.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", module, *arguments],
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start_worker(self) -> "subprocess.Popen[bytes]":
        """Start a worker."""
        return self.spawn("tests.chaos.worker")

    def keep(self, workers: int) -> None:
        """Have so many workers run, from now on, as a supervisor does."""
        self.wanted = workers
        self.tend()

    def tend(self) -> None:
        """Start again what ended."""
        self.workers = [each for each in self.workers if each.poll() is None]
        while len(self.workers) < self.wanted:
            self.workers.append(self.start_worker())
        if find_embedded(self.home) is None:
            with suppress(UnavailableError):
                ensure_embedded(self.home)

    def working(self) -> "subprocess.Popen[bytes]":
        """Return a worker whose session measures, once there is one."""

        def found() -> "subprocess.Popen[bytes] | None":
            self.tend()
            with suppress(UnavailableError), self.database.read() as connection:
                owners = set(
                    connection.execute(select(job_table.c.worker_id).where(job_table.c.state == "running")).scalars()
                )
                for each in self.registered():
                    if each.id in owners and each.stopped_at is None:
                        process = next((w for w in self.workers if w.pid == each.pid and w.poll() is None), None)
                        if process is not None and self._sessions(process):
                            return process
            return None

        process = wait_until(found, "a worker measures", DRAIN_SECONDS)
        assert process is not None
        return process

    def registered(self) -> Any:
        """Return the rows of the workers that were ever there."""
        with self.database.read() as connection:
            return connection.execute(select(worker_table)).all()

    def _sessions(self, process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
        with suppress(psutil.Error):
            return [each for each in psutil.Process(process.pid).children() if "tests.chaos.session" in each.cmdline()]
        return []

    def session_of(self, process: "subprocess.Popen[bytes]") -> psutil.Process | None:
        """Return the session of a worker."""
        return next(iter(self._sessions(process)), None)

    # Redis

    def redis(self) -> "Redis":
        """Return a client of the broker."""
        return Redis.from_url(self.broker, decode_responses=True, socket_timeout=5)

    def redis_process(self) -> psutil.Process | None:
        """Return the server's process."""
        found = find_embedded(self.home)
        return psutil.Process(found.pid) if found is not None else None

    # Jobs

    def submit(self, jobs: int = 0, *behaviours: Behaviour, **axes: Any) -> list[int]:
        """Submit ordinary jobs and some that misbehave; returns the ids of the jobs."""
        tokens = [*(int(each) for each in behaviours), *(next(_tokens) for _ in range(jobs))]
        batch_id = submit(self.database, sweep(tokens, **axes)).batch_id
        ids = self.jobs_of(batch_id)
        self.accepted += ids
        self.ring()
        return ids

    def jobs_of(self, batch_id: int) -> list[int]:
        """Return the ids of a batch's jobs."""
        with self.database.read() as connection:
            query = select(job_table.c.id).where(job_table.c.batch_id == batch_id).order_by(job_table.c.id)
            return list(connection.execute(query).scalars())

    def ring(self) -> None:
        """Wake the workers, if Redis is there."""
        with suppress(UnavailableError), Bell(self.broker) as bell:
            ring_for_queued(self.database, bell)

    def cancel(self, *job_ids: int) -> None:
        """Cancel jobs."""
        with self.database.write() as connection:
            cancel_jobs(connection, list(job_ids))

    def states(self) -> Counter[str]:
        """Return how many accepted jobs are in each state."""
        with self.database.read() as connection:
            rows = connection.execute(select(job_table.c.id, job_table.c.state)).all()
        known = {row.id: row.state for row in rows}
        return Counter(known.get(each, "missing") for each in self.accepted)

    def ended(self) -> int:
        """Return how many accepted jobs have ended; -1 while the database is away."""
        try:
            states = self.states()
        except UnavailableError:
            return -1
        return sum(states[each] for each in _ENDED)

    def rows(self) -> Any:
        """Return the rows of all jobs."""
        with self.database.read() as connection:
            return connection.execute(select(job_table).order_by(job_table.c.id)).all()

    def stderr_of(self, job_id: int) -> list[str | None]:
        """Return the last output of each attempt at a job."""
        with self.database.read() as connection:
            query = select(attempt_table.c.stderr).where(attempt_table.c.job_id == job_id)
            return list(connection.execute(query.order_by(attempt_table.c.attempt)).scalars())

    def row(self, job_id: int) -> Any:
        """Return a job's row."""
        with self.database.read() as connection:
            return connection.execute(select(job_table).where(job_table.c.id == job_id)).one()

    def has_begun(self) -> bool:
        """Whether a job has begun to measure."""
        return bool(executions(self.home))

    def executed(self, job_id: int) -> int:
        """Return how often a job was executed to its end."""
        return sum(each.job == job_id and each.end is not None for each in executions(self.home))

    def spooled(self) -> list[str]:
        """Return the names of the results that wait in the spool, or could not be stored."""
        folder = self.home / "spool"
        return sorted(each.name for each in [*folder.glob("*.json"), *folder.glob("*.broken")])

    @property
    def log(self) -> str:
        """What the workers wrote."""
        return (self.folder / "worker.log").read_text(encoding="utf-8", errors="replace")

    # The end

    def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Wait until every accepted job has ended, keeping the workers alive."""

        def all_ended() -> bool:
            self.tend()
            return self.ended() == len(self.accepted)

        with suppress(AssertionError):  # what has not ended is counted as lost
            wait_until(all_ended, "every job has ended", seconds)

    def counts(self) -> Counts:
        """Return what became of the jobs."""
        found = executions(self.home)
        with self.database.read() as connection:
            jobs = connection.execute(select(job_table).where(job_table.c.id.in_(self.accepted))).all()
            runs = Counter(connection.execute(select(run_table.c.job_id)).scalars())
            attempts = connection.execute(select(attempt_table)).all()
        done = {each.id for each in jobs if each.state == "done"}
        lost = len(self.accepted) - sum(each.state in _ENDED for each in jobs) + sum(each not in runs for each in done)
        counts = Counts(
            jobs=len(self.accepted),
            faults=self.faults,
            lost=lost,
            doubled=sum(number - 1 for number in runs.values()),
            recomputed=recomputed(found),
            overlapping=overlapping(found),
            seconds=time.monotonic() - self.started,
        )
        if stray := set(runs) - done:
            counts.broken.append(f"runs of jobs that are not done: {sorted(stray)}")
        for each in jobs:
            own = [a for a in attempts if a.job_id == each.id]
            if len(own) != each.attempt:
                counts.broken.append(f"job {each.id}: attempt {each.attempt}, but {len(own)} are told of")
            if each.state in _ENDED and any(a.outcome is None for a in own):
                counts.broken.append(f"job {each.id}: an attempt without an outcome")
        if (left := self._left_in_spool()) and not lost:
            counts.broken.append(f"left in the spool: {', '.join(left)}")
        return counts

    def _left_in_spool(self) -> list[str]:
        """Return what stays in the spool: a worker that was away may put there at any moment what came too late."""
        with suppress(AssertionError):
            wait_until(lambda: not self.spooled(), "the spool is empty", 4 * LEASE_SECONDS)
            return []
        return self.spooled()

    def close(self) -> None:
        """Stop everything."""
        self.wanted = 0
        for process in self.workers:
            with suppress(psutil.Error):
                family = psutil.Process(process.pid)
                for child in family.children(recursive=True):
                    child.kill()
            if process.poll() is None:
                os.kill(process.pid, signal.SIGCONT)
                stop_process(process, signal.SIGKILL)
        server = self.redis_process()
        if server is not None:
            with suppress(psutil.Error):
                server.resume()
        stop_embedded(self.home)
        self.database.dispose()


@contextmanager
def site(folder: Path, url: str, away: Callable[[], Any]) -> Iterator[Site]:
    """Give a site, and stop all of it at the end."""
    made = Site(folder, url, away)
    try:
        yield made
    finally:
        made.close()
