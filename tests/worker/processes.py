"""The whole stack of one home, in real processes: starting them, ending them, and what the database says of it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import psutil
from redis import Redis
from sqlalchemy import Row, select

from bench.library import load_library
from bench.sweep import read_sweep
from db.engine import Database
from db.jobs import cancel_jobs
from db.status import BatchStatus, batch_status
from db.tables import attempt, batch, job, run
from db.tables import worker as worker_table
from scheduler.broker import ensure_embedded, stop_embedded
from scheduler.reconcile import ring_for_queued
from scheduler.ring import Bell
from scheduler.submit import submit
from tests.commands import UNWATCHED
from tests.services import stop_process
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]

#: a worker asks its device in a process of its own, and a session imports torch: seconds each on a busy machine
START_SECONDS = 120.0

_numbers = count(1)


def model_tables(models: Mapping[str, Path], memory_gib: float = 0.1) -> str:
    """Return the part of a sweep file that says where own models lie."""
    return "".join(
        f'[models.{name}]\ntask = "text"\nsource = "file:{folder}"\nmemory_gib = {{ float32 = {memory_gib} }}\n'
        for name, folder in models.items()
    )


def speed_sweep(
    models: Mapping[str, Path], jobs: int, *, seconds: float = 0.0, memory_gib: float = 0.1, tables: bool = True
) -> str:
    """Return a sweep of so many jobs for each model, which take turns; each job holds the device for `seconds`."""
    rounds = 10_000 if seconds else 1
    stop = f"target = 0.0001, min_iterations = {rounds}, max_iterations = {rounds}, max_seconds = {seconds or 300}"
    lines = [
        "[[sweep]]",
        f"prompt_tokens = {[4 + number for number in range(jobs)]}",
        f"model = {list(models)}",
        'workload = "speed"',
        "new_tokens = 2",
        f"stop = {{ {stop} }}",
    ]
    return (model_tables(models, memory_gib) if tables else "") + "\n".join(lines) + "\n"


class Stack:
    """A home with its database and its embedded Redis; starts benchbeat's processes and stops them at the end."""

    def __init__(self, folder: Path, database_url: str, models: Mapping[str, Path], **settings: str) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        #: the tests' own: a measurement elsewhere on the machine must not hold them up
        self.locks = folder / "locks"
        self.locks.mkdir()
        self.models = models
        self.database = Database(database_url)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("BENCHBEAT_")}
        self.environment |= {
            "BENCHBEAT_HOME": str(self.home),
            "BENCHBEAT_DATABASE_URL": database_url,
            "BENCHBEAT_MACHINE": "test-machine",
            "BENCHBEAT_DEVICE": "cpu",
            "BENCHBEAT_LOCK_DIR": str(self.locks),
            "BENCHBEAT_LEASE_SECONDS": "2",
            "BENCHBEAT_TICK_SECONDS": "0.5",
            **UNWATCHED,
            # The tests share few cores, and a tiny model gains nothing from more than one.
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
            **settings,
        }
        if models:
            self.environment["BENCHBEAT_MODELS_DIR"] = str(next(iter(models.values())).parent)
        self._started: list[subprocess.Popen[bytes]] = []
        self._workers: list[subprocess.Popen[bytes]] = []
        self._up: subprocess.Popen[bytes] | None = None

    # Processes

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of `benchbeat ARGUMENTS`."""
        return [sys.executable, "-P", "-m", "cli.main", *arguments]

    def call(self, *arguments: str, timeout_seconds: float = START_SECONDS) -> "subprocess.CompletedProcess[str]":
        """Run `benchbeat ARGUMENTS` to its end."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
        )

    def start(self, *arguments: str, log: str | None = None) -> "subprocess.Popen[bytes]":
        """Start `benchbeat ARGUMENTS` in a process session of its own; what it writes goes to `log`."""
        with (self.folder / (log or f"{arguments[0]}.log")).open("ab") as output:
            process = subprocess.Popen(
                self.command(*arguments),
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def worker(self) -> "subprocess.Popen[bytes]":
        """Return a worker that runs and is registered: the one of earlier calls while it lives."""
        return self._nth_worker(0)

    def another_worker(self) -> "subprocess.Popen[bytes]":
        """Return a second worker besides `worker`."""
        return self._nth_worker(1)

    def process_of(self, worker_id: str) -> "subprocess.Popen[bytes]":
        """Return a running worker's process."""
        pid = next(each.pid for each in self.workers() if each.id == worker_id)
        return next(each for each in self._workers if each.pid == pid)

    def _nth_worker(self, number: int) -> "subprocess.Popen[bytes]":
        self._workers = [each for each in self._workers if each.poll() is None]
        while len(self._workers) <= number:
            self._workers.append(self.start("worker"))
            self.wait_registered(self._workers[-1])
        return self._workers[number]

    def up(self) -> "subprocess.Popen[bytes]":
        """Return `benchbeat up` with a registered worker: the one of earlier calls while it runs."""
        if self._up is None or self._up.poll() is not None:
            before = len(self.workers())
            self._up = self.start("up")
            wait_until(lambda: len(self.workers()) > before, "the worker of `up` has registered", START_SECONDS)
        return self._up

    def wait_registered(self, process: "subprocess.Popen[bytes]") -> str:
        """Wait until a worker has written its row, and return its id."""

        def row() -> str | None:
            assert process.poll() is None, self.log("worker")
            found = [each.id for each in self.workers() if each.pid == process.pid]
            return found[0] if found else None

        return str(wait_until(row, "the worker has registered", START_SECONDS))

    def wait_session(self, process: "subprocess.Popen[bytes]") -> int:
        """Wait until a worker has a session, and return its process id."""

        def pid() -> int | None:
            children = psutil.Process(process.pid).children()
            return next((int(each.pid) for each in children if "worker.session" in each.cmdline()), None)

        found = wait_until(pid, "the worker has a session", START_SECONDS)
        assert found is not None
        return found

    def processes(self) -> list[str]:
        """Return the command lines of the processes that work for this home, its Redis left out."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("BENCHBEAT_HOME") == str(self.home):
                    found.append(" ".join(process.cmdline()))
        return found

    def log(self, name: str) -> str:
        """Return what the processes that were started with this log wrote."""
        file = self.folder / f"{name}.log"
        return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""

    def close(self) -> None:
        """Stop everything that was started."""
        for process in self._started:
            _end_tree(process)
        stop_embedded(self.home)
        self.database.dispose()

    # Redis

    @property
    def broker(self) -> str:
        """The URL of the home's Redis, which is started where it does not run."""
        return self.environment.get("BENCHBEAT_BROKER_URL") or ensure_embedded(self.home)

    def redis(self) -> "Redis":
        """Return a client of the broker."""
        return Redis.from_url(self.broker, decode_responses=True)

    # Jobs

    def sweep(self, text: str) -> Path:
        """Write a sweep file."""
        file = self.folder / f"sweep{next(_numbers)}.toml"
        file.write_text(text, encoding="utf-8")
        return file

    def submit(self, text: str) -> int:
        """Submit a sweep and ring for it; returns its batch."""
        sweep = read_sweep(self.sweep(text), load_library(self.home))
        batch_id = submit(self.database, sweep).batch_id
        with Bell(self.broker) as bell:
            ring_for_queued(self.database, bell)
        return batch_id

    def submit_speed(self, jobs: int, *, seconds: float = 0.0, **options: Any) -> int:
        """Submit so many jobs of the first model, each of which holds the device for `seconds`."""
        name, folder = next(iter(self.models.items()))
        return self.submit(speed_sweep({name: folder}, jobs, seconds=seconds, **options))

    def cancel(self, batch_id: int) -> None:
        """Cancel what is left of a batch, as `benchbeat cancel` does."""
        with self.database.write() as connection:
            cancel_jobs(connection, [each.id for each in self.jobs(batch_id)])

    def batches(self) -> list[int]:
        """Return the ids of all batches."""
        return [each.id for each in self._rows(select(batch.c.id))]

    def batch(self, batch_id: int) -> BatchStatus:
        """Return a batch with its jobs counted."""
        with self.database.read() as connection:
            return batch_status(connection, batch_id)

    def jobs(self, batch_id: int) -> "Sequence[Row[Any]]":
        """Return the rows of a batch's jobs."""
        return self._rows(select(job).where(job.c.batch_id == batch_id).order_by(job.c.id))

    def attempts(self, batch_id: int) -> "Sequence[Row[Any]]":
        """Return the rows of all attempts at a batch's jobs, in the order they began."""
        joined = select(attempt).join(job, job.c.id == attempt.c.job_id)
        return self._rows(joined.where(job.c.batch_id == batch_id).order_by(attempt.c.started_at))

    def runs(self, batch_id: int) -> "Sequence[Row[Any]]":
        """Return the rows of a batch's runs, in the order they began."""
        return self._rows(select(run).where(run.c.batch_id == batch_id).order_by(run.c.started_at))

    def workers(self) -> "Sequence[Row[Any]]":
        """Return the rows of all workers there ever were."""
        return self._rows(select(worker_table))

    def wait_running(self, batch_id: int, done: int = 0) -> "Row[Any]":
        """Wait until at least `done` jobs of a batch are done and one runs; returns that one."""

        def running() -> "Row[Any] | None":
            jobs = self.jobs(batch_id)
            if sum(each.state == "done" for each in jobs) < done:
                return None
            return next((each for each in jobs if each.state == "running"), None)

        found = wait_until(running, f"a job of batch {batch_id} runs", START_SECONDS)
        assert found is not None
        return found

    def wait_measuring(self, batch_id: int) -> "Row[Any]":
        """Wait until a job of a batch is being measured, as its progress says after a second; returns that one."""

        def measuring() -> "Row[Any] | None":
            running = [each for each in self.jobs(batch_id) if each.state == "running"]
            return next((each for each in running if "measuring" in (each.progress or "")), None)

        found = wait_until(measuring, f"a job of batch {batch_id} is being measured", START_SECONDS)
        assert found is not None
        return found

    def wait_ended(self, batch_id: int, timeout_seconds: float = START_SECONDS) -> BatchStatus:
        """Wait until every job of a batch has ended."""
        wait_until(lambda: not self.batch(batch_id).open, f"batch {batch_id} has ended", timeout_seconds)
        return self.batch(batch_id)

    def assert_nothing_lost(self, batch_id: int) -> None:
        """Every job is done, by one run, and the attempts say how: the last one is the only one that counts."""
        jobs = self.jobs(batch_id)
        assert [each.state for each in jobs] == ["done"] * len(jobs)
        assert sorted(each.job_id for each in self.runs(batch_id)) == [each.id for each in jobs]
        attempts = self.attempts(batch_id)
        for each in jobs:
            outcomes = [one.outcome for one in sorted(attempts, key=lambda a: a.attempt) if one.job_id == each.id]
            assert len(outcomes) == each.attempt
            assert outcomes[-1] == "done"
            assert "done" not in outcomes[:-1]
            assert None not in outcomes
        assert_disjoint(self.runs(batch_id))

    def _rows(self, query: Any) -> "Sequence[Row[Any]]":
        with self.database.read() as connection:
            return connection.execute(query).all()


def assert_disjoint(runs: "Sequence[Row[Any]]") -> None:
    """No two runs held the device at the same time."""
    for earlier, later in pairwise(sorted(runs, key=lambda each: each.started_at)):
        assert earlier.finished_at <= later.started_at


@contextmanager
def stack(folder: Path, database_url: str, models: Mapping[str, Path], **settings: str) -> Iterator[Stack]:
    """Give a stack, and stop all of it at the end."""
    made = Stack(folder, database_url, models, **settings)
    try:
        yield made
    finally:
        made.close()


def _end_tree(process: "subprocess.Popen[bytes]") -> None:
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.kill()
    if process.poll() is None:
        stop_process(process, signal.SIGKILL)
