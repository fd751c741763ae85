"""The reconciler: rings again for what Redis forgot, and takes back what a lost worker held."""

import time
from pathlib import Path

import pytest
from redis import Redis

from bench.errors import UnavailableError
from db.engine import Database
from db.jobs import claim
from scheduler.reconcile import Tick, reconcile, reconcile_batch, ring_for_queued
from scheduler.ring import Bell
from tests.db.builders import add_jobs, add_worker, claimed_by, job_row, let_lease_run_out, new_job, states


def flush(broker_url: str) -> None:
    """Empty Redis."""
    with Redis.from_url(broker_url) as client:
        client.flushall()


def test_every_queued_job_rings_in_its_queue(database: Database, bell: Bell) -> None:
    add_jobs(database, [new_job(), new_job(), new_job(queue="mps.16")])
    assert reconcile(database, bell, max_attempts=3) == Tick([], 3)
    assert bell.waiting(["any.4", "mps.16"]) == {"any.4": 2, "mps.16": 1}


def test_what_has_rung_does_not_ring_again(database: Database, bell: Bell) -> None:
    add_jobs(database, 3)
    assert [ring_for_queued(database, bell) for _ in range(3)] == [3, 0, 0]
    add_jobs(database, 2)
    assert ring_for_queued(database, bell) == 2
    assert bell.waiting(["any.4"]) == {"any.4": 5}


def test_an_emptied_redis_is_filled_again(database: Database, bell: Bell, broker_url: str) -> None:
    add_jobs(database, 3)
    ring_for_queued(database, bell)
    flush(broker_url)
    assert ring_for_queued(database, bell) == 3
    assert bell.waiting(["any.4"]) == {"any.4": 3}


def test_only_what_is_missing_rings(database: Database, bell: Bell, broker_url: str) -> None:
    add_jobs(database, 3)
    ring_for_queued(database, bell)
    with Redis.from_url(broker_url) as client:
        client.lpop("any.4", 2)
    assert ring_for_queued(database, bell) == 2


def test_a_job_that_runs_or_has_ended_does_not_ring(database: Database, bell: Bell) -> None:
    add_jobs(database, 2)
    claimed_by(database, add_worker(database))
    assert ring_for_queued(database, bell) == 1


def test_a_queue_holds_so_many_rings_at_most(database: Database, bell: Bell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler.reconcile.MAX_RINGS", 4)
    add_jobs(database, [new_job()] * 6 + [new_job(queue="any.8")] * 5)
    assert ring_for_queued(database, bell) == 8
    assert ring_for_queued(database, bell) == 0
    assert bell.waiting(["any.4", "any.8"]) == {"any.4": 4, "any.8": 4}


def test_the_cap_is_a_thousand(database: Database, bell: Bell) -> None:
    add_jobs(database, 1100)
    assert ring_for_queued(database, bell) == 1000
    assert ring_for_queued(database, bell) == 0


def test_the_job_of_a_lost_worker_is_queued_and_rung_for(database: Database, bell: Bell) -> None:
    add_jobs(database)
    job = claimed_by(database, add_worker(database))
    let_lease_run_out(database, job.id)
    done = reconcile(database, bell, max_attempts=3)
    assert (done.expired, done.rung) == ([(job.id, "queued")], 1)
    assert reconcile(database, bell, max_attempts=3) == Tick([], 0)


def test_a_job_that_lost_its_worker_too_often_stays_failed(database: Database, bell: Bell) -> None:
    add_jobs(database)
    job = claimed_by(database, add_worker(database))
    let_lease_run_out(database, job.id)
    done = reconcile(database, bell, max_attempts=1)
    assert (done.expired, done.rung) == ([(job.id, "failed")], 0)
    assert job_row(database, job.id).error == "The worker was lost while it ran the job"


def test_a_lease_that_holds_is_left_alone(database: Database, bell: Bell) -> None:
    ids = add_jobs(database)
    claimed_by(database, add_worker(database))
    assert reconcile(database, bell, max_attempts=3) == Tick([], 0)
    assert states(database, ids) == ["running"]


def test_a_lease_is_taken_back_though_redis_is_away(database: Database) -> None:
    ids = add_jobs(database)
    claimed_by(database, add_worker(database))
    let_lease_run_out(database, ids[0])
    with Bell("redis://127.0.0.1:1/0") as bell, pytest.raises(UnavailableError, match="does not answer"):
        reconcile(database, bell, max_attempts=3)
    assert states(database, ids) == ["queued"]


def test_an_unreachable_database_is_named_without_its_password(bell: Bell) -> None:
    away = Database("postgresql+psycopg://me:sesame@127.0.0.1:1/x")
    with pytest.raises(UnavailableError) as caught:
        reconcile(away, bell, max_attempts=3)
    away.dispose()
    assert "sesame" not in str(caught.value)
    assert "Connection refused" in str(caught.value)


def test_a_worker_for_one_batch_rings_for_that_batch_on_its_own_doorbell(database: Database, bell: Bell) -> None:
    add_jobs(database, 5)
    ours = add_jobs(database, 2, name="ours")
    batch_id = job_row(database, ours[0]).batch_id

    def tick() -> int:
        return reconcile_batch(database, bell, batch_id=batch_id, queue="batch.2.w", max_attempts=3).rung

    assert [tick(), tick()] == [2, 0]
    assert bell.waiting(["batch.2.w", "any.4"]) == {"batch.2.w": 2, "any.4": 0}
    worker = add_worker(database, batch_id=batch_id)
    assert claim(database, worker, lease_seconds=60) is not None
    assert tick() == 0


def test_a_worker_for_one_batch_takes_back_every_lost_job(database: Database, bell: Bell) -> None:
    lost = add_jobs(database)
    claimed_by(database, add_worker(database))
    let_lease_run_out(database, lost[0])
    ours = add_jobs(database, name="ours")
    batch_id = job_row(database, ours[0]).batch_id
    done = reconcile_batch(database, bell, batch_id=batch_id, queue="batch.2.w", max_attempts=3)
    assert (done.expired, done.rung) == ([(lost[0], "queued")], 1)


def test_nothing_queued_asks_redis_for_nothing(database: Database) -> None:
    with Bell("redis://127.0.0.1:1/0") as bell:
        assert reconcile(database, bell, max_attempts=3) == Tick([], 0)


def test_after_the_database_was_away_the_living_may_first_extend_their_leases(database: Database, bell: Bell) -> None:
    (job_id,) = add_jobs(database)
    claimed_by(database, add_worker(database))
    let_lease_run_out(database, job_id)
    database.away_at = time.monotonic()
    assert reconcile(database, bell, max_attempts=3, grace_seconds=60).expired == []
    assert states(database, [job_id]) == ["running"]
    database.away_at = time.monotonic() - 60
    assert [each.state for each in reconcile(database, bell, max_attempts=3, grace_seconds=60).expired] == ["queued"]


def test_a_database_that_can_not_be_had_knows_since_when(tmp_path: Path) -> None:
    away = Database(f"sqlite:///{tmp_path / 'no folder' / 'history.db'}")
    with pytest.raises(UnavailableError), away.read():
        pass
    assert away.away_at is not None
