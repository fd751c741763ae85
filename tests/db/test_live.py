"""What goes on, looked at again and again."""

import json

import pytest

from db.engine import Database
from db.jobs import extend_lease, fail_job
from db.live import Looker, look
from db.runs import store_measurement
from tests.db.builders import add_jobs, add_worker, cancel, claimed_by, measurement, new_job


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Return what it was set to."""
        return self.seconds


def test_nothing_goes_on_in_an_empty_history(database: Database) -> None:
    with database.read() as connection:
        seen = look(connection)
    assert (seen.batches, seen.running, seen.workers, seen.queues, seen.failures, seen.runs) == ((),) * 6
    assert seen.left == {}


def test_everything_is_seen(database: Database) -> None:
    worker = add_worker(database)
    add_jobs(database, 4)
    add_jobs(database, [new_job(queue="cuda.1")], priority=3)
    failed = claimed_by(database, worker)
    fail_job(database, failed.id, failed.attempt, error="It broke", max_attempts=1)
    done = claimed_by(database, worker)
    measured = measurement({"items": 2})
    store_measurement(database, done.id, done.attempt, "machine-a", measured)
    running = claimed_by(database, worker)
    extend_lease(database, running.id, running.attempt, 60, json.dumps({"phase": "loading"}))
    with database.read() as connection:
        seen = look(connection)
    assert [(batch.id, batch.queued, batch.running, batch.done, batch.failed) for batch in seen.batches] == [
        (2, 1, 0, 0, 0),
        (1, 1, 1, 1, 1),
    ]
    assert [(job.id, job.progress) for job in seen.running] == [(running.id, {"phase": "loading"})]
    assert [(queue.name, queue.jobs, len(queue.in_vain)) for queue in seen.queues] == [
        ("any.4", 1, 0),
        ("cuda.1", 1, 1),
    ]
    assert [(job.id, job.error) for job in seen.failures] == [(failed.id, "It broke")]
    assert [job.id for job in seen.runs] == [done.id]
    # The one that waits takes 20 s, as the run before it did, and the one that runs at most so long.
    assert 20 < seen.left[1] <= 40
    # Nobody can take what the other batch waits for.
    assert 2 not in seen.left


def test_counts_are_read_anew_when_something_changed_or_after_a_while(database: Database) -> None:
    clock = Clock()
    looker = Looker(clock=clock)
    worker = add_worker(database)
    first, second, _ = add_jobs(database, 3)

    def queued() -> int:
        with database.read() as connection:
            return looker.look(connection).batches[0].queued

    assert queued() == 3
    cancel(database, first)
    assert queued() == 3
    clock.seconds += 5
    assert queued() == 2
    assert claimed_by(database, worker).id == second
    assert queued() == 1


def test_a_batch_that_ended_is_counted_once_more_and_then_remembered(database: Database) -> None:
    clock = Clock()
    looker = Looker(clock=clock)
    worker = add_worker(database)
    add_jobs(database)
    job = claimed_by(database, worker)
    with database.read() as connection:
        assert looker.look(connection).batches[0].open == 1
    store_measurement(database, job.id, job.attempt, "machine-a", measurement())
    for _ in range(2):
        clock.seconds += 5
        with database.read() as connection:
            (batch,) = looker.look(connection).batches
        assert (batch.open, batch.done) == (0, 1)


def test_one_batch_alone(database: Database) -> None:
    worker = add_worker(database)
    add_jobs(database, 2)
    add_jobs(database, [new_job(), new_job(queue="cpu.4")])
    claimed_by(database, worker)
    with database.read() as connection:
        seen = Looker(2).look(connection)
    assert [batch.id for batch in seen.batches] == [2]
    assert [(queue.name, queue.jobs) for queue in seen.queues] == [("any.4", 1), ("cpu.4", 1)]
    assert seen.running == ()


@pytest.mark.parametrize("jobs", [60, 300])
def test_the_time_left_of_a_large_batch_is_taken_from_a_sample(database: Database, jobs: int) -> None:
    worker = add_worker(database)
    add_jobs(database, jobs + 1)
    done = claimed_by(database, worker)
    store_measurement(database, done.id, done.attempt, "machine-a", measurement({"items": 2}))
    with database.read() as connection:
        assert look(connection).left[1] == pytest.approx(20.0 * jobs)
