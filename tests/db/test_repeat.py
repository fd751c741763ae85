"""Measuring again: a new job beside the old one, which stays what it was."""

import pytest

from bench.errors import InputError
from db import jobs as queue
from db.engine import Database
from db.jobs import fail_job
from db.repeat import failed_jobs, repeat_jobs
from tests.db.builders import (
    QUALITY_SPEC,
    SPEED_SPEC,
    add_jobs,
    add_worker,
    change,
    claimed_by,
    job_row,
    new_job,
    row_counts,
    states,
)

#: what a repeated job has of its own; all else is the old one's
OWN = {
    "id",
    "state",
    "attempt",
    "failures",
    "worker_id",
    "lease_until",
    "progress",
    "error",
    "cancel_requested",
    "repeat_of",
    "reason",
    "queued_at",
    "started_at",
    "finished_at",
}


def repeat(database: Database, *job_ids: int, reason: str = "retry asked for") -> list[int]:
    """Repeat jobs."""
    with database.write() as connection:
        return repeat_jobs(connection, list(job_ids), reason)


def to_retry(database: Database, batch_id: int = 1) -> list[int]:
    """Return the failed jobs of a batch."""
    with database.read() as connection:
        return failed_jobs(connection, batch_id)


def failed_job(database: Database) -> int:
    """Return a job that failed at its one attempt."""
    spec = QUALITY_SPEC.model_copy(update={"device": "cpu", "machine": "machine-a", "temperature": 0.3})
    add_jobs(database, [new_job(spec, queue="cpu.4", memory_mib=1234, session_key="own-key")], priority=3)
    job = claimed_by(database, add_worker(database))
    fail_job(database, job.id, job.attempt, error="It broke", max_attempts=1)
    return job.id


def test_a_repeated_job_asks_for_the_same_and_starts_anew(database: Database) -> None:
    old_id = failed_job(database)
    before = job_row(database, old_id)
    (new_id,) = repeat(database, old_id)
    assert job_row(database, old_id) == before
    old, new = before._asdict(), job_row(database, new_id)._asdict()
    assert {name for name in old if name not in OWN and old[name] != new[name]} == set()
    assert (new["repeat_of"], new["reason"], new["state"]) == (old_id, "retry asked for", "queued")
    assert (new["attempt"], new["failures"], new["cancel_requested"]) == (0, 0, False)
    empty = ("worker_id", "lease_until", "progress", "error", "started_at", "finished_at")
    assert [new[name] for name in empty] == [None] * len(empty)
    assert new["queued_at"] >= old["queued_at"]


def test_a_repeated_job_is_claimed_like_any_other(database: Database) -> None:
    (new_id,) = repeat(database, failed_job(database))
    job = claimed_by(database, add_worker(database, "worker-b"))
    assert (job.id, job.attempt, job.spec.temperature) == (new_id, 1, 0.3)


@pytest.mark.parametrize("state", ["done", "failed", "cancelled"])
def test_every_job_that_has_ended_can_be_repeated(database: Database, state: str) -> None:
    (job_id,) = add_jobs(database, [new_job(SPEED_SPEC)])
    change(database, job_id, state=state)
    (new_id,) = repeat(database, job_id, reason="confirmation")
    assert states(database, [job_id, new_id]) == [state, "queued"]
    assert job_row(database, new_id).reason == "confirmation"


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_job_that_has_not_ended_is_not_repeated(database: Database, state: str) -> None:
    ended, job_id = add_jobs(database, 2)
    change(database, ended, state="done")
    change(database, job_id, state=state)
    with pytest.raises(InputError) as caught:
        repeat(database, ended, job_id)
    assert str(caught.value) == f"job {job_id} is {state}; it can be repeated once it has ended"
    assert row_counts(database)["job"] == 2


def test_a_job_that_is_not_there_is_said(database: Database) -> None:
    with pytest.raises(InputError, match="there is no job 4711"):
        repeat(database, failed_job(database), 4711)
    assert row_counts(database)["job"] == 1


def test_several_are_repeated_in_their_order_and_each_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = add_jobs(database, 5)
    for job_id in jobs:
        change(database, job_id, state="failed")
    monkeypatch.setattr(queue, "_IDS_AT_ONCE", 2)
    new = repeat(database, jobs[3], *jobs)
    assert new == sorted(new)
    assert [job_row(database, job_id).repeat_of for job_id in new] == [jobs[3], jobs[0], jobs[1], jobs[2], jobs[4]]


def test_nothing_is_repeated_for_nothing(database: Database) -> None:
    assert repeat(database) == []


def test_a_batch_s_jobs_to_retry(database: Database) -> None:
    assert to_retry(database) == []
    done, failed, cancelled, queued, repeated = add_jobs(database, 5)
    (other,) = add_jobs(database)
    for job_id, state in ((done, "done"), (failed, "failed"), (cancelled, "cancelled"), (other, "failed")):
        change(database, job_id, state=state)
    change(database, repeated, state="failed")
    assert to_retry(database) == [failed, cancelled, repeated]
    (again,) = repeat(database, repeated)
    assert to_retry(database) == [failed, cancelled]
    # the repetition that failed is what is to be retried, not the job that it stands for
    change(database, again, state="failed")
    assert to_retry(database) == [failed, cancelled, again]
    assert states(database, [queued]) == ["queued"]
