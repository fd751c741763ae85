"""Submitting a large sweep: expanded, stored and rung for, beside a plain executemany of the same rows."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from sqlalchemy import select

from bench.library import builtin_library
from bench.statistics import median
from bench.sweep import read_sweep
from db.engine import Database
from db.submissions import insert_batch
from db.tables import job
from scheduler.reconcile import ring_for_queued
from scheduler.ring import Bell
from scheduler.submit import prepare, submit
from tests.performance.results import AtMost, RatioAtMost, Result, alternate
from tests.performance.world import DatabaseKind, World

GOAL_SECONDS = 2.0
GOAL_LARGE_SECONDS = 15.0
GOAL_COMMAND_SECONDS = 3.0
GOAL_RATIO = 2.0

_JOBS_A_SEED = 40
_UNSET = ("id", "attempt", "failures", "cancel_requested")


class _Submitted(NamedTuple):
    """Seconds of the parts of a submission."""

    expand: float
    store: float
    ring: float


def submit_rows(world: World, kind: DatabaseKind) -> Iterator[Result]:
    """A sweep of 10,000 jobs, in this process."""
    sizes = world.sizes
    yield from _rows(world, kind, f"submit-{kind}", (sizes.seeds, sizes.submissions), GOAL_SECONDS)


def submit_large_rows(world: World, kind: DatabaseKind) -> Iterator[Result]:
    """A sweep of 100,000 jobs, the most that is submitted without a question."""
    sizes = world.sizes
    yield from _rows(
        world, kind, f"submit-100000-{kind}", (sizes.large_seeds, sizes.large_submissions), GOAL_LARGE_SECONDS
    )


def _rows(
    world: World, kind: DatabaseKind, row: str, seeds_and_pairs: tuple[int, int], goal_seconds: float
) -> Iterator[Result]:
    """Yield the same figures twice: judged by their seconds, and by their ratio."""
    seeds, repetitions = seeds_and_pairs
    sweep_file = write_sweep(world, seeds)
    by_hand = _ByHand(world, kind, sweep_file)
    pairs = alternate(partial(_submitted, world, kind, sweep_file), by_hand, repetitions)
    parts = [f"{name} {median([getattr(ours, name) for ours, _ in pairs]):.2f}" for name in ("expand", "store", "ring")]
    result = Result(
        row=row,
        what=f"sweep of {by_hand.rows:,} jobs expanded, stored and rung for",
        unit="s",
        ours=tuple(sum(ours) for ours, _ in pairs),
        goal=AtMost(goal_seconds),
        note=", ".join(parts),
    )
    yield result
    theirs = tuple(theirs for _, theirs in pairs)
    yield replace(
        result, goal=RatioAtMost(GOAL_RATIO), beside="executemany of the same rows", theirs=theirs, note="the same"
    )


def submit_command_row(world: World) -> Iterator[Result]:
    """The same by `benchbeat submit`, the whole process, with SQLite and a Redis that runs."""
    sweep_file = write_sweep(world, world.sizes.seeds)
    seconds = [_command_seconds(world, sweep_file) for _ in range(world.sizes.submissions + 1)]
    jobs = world.sizes.seeds * _JOBS_A_SEED
    yield Result(
        row="submit-command",
        what=f"benchbeat submit, {jobs:,} jobs on SQLite, whole process",
        unit="s",
        ours=tuple(seconds[1:]),
        goal=AtMost(GOAL_COMMAND_SECONDS),
    )


def write_sweep(world: World, seeds: int) -> Path:
    """Write the sweep: 40 jobs a seed."""
    file = world.folder / "large.toml"
    axes = {
        "model": ["smollm2-135m", "qwen2.5-1.5b"],
        "workload": ["facts", "arithmetic"],
        "strategy": ["direct", "chain_of_thought"],
        "temperature": [0.1, 0.3, 0.5, 0.7, 0.9],
        "seed": [*range(seeds)],
    }
    lines = [f"{name} = {json.dumps(values)}" for name, values in axes.items()]
    file.write_text("\n".join(["[[sweep]]", *lines, ""]), encoding="utf-8")
    return file


def _submitted(world: World, kind: DatabaseKind, sweep_file: Path) -> _Submitted:
    url = world.new_database(kind)
    world.flush_redis()
    started = time.perf_counter()
    sweep = read_sweep(sweep_file, builtin_library())
    expanded = time.perf_counter()
    database = Database(url)
    submit(database, sweep)
    stored = time.perf_counter()
    with Bell(world.redis.url) as bell:
        ring_for_queued(database, bell)
    rung = time.perf_counter()
    database.dispose()
    return _Submitted(expanded - started, stored - expanded, rung - stored)


class _ByHand:
    """An executemany by the bare driver, on a copy of a database that has all but the jobs."""

    def __init__(self, world: World, kind: DatabaseKind, sweep_file: Path) -> None:
        self._world, self._kind = world, kind
        sweep = read_sweep(sweep_file, builtin_library())
        columns = [column for column in job.c if column.name not in _UNSET]
        full = Database(world.new_database(kind))
        submit(full, sweep)
        with full.read() as connection:
            self._values = [tuple(row) for row in connection.execute(select(*columns).order_by(job.c.id))]
        full.dispose()
        self._template = world.new_database(kind)
        empty = Database(self._template)
        with empty.write() as connection:
            insert_batch(connection, prepare(sweep)[0], [])
        empty.dispose()
        self._names = [column.name for column in columns]

    @property
    def rows(self) -> int:
        """Jobs that are written."""
        return len(self._values)

    def __call__(self) -> float:
        """Write them; return the seconds."""
        url = self._world.new_database(self._kind, self._template)
        started = time.perf_counter()
        if self._kind == "sqlite":
            self._sqlite(url)
        else:
            self._postgresql(url)
        return time.perf_counter() - started

    def _sqlite(self, url: str) -> None:
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
            for setting in ("journal_mode=WAL", "synchronous=FULL", "fullfsync=ON", "foreign_keys=ON"):
                connection.execute(f"PRAGMA {setting}")
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(self._statement("?"), self._values)
            connection.execute("COMMIT")

    def _postgresql(self, url: str) -> None:
        with psycopg.connect(url.replace("+psycopg", "")) as connection, connection.cursor() as cursor:
            cursor.executemany(self._statement("%s"), self._values)

    def _statement(self, mark: str) -> Any:
        marks = ", ".join([mark] * len(self._names))
        return f"INSERT INTO job ({', '.join(self._names)}) VALUES ({marks})"


def _command_seconds(world: World, sweep_file: Path) -> float:
    home = world.new_home()
    command = world.command(home, "submit", str(sweep_file))
    world.run(world.command(home, "db", "upgrade"))
    world.flush_redis()
    started = time.perf_counter()
    world.run(command, {"BENCHBEAT_BROKER_URL": world.redis.url})
    return time.perf_counter() - started
