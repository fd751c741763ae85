"""Workers that compete for a thousand jobs that do nothing, on one PostgreSQL."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

import psutil
from sqlalchemy import select

from db.engine import Database
from db.tables import attempt
from scheduler.reconcile import ring_for_queued
from scheduler.ring import Bell
from tests.performance.dispatching import queue_nothing
from tests.performance.results import AtMost, RatioAtMost, Result
from tests.performance.serving import Site, telling
from tests.performance.world import World

_TEAMS = (1, 2, 4)
_LOCK_WAIT = "100ms"
#: what PostgreSQL writes once a wait has lasted that long
_WAITED = re.compile(r"still waiting for|acquired \w+ on .* after")
_DRAIN_SECONDS = 900.0


class _Drained(NamedTuple):
    """How a team emptied the queue."""

    #: of the whole team, by the database's clock, once each of its workers was at work
    milliseconds_a_job: float
    #: share of all processors that was busy, by whomever
    busy: float


def workers_rows(world: World) -> Iterator[Result]:
    """Each worker has a home, a machine's name and a device's lock of its own, as in a rack of machines.

    A team's figure is the time between two claims of any of its workers. It must not grow with the team: on a machine
    with fewer processors than a team has workers it can't shrink for ever either, since all share the processors.
    """
    world.log_lock_waits(_LOCK_WAIT)
    seen = len(world.postgresql_log())
    drained: dict[int, list[_Drained]] = {team: [] for team in _TEAMS}
    for number in range(world.sizes.competitions):
        for team in _TEAMS if number % 2 == 0 else reversed(_TEAMS):
            drained[team].append(_drained(world, team))
    alone = tuple(each.milliseconds_a_job for each in drained[1])
    for team in _TEAMS:
        busy = max(each.busy for each in drained[team])
        yield Result(
            row="workers-postgresql",
            what=f"{world.sizes.contested:,} jobs that do nothing, between two claims, {team} at work",
            unit="ms",
            ours=tuple(each.milliseconds_a_job for each in drained[team]),
            goal=RatioAtMost(1.0) if team > 1 else None,
            beside="one worker" if team > 1 else "",
            theirs=alone if team > 1 else (),
            note=f"processors busy {busy:.0%}",
        )
    waits = _WAITED.findall(world.postgresql_log()[seen:])
    yield Result(
        row="workers-postgresql",
        what="waits of more than 100 ms for a lock of the database",
        unit="",
        ours=(float(len(waits)),),
        goal=AtMost(0),
    )


def _drained(world: World, team: int) -> _Drained:
    world.flush_redis()
    url = world.new_database("postgresql")
    sites = [Site(world, world.new_home(), url, machine=f"machine-{number}") for number in range(team)]
    database = Database(url)
    with ExitStack() as stack:
        stack.callback(database.dispose)
        workers = [stack.enter_context(telling(site, "tests.performance.nothing_worker")) for site in sites]
        sites[0].wait_for_workers([each.pid for each in workers])
        queue_nothing(database, world.sizes.contested)
        psutil.cpu_percent()
        with Bell(world.redis.url) as bell:
            ring_for_queued(database, bell)
        sites[0].wait_for_runs(world.sizes.contested, _DRAIN_SECONDS)
        busy = psutil.cpu_percent() / 100
        return _Drained(_milliseconds_a_job(database, team), busy)


def _milliseconds_a_job(database: Database, team: int) -> float:
    """Return the mean time between two claims, from the moment in which the last worker claimed its second job."""
    with database.read() as connection:
        query = select(attempt.c.worker_id, attempt.c.started_at).order_by(attempt.c.started_at)
        claims = connection.execute(query).all()
    by_worker: dict[str, list[float]] = {}
    for worker_id, at in claims:
        by_worker.setdefault(worker_id, []).append(at)
    assert len(by_worker) == team, "a worker got no job"
    began = max(at[min(1, len(at) - 1)] for at in by_worker.values())
    counted = [at for _, at in claims if at >= began]
    assert len(counted) > 1, "there were too few jobs for so many workers"
    return float(counted[-1] - counted[0]) / (len(counted) - 1) * 1000
