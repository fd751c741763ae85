"""Start-up: the wall time of whole processes."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

from bench.library import builtin_library
from bench.sweep import Block, Sweep, expand
from db.engine import Database
from db.schema import ensure
from scheduler.submit import submit
from tests.performance.results import AtMost, Result, alternate
from tests.performance.world import World

_TEN_JOBS = (
    *("--model", "smollm2-135m", "--workload", "facts,arithmetic"),
    *("--temperature", "0.5", "--seed", "0,1,2,3,4"),
)
_WARM_UP = 2


def help_row(world: World) -> Iterator[Result]:
    """`benchbeat --help`."""
    yield _measured(world, "help", "benchbeat --help", world.command(world.new_home(), "--help"), 0.3)


def status_row(world: World) -> Iterator[Result]:
    """`benchbeat status` with a batch to show."""
    home = world.new_home()
    database = Database(f"sqlite:///{home / 'history.db'}")
    ensure(database)
    submit(database, _ten_jobs())
    database.dispose()
    yield _measured(world, "status", "benchbeat status", world.command(home, "status"), 0.5)


def dry_run_row(world: World) -> Iterator[Result]:
    """`benchbeat submit --dry-run` of ten jobs."""
    command = world.command(world.new_home(), "submit", "--dry-run", *_TEN_JOBS)
    yield _measured(world, "dry-run", "benchbeat submit --dry-run, 10 jobs", command, 0.5)


def _measured(world: World, row: str, what: str, command: list[str], goal_seconds: float) -> Result:
    ours = _timed(world, command)
    theirs = _timed(world, [sys.executable, "-P", "-c", "import click"])
    pairs = alternate(ours, theirs, world.sizes.commands, warm_up=_WARM_UP)
    return Result(
        row=row,
        what=what,
        unit="s",
        ours=tuple(a for a, _ in pairs),
        goal=AtMost(goal_seconds),
        beside='python -c "import click"',
        theirs=tuple(b for _, b in pairs),
    )


def _timed(world: World, command: list[str]) -> Callable[[], float]:
    return partial(wall_seconds, world, command)


def wall_seconds(world: World, command: list[str]) -> float:
    """Run a command to its end; return the seconds."""
    started = time.perf_counter()
    subprocess.run(
        command,
        check=True,
        cwd=world.folder,
        env=world.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - started


def _ten_jobs() -> Sweep:
    values = {"model": "smollm2-135m", "workload": ["facts", "arithmetic"], "temperature": 0.5, "seed": [*range(5)]}
    return expand([Block(values, str)], builtin_library(), name="ten")
