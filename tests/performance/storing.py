"""Storing a result: its samples beside a bare executemany, and what a run takes on the disk."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from typing import Any

import psycopg
from sqlalchemy import Connection, select, text

from bench.results import Answer, Measurement, Sample
from db.engine import Database
from db.runs import store_measurement
from db.tables import metadata
from db.tables import sample as sample_table
from tests.db.builders import QUALITY_SPEC, SPEED_SPEC, add_jobs, add_worker, answer, claimed_by, measurement, new_job
from tests.db.builders import sample as new_sample
from tests.performance.results import RatioAtMost, Result, alternate
from tests.performance.world import DatabaseKind, World

GOAL_RATIO = 2.0

_SAMPLES, _ANSWERS = 10, 50
#: a short answer: 190 characters
_TEXT = (
    "Step {0}: the train needs 3 hours for 240 km, so it goes 80 km in one hour. In 5 hours it goes 5 times as far, "
    "which is 400 km, and that is less than the 410 km asked for. The answer is {0}."
)


def result_row(world: World, kind: DatabaseKind) -> Iterator[Result]:
    """A speed run's result stored with all that belongs to it, beside its samples alone."""
    database = Database(world.new_database(kind))
    samples = [_sample(number) for number in range(world.sizes.samples)]
    store = _Store(database, samples)
    store()
    by_hand = _ByHand(database, kind)
    pairs = alternate(store, by_hand, world.sizes.results, warm_up=2)
    by_hand.close()
    database.dispose()
    yield Result(
        row=f"result-{kind}",
        what=f"a result with {len(samples):,} samples stored, its job set done",
        unit="ms",
        ours=tuple(a for a, _ in pairs),
        goal=RatioAtMost(GOAL_RATIO),
        beside="executemany of the samples",
        theirs=tuple(b for _, b in pairs),
        size=len(samples),
    )


def size_row(world: World, kind: DatabaseKind) -> Iterator[Result]:
    """What a run takes on the disk with its job, samples, answers and all indexes, beside the bytes of its values."""
    database = Database(world.new_database(kind))
    worker = add_worker(database)
    _run_once(database, worker)
    before, held = _bytes_on_disk(database), _bytes_of_values(database)
    for _ in range(world.sizes.stored):
        _run_once(database, worker)
    runs = world.sizes.stored
    on_disk = (_bytes_on_disk(database) - before) / runs / 1000
    values = (_bytes_of_values(database) - held) / runs / 1000
    database.dispose()
    yield Result(
        row=f"size-{kind}",
        what=f"a run with {_SAMPLES} samples and {_ANSWERS} answers, with its job and all indexes",
        unit="kB",
        ours=(on_disk,),
        goal=RatioAtMost(GOAL_RATIO),
        beside="the values' own bytes",
        theirs=(values,),
        readings=runs,
    )


def _sample(number: int) -> Sample:
    seconds = 0.5 + number % 97 / 1000
    return new_sample(
        number, latency_seconds=seconds, ttft_seconds=seconds / 11, decode_tokens_per_second=7.7 / seconds
    )


class _Store:
    """A job claimed, and the time that storing its result takes."""

    def __init__(self, database: Database, samples: list[Sample]) -> None:
        self._database = database
        self._worker = add_worker(database)
        self._measured = measurement(samples=tuple(samples), answers=(), breakdowns=(), metrics=())

    def __call__(self) -> float:
        """Store a result; return the milliseconds."""
        add_jobs(self._database, [new_job(SPEED_SPEC)])
        job = claimed_by(self._database, self._worker)
        started = time.perf_counter()
        store_measurement(self._database, job.id, job.attempt, "machine-a", self._measured)
        return (time.perf_counter() - started) * 1000


class _ByHand:
    """An executemany of the samples that the first run has, as further ones of it."""

    def __init__(self, database: Database, kind: DatabaseKind) -> None:
        with database.read() as connection:
            self._values = [tuple(row) for row in connection.execute(select(sample_table))]
        self._names = [column.name for column in sample_table.c]
        self._numbers = count(1)
        self._kind = kind
        self._connection: Any
        if kind == "sqlite":
            self._connection = sqlite3.connect(database.url.removeprefix("sqlite:///"), isolation_level=None)
            for setting in ("journal_mode=WAL", "synchronous=FULL", "fullfsync=ON", "foreign_keys=ON"):
                self._connection.execute(f"PRAGMA {setting}")
        else:
            self._connection = psycopg.connect(database.url.replace("+psycopg", ""), autocommit=True)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __call__(self) -> float:
        """Write the samples; return the milliseconds."""
        place, shift = self._names.index("iteration"), next(self._numbers) * 1_000_000
        rows = [(*row[:place], row[place] + shift, *row[place + 1 :]) for row in self._values]
        mark = "?" if self._kind == "sqlite" else "%s"
        marks = ", ".join(mark for _ in self._names)
        started = time.perf_counter()
        self._connection.execute("BEGIN IMMEDIATE" if self._kind == "sqlite" else "BEGIN")
        with closing(self._connection.cursor()) as cursor:
            cursor.executemany(f"INSERT INTO sample ({', '.join(self._names)}) VALUES ({marks})", rows)
        self._connection.execute("COMMIT")
        return (time.perf_counter() - started) * 1000


def _run_once(database: Database, worker: Any) -> None:
    (_,) = add_jobs(database, [new_job(QUALITY_SPEC)])
    job = claimed_by(database, worker)
    assert store_measurement(database, job.id, job.attempt, "machine-a", _quality()) is not None


def _quality() -> Measurement:
    answers: tuple[Answer, ...] = tuple(
        answer(f"arithmetic-{number:03}", _TEXT.format(number), extracted=str(number), prompt_tokens=61, new_tokens=64)
        for number in range(_ANSWERS)
    )
    figures = {"latency_seconds": 0.51, "accuracy": 0.74, "accuracy_stderr": 0.062, "items": _ANSWERS, "quality": 6.1}
    timed = tuple(_sample(number) for number in range(_SAMPLES))
    return measurement(figures, samples=timed, answers=answers, breakdowns=(), metrics=())


def _bytes_on_disk(database: Database) -> int:
    with database.read() as connection:
        if database.is_sqlite:
            pages = connection.execute(text("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"))
            return int(pages.scalar_one())
        sizes = " + ".join(f"pg_total_relation_size('{table.name}')" for table in metadata.sorted_tables)
        return int(connection.execute(text(f"SELECT {sizes}")).scalar_one())


def _bytes_of_values(database: Database) -> int:
    """Return the bytes of all values as the database writes them, without what it needs to find them."""
    with database.read() as connection:
        return sum(
            _bytes_of_table(connection, table.name, [c.name for c in table.c]) for table in metadata.sorted_tables
        )


def _bytes_of_table(connection: Connection, table: str, columns: list[str]) -> int:
    shape = "coalesce(pg_column_size({0}), 0)"
    if connection.dialect.name == "sqlite":
        # An integer takes as few bytes as hold it, 0 and 1 none.
        shape = """CASE typeof({0}) WHEN 'real' THEN 8 WHEN 'null' THEN 0 WHEN 'integer' THEN
            CASE WHEN {0} IN (0, 1) THEN 0 WHEN abs({0}) < 128 THEN 1 WHEN abs({0}) < 32768 THEN 2
            WHEN abs({0}) < 2147483648 THEN 4 ELSE 8 END ELSE length(CAST({0} AS BLOB)) END"""
    values = " + ".join(shape.format(f'"{column}"') for column in columns)
    return int(connection.execute(text(f'SELECT coalesce(sum({values}), 0) FROM "{table}"')).scalar_one())
