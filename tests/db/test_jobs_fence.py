"""The fence: who lost a job writes nothing about it, whatever it says and whenever."""

import pytest

from db.engine import Database
from db.jobs import Claimed, Expired, Lease, extend_lease, fail_job, look_at_lease
from db.runs import store_measurement
from tests.db.builders import (
    SAYINGS,
    add_worker,
    attempt_rows,
    cancel,
    claimed_job,
    expire,
    job_row,
    let_lease_run_out,
    measurement,
    outcomes,
    overtaken,
    runs,
)


def taken_over(database: Database) -> tuple[Claimed, Claimed]:
    """Return a job as its first worker held it, and as the second holds it now."""
    first = claimed_job(database)
    return first, overtaken(database, first.id, add_worker(database, "worker-b"))


def test_a_lease_that_was_taken_over_is_lost(database: Database) -> None:
    first, second = taken_over(database)
    assert extend_lease(database, first.id, first.attempt, 60) is None
    assert look_at_lease(database, first.id, first.attempt) is None
    assert look_at_lease(database, second.id, second.attempt) == Lease(cancel_requested=False)


def test_a_worker_that_was_overtaken_writes_nothing(database: Database) -> None:
    first, second = taken_over(database)
    before = job_row(database, first.id)
    for saying, say in SAYINGS.items():
        assert not say(database, first.id, first.attempt), saying
        assert job_row(database, first.id) == before, saying
        # only its own attempt says that it came too late
        assert outcomes(database, first.id) == ["lost" if saying == "extend" else "superseded", None]
    assert runs(database) == []
    assert store_measurement(database, second.id, second.attempt, "machine-a", measurement()) is not None
    assert outcomes(database, first.id) == ["superseded", "done"]
    # nor is the other's run taken for its own
    assert store_measurement(database, first.id, first.attempt, "machine-a", measurement()) is None
    assert len(runs(database)) == 1


@pytest.mark.parametrize(
    ("ending", "state", "outcome"),
    [
        ("finish", "done", "done"),
        ("fail", "failed", "failed"),
        ("cancelled", "cancelled", "cancelled"),
    ],
)
def test_an_attempt_that_ended_is_never_told_otherwise(
    database: Database, ending: str, state: str, outcome: str
) -> None:
    job = claimed_job(database)
    SAYINGS[ending](database, job.id, job.attempt)
    before, told = job_row(database, job.id), attempt_rows(database, job.id)
    assert (before.state, [each.outcome for each in told]) == (state, [outcome])
    for late, say in SAYINGS.items():
        say(database, job.id, job.attempt)
        assert job_row(database, job.id) == before, late
        assert attempt_rows(database, job.id) == told, late
    assert len(runs(database)) == (ending == "finish")


def test_an_attempt_that_never_was_writes_nothing(database: Database) -> None:
    job = claimed_job(database)
    before = job_row(database, job.id)
    for saying, say in SAYINGS.items():
        assert not say(database, job.id, job.attempt + 1), saying
        assert not say(database, job.id + 1, job.attempt), saying
    assert job_row(database, job.id) == before
    assert outcomes(database, job.id) == [None]


def test_a_result_stored_twice_is_one_run_and_stays_done(database: Database) -> None:
    # the worker was killed after the commit, before it could remove the spool
    job = claimed_job(database)
    first = store_measurement(database, job.id, job.attempt, "machine-a", measurement())
    before = attempt_rows(database, job.id)
    assert store_measurement(database, job.id, job.attempt, "machine-a", measurement()) == first
    assert len(runs(database)) == 1
    assert attempt_rows(database, job.id) == before


def test_a_late_result_counts_while_nobody_has_claimed_since(database: Database) -> None:
    job = claimed_job(database)
    let_lease_run_out(database, job.id)
    assert expire(database) == [Expired(job.id, "queued")]
    assert store_measurement(database, job.id, job.attempt, "machine-a", measurement()) is not None
    row = job_row(database, job.id)
    assert (row.state, row.error, row.lease_until) == ("done", None, None)
    (told,) = attempt_rows(database, job.id)
    assert (told.outcome, told.error) == ("done", None)


def test_a_late_result_of_a_job_cancelled_since_is_kept_out(database: Database) -> None:
    job = claimed_job(database)
    let_lease_run_out(database, job.id)
    expire(database)
    cancel(database, job.id)
    assert store_measurement(database, job.id, job.attempt, "machine-a", measurement()) is None
    assert job_row(database, job.id).state == "cancelled"
    assert outcomes(database, job.id) == ["superseded"]


def test_what_a_lost_worker_says_later_explains_its_silence(database: Database) -> None:
    first, _ = taken_over(database)
    fail_job(database, first.id, first.attempt, error="It broke", stderr="Traceback", max_attempts=3)
    told = attempt_rows(database, first.id)[0]
    assert (told.outcome, told.error, told.stderr) == ("superseded", "It broke", "Traceback")
