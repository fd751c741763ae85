"""Judging the history: `benchbeat regressions` over ten thousand long series, and one new run of one of them."""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from sqlalchemy import Connection, FromClause, Table, and_, func, insert, literal, select

from db.engine import Database
from db.regressions import expect_judgement
from db.schema import ensure
from db.tables import batch, job, run, series_key
from scheduler.watch import watch
from tests.db.long_history import write_series
from tests.performance.results import AtMost, Result
from tests.performance.startup import wall_seconds
from tests.performance.world import World

GOAL_SECONDS = 20.0
GOAL_NEW_RUN_MILLISECONDS = 100.0
_TIMES = 3


def regressions_rows(world: World) -> Iterator[Result]:
    """The whole command over all series, and what beat does about a new run, in a history of that size."""
    home = world.new_home()
    database = Database(f"sqlite:///{home / 'history.db'}")
    ensure(database)
    series, points = world.sizes.series, world.sizes.points
    values = 0.5 * np.exp(np.random.default_rng(1).normal(0, 0.01, points))
    first = write_series(database, {"base": list(values)})["base"][0]
    with database.write() as connection:
        _copy_series(connection, first, series - 1)
    once = partial(wall_seconds, world, world.command(home, "regressions"))
    watch(database)
    what = f"benchbeat regressions over {series:,} series of {points} runs"
    yield Result(
        row="regressions",
        what=what,
        unit="s",
        ours=tuple(once() for _ in range(_TIMES)),
        goal=AtMost(GOAL_SECONDS),
    )
    yield Result(
        row="regressions",
        what="a new run of one of them, judged",
        unit="ms",
        ours=tuple(_judge_next(database, first) for _ in range(world.sizes.ticks)),
        goal=AtMost(GOAL_NEW_RUN_MILLISECONDS),
    )
    database.dispose()


def _copy_series(connection: Connection, first_run_id: int, times: int) -> None:
    """Copy the series of a run so many times, with other noise, by the database alone."""
    base = connection.execute(select(run.c.series_id, run.c.job_id).where(run.c.id == first_run_id)).one()
    of = connection.execute(select(series_key).where(series_key.c.id == base.series_id)).one()._mapping
    last_key = connection.execute(select(func.max(series_key.c.id))).scalar_one()
    keys = [dict(of) | {"id": last_key + n, "hash": f"{n:064}"} for n in range(1, times + 1)]
    connection.execute(insert(series_key), keys)
    points = select(func.count()).select_from(run).where(run.c.series_id == base.series_id).scalar_subquery()
    number = series_key.c.id - last_key
    # Ids follow those of the first series, a block of them for each copy.
    shift = number * points
    copied = run.join(series_key, and_(series_key.c.id > last_key, run.c.series_id == base.series_id))
    jobs = copied.join(job, job.c.id == run.c.job_id)
    _insert_copies(connection, job, {"id": job.c.id + shift, "state": literal("done")}, jobs)
    noise = 1 + 0.01 * ((run.c.id * 7919 + number * 104_729) % 1009 - 504) / literal(504.0)
    changed = {
        "id": run.c.id + shift,
        "job_id": run.c.job_id + shift,
        "series_id": series_key.c.id,
        "latency_seconds": run.c.latency_seconds * noise,
    }
    _insert_copies(connection, run, changed, copied)


def _insert_copies(connection: Connection, table: Table, changed: dict[str, Any], source: FromClause) -> None:
    names = [column.name for column in table.c]
    columns = [changed.get(name, table.c[name]) for name in names]
    connection.execute(insert(table).from_select(names, select(*columns).select_from(source)))


def _judge_next(database: Database, run_id: int) -> float:
    """Let a series have one run more, and return the milliseconds that judging it takes."""
    with database.write() as connection:
        measured = dict(connection.execute(select(run).where(run.c.id == run_id)).one()._mapping)
        asked = dict(connection.execute(select(job).where(job.c.id == measured["job_id"])).one()._mapping)
        night = dict(connection.execute(select(batch).where(batch.c.id == measured["batch_id"])).one()._mapping)
        del measured["id"], asked["id"], night["id"]
        # The copies are all of one batch, which no night is.
        night_id = connection.execute(insert(batch).values(night).returning(batch.c.id)).scalar_one()
        asked["batch_id"] = measured["batch_id"] = night_id
        measured["job_id"] = connection.execute(insert(job).values(asked).returning(job.c.id)).scalar_one()
        expect_judgement(connection, connection.execute(insert(run).values(measured).returning(run.c.id)).scalar_one())
    started = time.perf_counter()
    (judged,) = watch(database)
    assert judged.state == "quiet"
    return (time.perf_counter() - started) * 1000
