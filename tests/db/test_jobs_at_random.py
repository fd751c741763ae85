"""Workers that finish, fail, give back, fall silent and speak up late, at random: nothing is lost or doubled."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Row, text

from db.engine import Database
from db.jobs import (
    Claimant,
    Claimed,
    cancel_jobs,
    claim,
    end_cancelled,
    expire_leases,
    extend_lease,
    fail_job,
    requeue_elsewhere,
    return_job,
)
from db.runs import store_measurement
from tests.db.builders import add_jobs, add_worker, measurement, new_job
from tests.waiting import wait_until

WORKERS, JOBS, MAX_ATTEMPTS = 5, 50, 2

LIVES = """
SELECT j.id, j.state, j.attempt, j.failures, count(a.attempt) AS attempts, count(a.outcome) AS told,
    sum(CASE WHEN a.outcome = 'returned' THEN 1 ELSE 0 END) AS returned,
    max(CASE WHEN a.outcome = 'done' THEN a.attempt END) AS finished_by,
    max(CASE WHEN a.attempt = j.attempt THEN a.outcome END) AS last_outcome,
    (SELECT max(r.session) FROM run r WHERE r.job_id = j.id) AS session
FROM job j LEFT JOIN attempt a ON a.job_id = j.id
GROUP BY j.id, j.state, j.attempt, j.failures ORDER BY j.id
"""


@contextmanager
def own(url: str) -> Iterator[Database]:
    """Give a worker's own connection."""
    database = Database(url)
    try:
        yield database
    finally:
        database.dispose()


def everything_ended(database: Database) -> bool:
    """Whether no job is left."""
    with database.read() as connection:
        return not connection.execute(text("SELECT 1 FROM job WHERE state IN ('queued', 'running') LIMIT 1")).first()


def fall_silent(database: Database, job: Claimed) -> None:
    """Let the own lease run out."""
    values = {"job": job.id, "attempt": job.attempt}
    with database.write() as connection:
        connection.execute(text("UPDATE job SET lease_until = 1 WHERE id = :job AND attempt = :attempt"), values)


def say(database: Database, job: Claimed, ending: str) -> None:
    """Write how an attempt ended."""
    if ending == "finish":
        store_measurement(database, job.id, job.attempt, "machine-a", measurement(session=f"attempt-{job.attempt}"))
    elif ending == "fail":
        fail_job(database, job.id, job.attempt, error="It broke", max_attempts=MAX_ATTEMPTS)
    elif ending == "return":
        return_job(database, job.id, job.attempt)
    elif ending == "grow":
        requeue_elsewhere(database, job.id, job.attempt, error="Out of memory", queue="cpu.4", memory_mib=2000)
    else:
        end_cancelled(database, job.id, job.attempt)


def work(url: str, claimant: Claimant, seed: int) -> None:
    """Claim and end attempts until nothing is left; fall silent now and then, and speak up when it is too late."""
    chance = random.Random(seed)
    silent: list[Claimed] = []
    with own(url) as database:

        def goes_on() -> bool:
            if silent and chance.random() < 0.5:
                say(database, chance.choice(silent), chance.choice(["finish", "finish", "fail", "return", "grow"]))
            job = claim(database, claimant, lease_seconds=60)
            if job is None:
                return everything_ended(database)
            lease = extend_lease(database, job.id, job.attempt, 60, "{}")
            if lease is not None and lease.cancel_requested:
                say(database, job, "cancelled")
            elif chance.random() < 0.3:
                fall_silent(database, job)
                silent.append(job)
            else:
                say(database, job, chance.choice(["finish", "finish", "finish", "fail", "return", "grow"]))
            return False

        wait_until(goes_on, "every job has ended", timeout_seconds=60)


def disturb(url: str, jobs: list[int], seed: int) -> None:
    """Take back what was lost and cancel some of the jobs, until nothing is left."""
    chance = random.Random(seed)
    with own(url) as database:

        def ticks() -> bool:
            with database.write() as connection:
                expire_leases(connection, MAX_ATTEMPTS)
            if chance.random() < 0.3:
                with database.write() as connection:
                    cancel_jobs(connection, [job_id for job_id in jobs if chance.random() < 0.05])
            return everything_ended(database)

        wait_until(ticks, "every job has ended", timeout_seconds=60)


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_lost_or_doubled(database: Database, seed: int) -> None:
    jobs = add_jobs(database, [new_job(queue=("any.4", "cpu.4")[n % 2]) for n in range(JOBS)])
    workers = [add_worker(database, f"worker-{n}") for n in range(WORKERS)]
    with ThreadPoolExecutor(WORKERS + 2) as pool:
        running = [pool.submit(work, database.url, each, seed * 100 + n) for n, each in enumerate(workers)]
        running += [pool.submit(disturb, database.url, jobs, seed * 1000 + n) for n in range(2)]
        for each in running:
            each.result()
    with database.read() as connection:
        rows: list[Row[Any]] = list(connection.execute(text(LIVES)))
    assert [row.id for row in rows] == jobs
    for row in rows:
        assert row.state in ("done", "failed", "cancelled"), row
        assert row.told == row.attempts == row.attempt, row
        assert row.failures <= row.attempt - row.returned, row
        # what is told of a job is what its last attempt did, whatever the earlier ones said later
        assert row.finished_by == (row.attempt if row.state == "done" else None), row
        assert row.session == (f"attempt-{row.attempt}" if row.state == "done" else None), row
        if row.state == "failed":
            assert row.failures >= MAX_ATTEMPTS, row
            assert row.last_outcome in ("failed", "lost", "superseded"), row
    assert {"done"} < {row.state for row in rows}, "the chances were too kind"
