"""Resident memory of the processes that must stay without torch, and which modules they import."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import func, select

from db.engine import Database
from db.tables import run, worker
from scheduler.broker import stop_embedded
from tests.performance.results import AtMost, Result
from tests.performance.submitting import write_sweep
from tests.performance.world import World
from tests.services import stop_process
from tests.waiting import wait_until

GOAL_MEGABYTES = 100.0
GOAL_SUBMITTER_MEGABYTES = 200.0

HEAVY = frozenset({"torch", "transformers", "whisper"})

_START_SECONDS = 120.0
_JOB_SECONDS = 300.0

# Started from a small process: the peak that the kernel reports of a child begins with its parent's.
_PEAK = """
import os, sys
child = os.spawnv(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(child, 0)
print(usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024), file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@dataclass
class _Readings:
    """Figures of several rounds, in MB, and the heavy modules that were imported."""

    submitter: list[float] = field(default_factory=list)
    large_submitter: list[float] = field(default_factory=list)
    largest_submitter: list[float] = field(default_factory=list)
    beat: list[float] = field(default_factory=list)
    worker: list[float] = field(default_factory=list)
    heavy: list[float] = field(default_factory=list)


def memory_rows(world: World) -> Iterator[Result]:
    """Submitter, beat and the worker's main process, with an embedded Redis, SQLite and a job that is run."""
    readings = _Readings()
    for _ in range(world.sizes.services):
        _round(world, readings)
    large, largest = (f"benchbeat submit, {n * 40:,} jobs, peak" for n in (world.sizes.seeds, world.sizes.large_seeds))
    for what, figures, goal in (
        ("benchbeat submit, 1 job, peak", readings.submitter, GOAL_MEGABYTES),
        (large, readings.large_submitter, GOAL_SUBMITTER_MEGABYTES),
        (largest, readings.largest_submitter, GOAL_SUBMITTER_MEGABYTES),
        ("beat", readings.beat, GOAL_MEGABYTES),
        ("worker's main process after a job", readings.worker, GOAL_MEGABYTES),
    ):
        yield Result(row="memory", what=what, unit="MB", ours=tuple(figures), goal=AtMost(goal))
    yield Result(
        row="memory",
        what="modules of torch, transformers and whisper in the three",
        unit="",
        ours=tuple(readings.heavy),
        goal=AtMost(0),
    )


def _round(world: World, readings: _Readings) -> None:
    home = world.new_home_with_model()
    small = ("--model", world.model.name, "--workload", "speed", "--prompt-tokens", "8", "--new-tokens", "2")
    stop = ("--stop", "min_iterations=1,max_iterations=1")
    with ExitStack() as stack:
        stack.callback(stop_embedded, home)
        logs = [world.folder / f"{home.name}-{name}.log" for name in ("submit", "beat", "worker")]
        readings.submitter.append(peak_megabytes(world, world.command(home, "submit", *small, *stop)))
        # Once more, to see what it imports.
        _import_log(world, world.command(home, "submit", *small, *stop, options=("-X", "importtime")), logs[0])
        beat = stack.enter_context(_service(world, home, "beat", logs[1]))
        serving = stack.enter_context(_service(world, home, "worker", logs[2]))
        _wait_for_run(home)
        readings.beat.append(_megabytes(beat))
        readings.worker.append(_megabytes(serving))
    readings.heavy.append(float(sum(len(heavy_imports(log)) for log in logs)))
    readings.large_submitter.append(_large_submitter(world, world.sizes.seeds))
    readings.largest_submitter.append(_large_submitter(world, world.sizes.large_seeds))


def _large_submitter(world: World, seeds: int) -> float:
    home = world.new_home()
    try:
        return peak_megabytes(world, world.command(home, "submit", str(write_sweep(world, seeds))))
    finally:
        stop_embedded(home)


def peak_megabytes(world: World, command: list[str], settings: Mapping[str, str] | None = None) -> float:
    """Run a command, with more variables, and return the peak of its resident size."""
    launcher = [sys.executable, "-I", "-S", "-c", _PEAK, *command]
    environment = {**world.environment, **(settings or {})}
    done = subprocess.run(launcher, check=True, cwd=world.folder, env=environment, capture_output=True, text=True)
    return int(done.stderr.split()[-1]) / 1e6


def _import_log(world: World, command: list[str], log: Path) -> None:
    with log.open("wb") as output:
        subprocess.run(
            command, check=True, cwd=world.folder, env=world.environment, stdout=subprocess.DEVNULL, stderr=output
        )


@contextmanager
def _service(world: World, home: Path, name: str, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a service that writes to its log what it imports."""
    arguments = (name, "--device", "cpu") if name == "worker" else (name,)
    command = world.command(home, *arguments, options=("-X", "importtime"))
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=world.folder,
            env={**world.environment, "BENCHBEAT_TICK_SECONDS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        stop_process(process)


def _wait_for_run(home: Path) -> None:
    """Wait until the worker has run every job and looks for more."""
    database = Database(f"sqlite:///{home / 'history.db'}")
    idle = select(worker.c.id).where(worker.c.loaded.is_not(None), worker.c.job_id.is_(None))

    def is_done() -> bool:
        with database.read() as connection:
            runs = connection.execute(select(func.count()).select_from(run)).scalar_one()
            return runs == 2 and connection.execute(idle).first() is not None

    wait_until(is_done, "the worker has run its jobs", _START_SECONDS + _JOB_SECONDS)
    database.dispose()


def _megabytes(process: "subprocess.Popen[Any]") -> float:
    return float(psutil.Process(process.pid).memory_info().rss) / 1e6


def heavy_imports(log: Path) -> list[str]:
    """Return the heavy modules in what `-X importtime` wrote."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    names = [line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")]
    assert names, f"{log} tells of no import"
    return [name for name in names if name.partition(".")[0] in HEAVY]
