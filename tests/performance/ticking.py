"""What the clock and the reconciler cost, tick by tick, where nothing is to be done."""

import time
from collections.abc import Callable, Iterator

from bench.library import builtin_library
from bench.schedules import read_cron
from bench.sweep import Block, expand
from db.engine import Database
from db.tables import schedule
from scheduler.reconcile import reconcile, ring_for_queued
from scheduler.ring import Bell
from scheduler.schedules import Ticker, add_schedule
from tests.performance.claiming import queue_jobs
from tests.performance.results import AtMost, Result
from tests.performance.world import DatabaseKind, World

#: a hundredth of a core, at the default of a tick every 5 s
GOAL_CPU_MILLISECONDS = 50.0
GOAL_TICK_MILLISECONDS = 50.0


def tick_rows(world: World, kind: DatabaseKind) -> Iterator[Result]:
    """A tick of the reconciler over a long queue that was rung for, and one of many schedules, none due."""
    database = Database(world.new_database(kind))
    world.flush_redis()
    queue_jobs(database, world.sizes.queued)
    with Bell(world.redis.url) as bell:
        ring_for_queued(database, bell)
        ticks = _times(lambda: reconcile(database, bell, max_attempts=3), world.sizes.ticks, time.perf_counter)
    yield Result(
        row=f"tick-{kind}",
        what=f"a reconciler's tick over {world.sizes.queued:,} queued jobs",
        unit="ms",
        ours=ticks,
        goal=AtMost(GOAL_TICK_MILLISECONDS),
    )
    _add_schedules(database, world.sizes.schedules)
    ticker = Ticker(database)
    yield Result(
        row=f"tick-{kind}",
        what=f"beat's look at {world.sizes.schedules:,} schedules, CPU time",
        unit="ms",
        ours=_times(ticker.tick, world.sizes.ticks, time.process_time),
        goal=AtMost(GOAL_CPU_MILLISECONDS),
    )
    database.dispose()


def _times(work: Callable[[], object], count: int, clock: Callable[[], float]) -> tuple[float, ...]:
    """Return milliseconds of each call, after one that does not count."""
    work()
    taken = []
    for _ in range(count):
        started = clock()
        work()
        taken.append((clock() - started) * 1000)
    return tuple(taken)


def _add_schedules(database: Database, count: int) -> None:
    block = Block({"model": "smollm2-135m", "workload": "speed", "prompt_tokens": 8, "new_tokens": 8}, str)
    sweep = expand([block], builtin_library(), name="nightly")
    # Due in summer, which the row does not last for: nothing is due while it is measured.
    timing = read_cron("0 2 1 7 *", "Europe/Zurich", moment=time.time())
    added = add_schedule(database, "s0", sweep, timing, grace_seconds=21_600.0)
    with database.write() as connection:
        columns = [each for each in schedule.c if each.name not in ("id", "name")]
        row = connection.execute(schedule.select().with_only_columns(*columns).where(schedule.c.id == added.id)).one()
        connection.execute(schedule.insert(), [dict(row._mapping) | {"name": f"s{n}"} for n in range(1, count)])
