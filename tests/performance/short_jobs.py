"""A sweep of short jobs on one model, beside a script that makes the same calls, and beside a process for each job."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import func, select

from bench.sweep import Block, Sweep, expand
from db.engine import Database
from db.tables import sample
from tests.commands import ROOT
from tests.performance.decoding import locked
from tests.performance.results import RatioAtMost, Result
from tests.performance.serving import Site
from tests.performance.world import World

_ITEMS = 4
_STRATEGIES = ("direct", "few_shot")
_SWEEP_SECONDS = 1200.0


class _Swept(NamedTuple):
    """What one way of running the sweep took, and how many tokens came of it."""

    seconds: float
    tokens: int


def short_jobs_rows(world: World) -> Iterator[Result]:
    """From `benchbeat submit` to the last committed run, by a worker that is up and has loaded no model yet.

    So the session's start and the model's load are in both figures, and a worker's start, which a machine pays once, in
    neither. All hold the machine's lock, and make as many tokens.
    """
    sweep = _sweep(world)
    sweep_file, calls_file = _sweep_file(world), _calls_file(world, sweep)
    # Once, for what is read from the disk the first time.
    _scripted(world, calls_file)
    ways = (
        partial(_queued, world, sweep_file),
        partial(_scripted, world, calls_file),
        partial(_in_processes, world, calls_file),
    )
    sizes = world.sizes
    # Processes take four times as long, and few rounds tell them from the others.
    rounds = [
        _round(ways if number < sizes.short_process_sweeps else ways[:2], number)
        for number in range(sizes.short_sweeps)
    ]
    queued, script = ([each[place] for each in rounds] for place in (0, 1))
    processes = [each[2] for each in rounds if len(each) > 2]
    jobs = f"{len(sweep.specs)} short jobs on one model, submit to last run"
    for beside, goal, theirs in (
        ("a script that loads once and makes the same calls", 1.05, script),
        ("a process for each job", 1 / 3, processes),
    ):
        yield Result(
            row="short-jobs",
            what=jobs,
            unit="s",
            ours=tuple(queued[: len(theirs)]),
            goal=RatioAtMost(goal),
            beside=beside,
            theirs=tuple(theirs),
        )


def _axes(world: World) -> dict[str, object]:
    return {
        "model": [world.model.name],
        "workload": ["facts"],
        "strategy": list(_STRATEGIES),
        "items": [_ITEMS],
        "items_seed": [*range(world.sizes.short_jobs // len(_STRATEGIES))],
        "max_new_tokens": [world.sizes.short_tokens],
    }


def _sweep(world: World) -> Sweep:
    return expand([Block(_axes(world), str)], world.library, name="short")


def _sweep_file(world: World) -> Path:
    file = world.folder / "short.toml"
    lines = ["[[sweep]]", *(f"{name} = {json.dumps(values)}" for name, values in _axes(world).items())]
    file.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return file


def _calls_file(world: World, sweep: Sweep) -> Path:
    """Write what the jobs ask, as the script reads it."""
    jobs = []
    for spec in sweep.specs:
        workload, strategy = sweep.workloads[spec.workload], sweep.strategies[spec.strategy or ""]
        items = workload.sample(spec.items, spec.items_seed)
        jobs.append([strategy.messages(workload, item.prompt) for item in items])
    file = world.folder / "short.json"
    asked = {"checkpoint": str(world.checkpoint), "tokens": world.sizes.short_tokens, "jobs": jobs}
    file.write_text(json.dumps(asked), encoding="utf-8")
    return file


def _round(ways: Sequence[Callable[[], _Swept]], number: int) -> list[float]:
    """Run the sweep in every way, every other time in the opposite order; return the seconds of each."""
    places = range(len(ways)) if number % 2 == 0 else range(len(ways) - 1, -1, -1)
    swept = {place: ways[place]() for place in places}
    tokens = {each.tokens for each in swept.values()}
    assert len(tokens) == 1, f"not all made the same answers: {sorted(tokens)} tokens"
    return [swept[place].seconds for place in range(len(ways))]


def _queued(world: World, sweep_file: Path) -> _Swept:
    world.flush_redis()
    home = world.new_home_with_model()
    site = Site(world, home, f"sqlite:///{home / 'history.db'}")
    world.run(world.command(home, "db", "upgrade"), site.settings)

    def seconds() -> float:
        started = time.perf_counter()
        site.submit(sweep_file)
        site.wait_for_runs(world.sizes.short_jobs, _SWEEP_SECONDS)
        return time.perf_counter() - started

    with site.idle_service("worker"):
        return _Swept(locked(seconds, world)(), _tokens(site.url))


def _scripted(world: World, calls_file: Path, *number: str) -> _Swept:
    """Run the script, for all jobs or one of them."""
    command = [sys.executable, "-P", "-m", "tests.performance.bare_sweep", str(calls_file), *number]

    def swept() -> _Swept:
        started = time.perf_counter()
        said = world.run(command, {"PYTHONPATH": str(ROOT)})
        return _Swept(time.perf_counter() - started, int(said))

    return locked(swept, world)()


def _in_processes(world: World, calls_file: Path) -> _Swept:
    each = [_scripted(world, calls_file, str(number)) for number in range(world.sizes.short_jobs)]
    return _Swept(sum(one.seconds for one in each), sum(one.tokens for one in each))


def _tokens(url: str) -> int:
    """Return how many tokens the runs of a history made."""
    database = Database(url)
    with database.read() as connection:
        tokens = connection.execute(select(func.sum(sample.c.new_tokens))).scalar_one()
    database.dispose()
    return int(tokens)
