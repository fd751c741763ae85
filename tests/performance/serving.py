"""Processes that serve a row: workers and beats with their services, real ones and workers whose jobs do nothing."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from db.engine import Database
from db.tables import run, worker
from tests.commands import ROOT
from tests.performance.world import MACHINE, World
from tests.services import stop_process
from tests.waiting import wait_until

START_SECONDS = 120.0


class Site:
    """A home with a database and a broker, and the settings of those who work there."""

    def __init__(self, world: World, home: Path, url: str, machine: str = MACHINE) -> None:
        self.world = world
        self.home = home
        self.url = url
        locks = home / "locks"
        locks.mkdir(exist_ok=True)
        self.settings = {
            "BENCHBEAT_DATABASE_URL": url,
            "BENCHBEAT_BROKER_URL": world.redis.url,
            "BENCHBEAT_DEVICE": "cpu",
            "BENCHBEAT_LOCK_DIR": str(locks),
            "BENCHBEAT_MACHINE": machine,
        }

    def submit(self, sweep_file: Path) -> None:
        """Run `benchbeat submit` to its end."""
        self.world.run(self.world.command(self.home, "submit", str(sweep_file)), self.settings)

    @contextmanager
    def service(self, *arguments: str, **settings: str) -> "Iterator[subprocess.Popen[bytes]]":
        """Run `benchbeat ARGUMENTS` as a process, with more settings, until the end."""
        command = self.world.command(self.home, *arguments)
        with process(self.world, command, self.home, {**self.settings, **settings}) as started:
            yield started

    @contextmanager
    def idle_service(self, *arguments: str, **settings: str) -> "Iterator[subprocess.Popen[bytes]]":
        """Run `benchbeat worker` until the end, from the moment in which it can take a job."""
        with self.service(*arguments, **settings) as started:
            self.wait_for_workers([started.pid])
            yield started

    def wait_for_workers(self, pids: Sequence[int]) -> None:
        """Wait until the workers of these processes have said that they are there."""
        up = select(worker.c.pid).where(worker.c.stopped_at.is_(None))
        wait_in(self.url, lambda found: set(pids) <= {row.pid for row in found.execute(up)}, "the workers are up")

    def wait_for_runs(self, count: int, timeout_seconds: float) -> None:
        """Wait until so many runs are committed."""
        runs = select(func.count()).select_from(run)
        wait_in(self.url, lambda found: found.scalar(runs) >= count, f"{count} runs are committed", timeout_seconds)


def wait_in(
    url: str, condition: Callable[[Any], bool], description: str, timeout_seconds: float = START_SECONDS
) -> None:
    """Wait until a condition holds of what a database can be asked."""
    database = Database(url)

    def holds() -> bool:
        with database.read() as connection:
            return condition(connection)

    try:
        wait_until(holds, description, timeout_seconds)
    finally:
        database.dispose()


@contextmanager
def process(
    world: World, command: list[str], home: Path, settings: Mapping[str, str], output: Any = None
) -> "Iterator[subprocess.Popen[bytes]]":
    """Run a command in a process that logs into `home`, and stop it at the end."""
    with (home / "process.log").open("ab") as log:
        started = subprocess.Popen(
            command,
            cwd=world.folder,
            env={**world.environment, **settings},
            stdin=subprocess.DEVNULL,
            stdout=output or log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield started
    finally:
        stop_process(started)
        if started.stdout is not None:
            started.stdout.close()


@contextmanager
def telling(site: Site, module: str, *arguments: str, **settings: str) -> "Iterator[subprocess.Popen[bytes]]":
    """Run a module of the suite that writes a line, a moment of the system's clock, for everything that it has done."""
    command = [sys.executable, "-P", "-m", module, *arguments]
    own = {**site.settings, "BENCHBEAT_HOME": str(site.home), "PYTHONPATH": str(ROOT), **settings}
    with process(site.world, command, site.home, own, subprocess.PIPE) as started:
        yield started


def next_moment(started: "subprocess.Popen[bytes]") -> float:
    """Return the next moment that such a process tells of, by `time.monotonic`, which all processes share."""
    assert started.stdout is not None
    line = started.stdout.readline()
    assert line, f"the process ended with {started.wait()}"
    return float(line)
