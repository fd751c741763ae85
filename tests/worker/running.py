"""Runners whose sessions follow a script (tests/worker/scripted.py), and databases that go away."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import make_url

from db import engine
from db.engine import Database
from db.settings import Settings
from tests.db.builders import SPEED_SPEC, add_jobs, add_worker, new_job
from tests.services import PostgreSQLServer
from tests.waiting import wait_until
from tests.worker.processes import ROOT
from tests.worker.scripted import entry
from tests.worker.test_supervise import PROBE
from worker import runner as runner_module
from worker.runner import Runner
from worker.supervise import SessionProcess

#: for what does not differ between the databases
sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

#: a context in which nobody else can write to the database
Away = Callable[[], AbstractContextManager[None]]


class Ground:
    """A home with a database, on which runners run what a test queues."""

    def __init__(self, database: Database, home: Path) -> None:
        self.database = database
        self.home = home
        self._made: list[Runner] = []
        self._background = ThreadPoolExecutor(2)

    def runner(self, worker_id: str = "worker-a", **settings: Any) -> Runner:
        """Make a runner, as a worker that starts does."""
        unwatched: dict[str, Any] = {"quiet_wait_seconds": 0.0, "mark_disturbed": False}
        made = Runner(
            Settings(home=self.home, database_url=SecretStr(self.database.url), **(unwatched | settings)),
            self.database,
            add_worker(self.database, worker_id, queues=("any.4", "cpu.4", "machine.machine-a.cpu")),
            machine_id="machine-a",
            probe=PROBE,
        )
        self._made.append(made)
        return made

    def queue(self, *does: str, **fields: Any) -> list[int]:
        """Queue a speed job for each thing that a session shall do; equal ones share a loaded model."""
        jobs = []
        for each in does:
            named: dict[str, Any] = {"model_hash": f"{each}-hash", "session_key": each}
            jobs.append(new_job(**({"spec": SPEED_SPEC} | named | fields)))
        return add_jobs(self.database, jobs, models={f"{each}-hash": entry(each) for each in does})

    def start(self, runner: Runner) -> Future[str]:
        """Run one job in the background."""
        return self._background.submit(runner.run_one)

    def begin(self, runner: Runner, job_id: int) -> Future[str]:
        """Run one job in the background, and return once its session measures."""
        running = self.start(runner)
        wait_until((self.home / f"began-{job_id}").exists, "the job is being measured")
        return running

    def go(self) -> None:
        """Let the sessions that wait go on."""
        (self.home / "go").touch()

    def spooled(self) -> list[str]:
        """Return the names of the spool's files, without the part that stands for the history."""
        folder = self.home / "spool"
        found = [str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()]
        return sorted(re.sub(r"\.[0-9a-f]{8}\.", ".", name) for name in found)

    def close(self) -> None:
        """End the sessions."""
        for each in self._made:
            each.stop()
            each.close()
        self._background.shutdown()


@contextmanager
def ground(url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    """Give a ground, whose database is soon given up for locked."""
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(runner_module, "SessionProcess", partial(SessionProcess, module="tests.worker.scripted"))
    database = Database(url)
    made = Ground(database, home)
    try:
        yield made
    finally:
        made.close()
        database.dispose()


def away_of(request: pytest.FixtureRequest, url: str) -> Away:
    """Return what keeps everybody else from writing to a database of the tests."""

    @contextmanager
    def sqlite() -> Iterator[None]:
        other = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.close()

    @contextmanager
    def postgresql() -> Iterator[None]:
        server: PostgreSQLServer = request.getfixturevalue("postgresql_server")
        name = make_url(url).database or ""
        server.execute("ALTER DATABASE {name} ALLOW_CONNECTIONS false", name=name)
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        try:
            yield
        finally:
            server.execute("ALTER DATABASE {name} ALLOW_CONNECTIONS true", name=name)

    return sqlite if url.startswith("sqlite") else postgresql
