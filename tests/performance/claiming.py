"""A claim from a long queue, beside the same statements by hand on the bare driver."""

import json
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

import psycopg
from sqlalchemy import text

from bench.statistics import earned_percentile
from db.engine import Database
from db.jobs import Claimant, claim
from db.tables import job as job_table
from scheduler.queues import queues_for
from tests.db.builders import add_jobs, add_worker, new_job
from tests.performance.results import AtMost, Both, RatioAtMost, Result, alternate
from tests.performance.world import DatabaseKind, World

GOAL_MILLISECONDS = 5.0
GOAL_RATIO = 1.5

_LEASE_SECONDS = 600.0
_WARM_UP = 20
_SUBMITTED = 10_000
_PRIORITIES = (0, 1, 2, 3)
_QUEUES = ("any.1", "any.4", "cpu.4")
_SESSION_KEYS = tuple(f"model-{number}" for number in range(8))


def claim_rows(world: World, kind: DatabaseKind) -> Iterator[Result]:
    """Claims by a worker with a model loaded, from queues of several lengths."""
    for queued in world.sizes.backlogs:
        yield from _claims_from(world, kind, queued)


def _claims_from(world: World, kind: DatabaseKind, queued: int) -> Iterator[Result]:
    """Claims from so many jobs in three queues, of four priorities and eight models."""
    url = world.new_database(kind)
    database = Database(url)
    claimant = add_worker(database, queues=queues_for("cpu", "machine-a", 8192))
    queue_jobs(database, queued)
    by_hand = _SQLiteByHand(url, claimant) if kind == "sqlite" else _PostgreSQLByHand(url, claimant)
    pairs = alternate(_ours(database, claimant), by_hand, world.sizes.claims, warm_up=_WARM_UP)
    by_hand.close()
    database.dispose()
    ours, theirs = tuple(a for a, _ in pairs), tuple(b for _, b in pairs)
    yield Result(
        row=f"claim-{kind}",
        what=f"claim from {queued:,} queued jobs",
        unit="ms",
        ours=ours,
        goal=Both(AtMost(GOAL_MILLISECONDS), RatioAtMost(GOAL_RATIO)),
        beside="the probes by hand",
        theirs=theirs,
        size=queued,
    )
    tail, tail_by_hand = earned_percentile(ours, 99), earned_percentile(theirs, 99)
    if tail is not None and tail_by_hand is not None:
        yield Result(
            row=f"claim-{kind}",
            what=f"its 99th percentile, {queued:,} queued jobs",
            unit="ms",
            ours=(tail,),
            goal=AtMost(GOAL_MILLISECONDS),
            beside="the probes by hand",
            theirs=(tail_by_hand,),
            readings=len(ours),
        )


def queue_jobs(database: Database, count: int) -> None:
    """Queue so many jobs in three queues, of four priorities and eight models; those above 10,000 are copies."""
    keys, queues = cycle(_SESSION_KEYS), cycle(_QUEUES)
    submitted = min(count, _SUBMITTED)
    for priority in _PRIORITIES:
        jobs = [new_job(queue=next(queues), session_key=next(keys)) for _ in range(submitted // len(_PRIORITIES))]
        add_jobs(database, jobs, priority=priority)
    with database.write() as connection:
        names = ", ".join(column.name for column in job_table.c if column.name != "id")
        copy = f"INSERT INTO job ({names}) SELECT {names} FROM job ORDER BY id LIMIT {submitted}"
        for _ in range(count // submitted - 1):
            connection.execute(text(copy))
    if not database.is_sqlite:
        # As autovacuum does within a minute.
        with database.write() as connection:
            connection.execute(text("ANALYZE job"))


def _ours(database: Database, claimant: Claimant) -> Callable[[], float]:
    loaded: str | None = None

    def once() -> float:
        nonlocal loaded
        started = time.perf_counter()
        job = claim(database, claimant, lease_seconds=_LEASE_SECONDS, session_key=loaded)
        seconds = time.perf_counter() - started
        assert job is not None, "the queue is empty"
        loaded = job.session_key
        return seconds * 1000

    return once


_HEAD = """
SELECT j.id, j.priority FROM {queues} JOIN job j ON j.id = (
    SELECT h.id FROM job h WHERE h.state = 'queued' AND h.queue = q.value AND h.memory_mib <= {memory}
    ORDER BY h.priority DESC, h.id LIMIT 1)
ORDER BY j.priority DESC, j.id LIMIT 1
"""
_LOADED = """
SELECT j.id FROM {queues} JOIN job j ON j.id = (
    SELECT h.id FROM job h WHERE h.state = 'queued' AND h.queue = q.value AND h.memory_mib <= {memory}
    AND h.session_key = {key} AND h.priority = {priority} ORDER BY h.id LIMIT 1)
ORDER BY j.id LIMIT 1
"""
_TAKE = """
UPDATE job SET state = 'running', attempt = attempt + 1, worker_id = {worker}, lease_until = {now} + 600,
    started_at = {now}, progress = NULL, error = NULL
WHERE id = {id} AND state = 'queued'
RETURNING id, batch_id, attempt, failures, spec, model_hash, workload_hash, strategy_hash, session_key, memory_mib
"""
_BEGUN = "INSERT INTO attempt (job_id, attempt, worker_id, started_at) VALUES ({id}, {attempt}, {worker}, {now})"


class _ByHand(ABC):
    """The claim's statements with the bare driver: what the database itself costs."""

    def __init__(self, claimant: Claimant) -> None:
        self._claimant = claimant
        self._loaded: str | None = None

    def __call__(self) -> float:
        """Claim once; return the milliseconds."""
        started = time.perf_counter()
        self._loaded = self._claim()
        return (time.perf_counter() - started) * 1000

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""

    @abstractmethod
    def _claim(self) -> str:
        """Take a job in a transaction; return its session key."""

    def _statements(self, execute: Callable[[str, dict[str, Any]], Any], queues: Any) -> str:
        values = {"queues": queues, "memory": self._claimant.memory_mib, "worker": self._claimant.worker_id}
        job_id, priority = execute(_HEAD, values).fetchone()
        if self._loaded is not None:
            wanted = values | {"key": self._loaded, "priority": priority}
            found = execute(_LOADED, wanted).fetchone()
            job_id = found[0] if found else job_id
        taken = execute(_TAKE, values | {"id": job_id}).fetchone()
        execute(_BEGUN, values | {"id": job_id, "attempt": taken[2]})
        return str(taken[8])


class _SQLiteByHand(_ByHand):
    def __init__(self, url: str, claimant: Claimant) -> None:
        super().__init__(claimant)
        self._connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        # NORMAL, since ours does not wait for the disk either.
        for setting in ("journal_mode=WAL", "synchronous=NORMAL", "fullfsync=ON", "foreign_keys=ON"):
            self._connection.execute(f"PRAGMA {setting}")

    def close(self) -> None:
        self._connection.close()

    def _claim(self) -> str:
        self._connection.execute("BEGIN IMMEDIATE")
        key = self._statements(self._execute, json.dumps(self._claimant.queues))
        self._connection.execute("COMMIT")
        return key

    def _execute(self, statement: str, values: dict[str, Any]) -> sqlite3.Cursor:
        marks = {name: f":{name}" for name in values}
        clock = "((julianday('now') - 2440587.5) * 86400.0)"
        return self._connection.execute(
            statement.format(**(marks | {"queues": "json_each(:queues) AS q", "now": clock})), values
        )


class _PostgreSQLByHand(_ByHand):
    def __init__(self, url: str, claimant: Claimant) -> None:
        super().__init__(claimant)
        self._connection = psycopg.connect(url.replace("+psycopg", ""), prepare_threshold=None)

    def close(self) -> None:
        self._connection.close()

    def _claim(self) -> str:
        with self._connection.transaction():
            return self._statements(self._execute, list(self._claimant.queues))

    def _execute(self, statement: Any, values: dict[str, Any]) -> psycopg.Cursor[Any]:
        marks = {name: f"%({name})s" for name in values}
        marks |= {
            "queues": "unnest(%(queues)s::text[]) AS q(value)",
            "now": "extract(epoch from clock_timestamp())::float8",
        }
        return self._connection.execute(statement.format(**marks), values)
