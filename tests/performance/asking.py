"""Asking the history: `benchbeat history` over ten thousand runs, and the plan of ten thousand jobs."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from sqlalchemy import insert, select

from db.engine import Database
from db.schema import ensure
from db.tables import job, run
from tests.db.builders import populate
from tests.performance.results import AtMost, Result
from tests.performance.startup import wall_seconds
from tests.performance.submitting import write_sweep
from tests.performance.world import World

_RUNS = 10_000


def history_row(world: World) -> Iterator[Result]:
    """`benchbeat history` as a whole process, the last runs, grouped, and every one."""
    home = world.new_home()
    runs = _fill(home, _RUNS if world.sizes.commands > 2 else 100)
    asked = {
        f"benchbeat history over {runs:,} runs": ("history",),
        "the same, --group-by model,strategy": ("history", "--group-by", "model,strategy"),
        "the same, every run printed": ("history", "--limit", str(runs)),
    }
    for what, arguments in asked.items():
        once = partial(wall_seconds, world, world.command(home, *arguments))
        once()
        seconds = tuple(once() for _ in range(world.sizes.commands))
        goal = None if "--limit" in arguments else AtMost(0.5)
        yield Result(row="history", what=what, unit="s", ours=seconds, goal=goal)


def large_dry_run_row(world: World) -> Iterator[Result]:
    """`benchbeat submit --dry-run` of ten thousand jobs, the whole process."""
    command = world.command(world.new_home(), "submit", str(write_sweep(world, world.sizes.seeds)), "--dry-run")
    once = partial(wall_seconds, world, command)
    once()
    seconds = tuple(once() for _ in range(world.sizes.commands))
    jobs = world.sizes.seeds * 40
    yield Result(
        row="dry-run-large",
        what=f"benchbeat submit --dry-run, {jobs:,} jobs",
        unit="s",
        ours=seconds,
        goal=AtMost(1.0),
    )


def _fill(home: Path, runs: int) -> int:
    """Fill a home's history with copies of one run; return how many there are."""
    database = Database(f"sqlite:///{home / 'history.db'}")
    ensure(database)
    populate(database)
    with database.write() as connection:
        old_job, old_run = (dict(connection.execute(select(t).limit(1)).one()._mapping) for t in (job, run))
        numbers = range(1000, 1000 + runs - 1)
        connection.execute(insert(job), [old_job | {"id": n, "state": "done"} for n in numbers])
        connection.execute(insert(run), [old_run | {"id": n, "job_id": n, "started_at": float(n)} for n in numbers])
    database.dispose()
    return runs
