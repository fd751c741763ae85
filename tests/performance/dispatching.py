"""A job that does nothing, from its message to the committed run, beside a Celery task that does nothing."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

from redis import Redis

from bench.statistics import earned_percentile
from db.engine import Database
from scheduler.app import make_app
from scheduler.ring import Bell
from tests.db.builders import SPEED_SPEC, add_jobs, new_job
from tests.performance import nothing_celery
from tests.performance.results import AtMost, Result, alternate
from tests.performance.serving import Site, next_moment, telling
from tests.performance.world import DatabaseKind, World
from tests.waiting import wait_until
from tests.worker.scripted import ENTRY

GOAL_MILLISECONDS = 8.0
GOAL_TAIL_MILLISECONDS = 30.0

#: of the job's model, which the session knows by its name
_MODEL = {"good-hash": ENTRY}
_QUEUE = "any.4"
_WARM_UP = 10


def dispatch_rows(world: World, kind: DatabaseKind) -> Iterator[Result]:
    """One worker, one job at a time, each rung for when the one before was acknowledged."""
    world.flush_redis()
    site = Site(world, world.new_home(), world.new_database(kind))
    database = Database(site.url)
    with ExitStack() as stack:
        stack.callback(database.dispose)
        client = stack.enter_context(Redis.from_url(world.redis.url))
        # No tick rings meanwhile: the message that counts is ours.
        working = stack.enter_context(telling(site, "tests.performance.nothing_worker", BENCHBEAT_TICK_SECONDS="300"))
        bare = stack.enter_context(telling(site, "tests.performance.nothing_celery", world.redis.url))
        site.wait_for_workers([working.pid])
        bell = stack.enter_context(Bell(world.redis.url))
        app = make_app(world.redis.url)
        connection = stack.enter_context(app.connection_for_write())

        def ours() -> float:
            ids = queue_nothing(database, 1)
            return _milliseconds(client, lambda: bell.ring({_QUEUE: ids}), working)

        def theirs() -> float:
            options = {"queue": nothing_celery.QUEUE, "connection": connection, "retry": False}
            return _milliseconds(client, lambda: app.send_task(nothing_celery.TASK, (1,), **options), bare)

        pairs = alternate(ours, theirs, world.sizes.dispatches, warm_up=_WARM_UP)
    yield from _results(kind, tuple(a for a, _ in pairs), tuple(b for _, b in pairs))


def queue_nothing(database: Database, count: int) -> list[int]:
    """Queue jobs that do nothing; return their ids."""
    job = new_job(SPEED_SPEC, model_hash="good-hash", session_key="good", queue=_QUEUE)
    return add_jobs(database, [job] * count, models=_MODEL)


def _milliseconds(client: Any, send: Callable[[], object], working: Any) -> float:
    """Return how long after a message was sent the other side tells that it is done."""
    # kombu's list of what is not acknowledged yet; until then the consumer takes nothing.
    wait_until(lambda: client.hlen("unacked") == 0, "the last message is acknowledged")
    started = time.monotonic()
    send()
    return (next_moment(working) - started) * 1000


def _results(kind: DatabaseKind, ours: tuple[float, ...], theirs: tuple[float, ...]) -> Iterator[Result]:
    row, beside = f"dispatch-{kind}", "a Celery task that does nothing"
    yield Result(
        row=row,
        what="a job that does nothing, message to committed run",
        unit="ms",
        ours=ours,
        goal=AtMost(GOAL_MILLISECONDS),
        beside=beside,
        theirs=theirs,
    )
    tail, bare_tail = earned_percentile(ours, 99), earned_percentile(theirs, 99)
    if tail is not None and bare_tail is not None:
        yield Result(
            row=row,
            what="its 99th percentile",
            unit="ms",
            ours=(tail,),
            goal=AtMost(GOAL_TAIL_MILLISECONDS),
            beside=beside,
            theirs=(bare_tail,),
            readings=len(ours),
        )
