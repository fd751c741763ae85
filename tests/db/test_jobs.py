"""A job's life after the claim: its lease, and the one way in which it ends."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import text

from db import jobs as queue
from db.engine import Database
from db.jobs import Claimant, Expired, Lease
from tests.db.builders import (
    SAYINGS,
    add_jobs,
    add_worker,
    attempt_rows,
    cancel,
    change,
    claimed_by,
    claimed_job,
    expire,
    job_row,
    let_lease_run_out,
    new_job,
    outcomes,
    row_counts,
    states,
)

# --- the lease


def test_a_lease_is_extended_and_the_progress_kept(database: Database) -> None:
    job = claimed_job(database)
    let_lease_run_out(database, job.id)
    assert queue.extend_lease(database, job.id, job.attempt, 60, '{"done": 3}') == Lease(cancel_requested=False)
    row = job_row(database, job.id)
    assert row.lease_until - row.started_at == pytest.approx(60, abs=5)
    assert row.progress == '{"done": 3}'
    assert expire(database) == []


def test_a_lease_without_news_keeps_the_old_progress(database: Database) -> None:
    job = claimed_job(database)
    queue.extend_lease(database, job.id, job.attempt, 60, '{"done": 3}')
    queue.extend_lease(database, job.id, job.attempt, 60)
    assert job_row(database, job.id).progress == '{"done": 3}'


def test_looking_at_a_lease_writes_nothing(database: Database) -> None:
    job = claimed_job(database)
    before = job_row(database, job.id)
    assert queue.look_at_lease(database, job.id, job.attempt) == Lease(cancel_requested=False)
    assert job_row(database, job.id) == before


def test_a_wish_to_cancel_is_seen_with_the_lease(database: Database) -> None:
    job = claimed_job(database)
    cancel(database, job.id)
    assert queue.look_at_lease(database, job.id, job.attempt) == Lease(cancel_requested=True)
    assert queue.extend_lease(database, job.id, job.attempt, 60) == Lease(cancel_requested=True)


@pytest.mark.parametrize("state", ["queued", "done", "failed", "cancelled"])
def test_a_job_that_doesn_t_run_has_no_lease(database: Database, state: str) -> None:
    job = claimed_job(database)
    change(database, job.id, state=state)
    assert queue.extend_lease(database, job.id, job.attempt, 60) is None
    assert queue.look_at_lease(database, job.id, job.attempt) is None


# --- failing


def test_a_job_fails_at_its_last_attempt_only(database: Database) -> None:
    (job_id,) = add_jobs(database)
    worker = add_worker(database)
    for number, state in enumerate(["queued", "queued", "failed"], start=1):
        job = claimed_by(database, worker)
        assert (job.attempt, job.failures) == (number, number - 1)
        said = queue.fail_job(database, job_id, job.attempt, error=f"Broke {number}", stderr="log", max_attempts=3)
        assert said == job_row(database, job_id).state == state
    row = job_row(database, job_id)
    assert (row.failures, row.error, row.lease_until) == (3, "Broke 3", None)
    assert row.finished_at is not None
    told = [(each.outcome, each.error, each.stderr) for each in attempt_rows(database, job_id)]
    assert told == [("failed", f"Broke {n}", "log") for n in (1, 2, 3)]
    assert all(each.finished_at >= each.started_at for each in attempt_rows(database, job_id))


def test_a_hopeless_job_fails_at_once(database: Database) -> None:
    job = claimed_job(database)
    assert queue.fail_job(database, job.id, job.attempt, error="No such model", max_attempts=0) == "failed"
    assert attempt_rows(database, job.id)[0].stderr is None


def test_a_failed_attempt_may_teach_what_memory_is_needed(database: Database) -> None:
    job = claimed_job(database)
    queue.fail_job(database, job.id, job.attempt, error="Broke", max_attempts=3, memory_mib=5000)
    assert job_row(database, job.id).memory_mib == 5000


def test_an_error_with_any_characters_is_kept(database: Database) -> None:
    job = claimed_job(database)
    queue.fail_job(database, job.id, job.attempt, error="a\0b\ud800", stderr="\0\udcff log ü", max_attempts=3)
    assert job_row(database, job.id).error == "a\N{REPLACEMENT CHARACTER}b?"
    (told,) = attempt_rows(database, job.id)
    assert told.error == "a\N{REPLACEMENT CHARACTER}b?"
    assert told.stderr == "\N{REPLACEMENT CHARACTER}? log ü"
    again = claimed_by(database, add_worker(database, "worker-b"))
    assert queue.requeue_elsewhere(database, job.id, again.attempt, error="c\0", queue="any.8", memory_mib=1)
    assert job_row(database, job.id).error == "c\N{REPLACEMENT CHARACTER}"


def test_a_job_too_large_goes_to_a_larger_device(database: Database) -> None:
    job = claimed_job(database)
    moved = queue.requeue_elsewhere(
        database, job.id, job.attempt, error="Out of memory", queue="any.16", memory_mib=8193
    )
    assert moved
    row = job_row(database, job.id)
    assert (row.state, row.queue, row.memory_mib, row.error) == ("queued", "any.16", 8193, "Out of memory")
    assert (row.failures, row.lease_until, row.finished_at) == (1, None, None)
    assert [(each.outcome, each.error) for each in attempt_rows(database, job.id)] == [("failed", "Out of memory")]
    small = Claimant("worker-a", ("any.4", "any.8", "any.16"), 8192)
    assert queue.claim(database, small, lease_seconds=60) is None
    large = add_worker(database, "worker-large", memory_mib=16_384, queues=("any.4", "any.8", "any.16"))
    assert claimed_by(database, large).attempt == 2


def test_a_returned_attempt_doesn_t_count(database: Database) -> None:
    job = claimed_job(database)
    queue.extend_lease(database, job.id, job.attempt, 60, '{"done": 3}')
    assert queue.return_job(database, job.id, job.attempt)
    row = job_row(database, job.id)
    assert (row.state, row.failures, row.progress, row.lease_until) == ("queued", 0, None, None)
    assert outcomes(database, job.id) == ["returned"]
    again = claimed_by(database, add_worker(database, "worker-b"))
    assert (again.attempt, again.failures) == (2, 0)
    assert queue.fail_job(database, again.id, again.attempt, error="Broke", max_attempts=1) == "failed"


# --- leases that run out


def test_a_lost_job_is_queued_again_and_fails_at_its_last_attempt(database: Database) -> None:
    (job_id,) = add_jobs(database)
    worker = add_worker(database)
    for state in ("queued", "queued", "failed"):
        job = claimed_by(database, worker)
        queue.extend_lease(database, job_id, job.attempt, 60, '{"done": 3}')
        let_lease_run_out(database, job_id)
        assert expire(database, max_attempts=3) == [Expired(job_id, state)]
        row = job_row(database, job_id)
        assert (row.state, row.lease_until, row.progress) == (state, None, None)
        assert row.error == "The worker was lost while it ran the job"
        assert (row.finished_at is None) == (state == "queued")
    assert outcomes(database, job_id) == ["lost"] * 3
    assert queue.claim(database, worker, lease_seconds=60) is None


def test_only_leases_that_ran_out_are_taken_back(database: Database) -> None:
    jobs = add_jobs(database, 3)
    worker = add_worker(database)
    for _ in range(2):
        claimed_by(database, worker)
    with database.read() as connection:
        assert not queue.has_expired_leases(connection)
    let_lease_run_out(database, jobs[1])
    with database.read() as connection:
        assert queue.has_expired_leases(connection)
    assert expire(database) == [Expired(jobs[1], "queued")]
    assert expire(database) == []
    assert states(database, jobs) == ["running", "queued", "queued"]


def test_many_reconcilers_at_once_take_each_job_back_once(database: Database) -> None:
    jobs = add_jobs(database, 20)
    worker = add_worker(database)
    for _ in jobs:
        let_lease_run_out(database, claimed_by(database, worker).id)
    together = Barrier(4)

    def reconcile(_: int) -> list[Expired]:
        own = Database(database.url)
        together.wait()
        try:
            return expire(own)
        finally:
            own.dispose()

    with ThreadPoolExecutor(4) as pool:
        expired = [each for some in pool.map(reconcile, range(4)) for each in some]
    assert sorted(each.job_id for each in expired) == jobs
    assert {job_row(database, job_id).failures for job_id in jobs} == {1}


# --- cancelling


def test_a_queued_job_is_cancelled_at_once(database: Database) -> None:
    jobs = add_jobs(database, 2)
    assert cancel(database, jobs[0]) == (1, 0)
    row = job_row(database, jobs[0])
    assert row.state == "cancelled"
    assert row.finished_at is not None
    assert cancel(database, *jobs) == (1, 0)
    assert queue.claim(database, add_worker(database), lease_seconds=60) is None


def test_a_running_job_is_asked_to_stop(database: Database) -> None:
    job = claimed_job(database)
    assert cancel(database, job.id) == (0, 1)
    assert (job_row(database, job.id).state, job_row(database, job.id).finished_at) == ("running", None)
    assert queue.end_cancelled(database, job.id, job.attempt)
    row = job_row(database, job.id)
    assert (row.state, row.lease_until) == ("cancelled", None)
    assert row.finished_at is not None
    assert outcomes(database, job.id) == ["cancelled"]


@pytest.mark.parametrize(
    ("saying", "state", "outcome"),
    [
        ("fail", "cancelled", "failed"),
        ("requeue", "cancelled", "failed"),
        ("return", "cancelled", "returned"),
        ("cancelled", "cancelled", "cancelled"),
        # what was measured before the wish was seen stays measured
        ("finish", "done", "done"),
    ],
)
def test_a_job_that_ends_while_it_is_being_cancelled_ends_once(
    database: Database, saying: str, state: str, outcome: str
) -> None:
    job = claimed_job(database)
    cancel(database, job.id)
    SAYINGS[saying](database, job.id, job.attempt)
    row = job_row(database, job.id)
    assert (row.state, row.lease_until) == (state, None)
    assert row.finished_at is not None
    assert outcomes(database, job.id) == [outcome]
    assert queue.claim(database, add_worker(database, "worker-b"), lease_seconds=60) is None


def test_a_lost_job_that_was_to_be_cancelled_is_cancelled(database: Database) -> None:
    job = claimed_job(database)
    cancel(database, job.id)
    let_lease_run_out(database, job.id)
    assert expire(database) == [Expired(job.id, "cancelled")]
    assert job_row(database, job.id).finished_at is not None
    assert outcomes(database, job.id) == ["lost"]


@pytest.mark.parametrize("state", ["done", "failed", "cancelled"])
def test_a_job_that_has_ended_is_not_cancelled(database: Database, state: str) -> None:
    (job_id,) = add_jobs(database)
    change(database, job_id, state=state, finished_at=1.0)
    before = job_row(database, job_id)
    assert cancel(database, job_id) == (0, 0)
    assert job_row(database, job_id) == before


def test_more_jobs_than_one_statement_can_name_are_cancelled(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert queue._IDS_AT_ONCE < 32_766
    jobs = add_jobs(database, 25)
    job = claimed_by(database, add_worker(database))
    monkeypatch.setattr(queue, "_IDS_AT_ONCE", 10)
    assert cancel(database, *jobs) == (24, 1)
    assert states(database, jobs) == ["running"] + ["cancelled"] * 24
    assert job.id == jobs[0]


def test_cancelling_waits_for_the_claim_and_misses_nothing(database: Database) -> None:
    jobs = add_jobs(database, 40)
    worker = add_worker(database)
    together = Barrier(2)

    def claims() -> list[int]:
        own = Database(database.url)
        together.wait()
        taken = []
        while (job := queue.claim(own, worker, lease_seconds=60)) is not None:
            taken.append(job.id)
        own.dispose()
        return taken

    with ThreadPoolExecutor(1) as pool:
        claiming = pool.submit(claims)
        together.wait()
        queued, running = cancel(database, *jobs)
        taken = claiming.result()
    assert queued + running == len(jobs)
    assert [job_id for job_id in jobs if job_row(database, job_id).state == "running"] == taken
    assert len(taken) == running
    assert all(job_row(database, job_id).cancel_requested for job_id in jobs)


# --- counting for the bell


def test_queued_jobs_are_counted_by_queue(database: Database) -> None:
    jobs = add_jobs(database, [new_job(queue="any.4")] * 3 + [new_job(queue="mps.16")])
    change(database, jobs[0], state="running")
    with database.read() as connection:
        assert queue.queued_counts(connection) == {"any.4": 2, "mps.16": 1}


def test_nothing_queued_counts_nothing(database: Database) -> None:
    with database.read() as connection:
        assert queue.queued_counts(connection) == {}
        assert queue.next_queued(connection, "any.4", 10) == []


def test_the_first_of_a_queue(database: Database) -> None:
    low = add_jobs(database, 3)
    high = add_jobs(database, [new_job(), new_job(queue="mps.16")], priority=1)
    change(database, low[0], state="done")
    with database.read() as connection:
        assert queue.next_queued(connection, "any.4", 2) == [high[0], low[1]]
        assert queue.next_queued(connection, "any.4", 10) == [high[0], low[1], low[2]]


def test_the_first_of_a_batch(database: Database) -> None:
    add_jobs(database, 2, priority=9)
    own = add_jobs(database, 3)
    change(database, own[0], state="cancelled")
    batch_id = job_row(database, own[0]).batch_id
    with database.read() as connection:
        assert queue.next_queued_in_batch(connection, batch_id, 1) == [own[1]]
        assert queue.next_queued_in_batch(connection, batch_id, 10) == own[1:]


@pytest.mark.parametrize(
    ("values", "left"),
    [
        ({"state": "queued"}, True),
        ({"state": "running"}, True),
        # one that runs elsewhere is work all the same, whatever it needs
        ({"state": "running", "queue": "mps.64", "memory_mib": 60_000}, True),
        ({"memory_mib": 8193}, False),
        ({"queue": "mps.4"}, False),
        ({"state": "done"}, False),
        ({"state": "failed"}, False),
        ({"state": "cancelled"}, False),
    ],
)
def test_whether_work_is_left_for_a_batch_s_worker(database: Database, values: dict[str, object], left: bool) -> None:
    (job_id,) = add_jobs(database)
    add_jobs(database, 2)
    worker = add_worker(database, batch_id=job_row(database, job_id).batch_id)
    change(database, job_id, **values)
    with database.read() as connection:
        assert queue.work_left(connection, worker) == left


def test_a_state_outside_the_words_is_refused(database: Database) -> None:
    (job_id,) = add_jobs(database)
    with pytest.raises(Exception, match="job_state_check"):
        change(database, job_id, state="paused")


def test_every_attempt_is_told_for_each_claim(database: Database) -> None:
    add_jobs(database, 3)
    worker = add_worker(database)
    for ending in ("return", "fail", "finish"):
        job = claimed_by(database, worker)
        SAYINGS[ending](database, job.id, job.attempt)
    with database.read() as connection:
        attempts = connection.execute(text("SELECT sum(attempt) FROM job")).scalar_one()
    assert row_counts(database)["attempt"] == attempts == 3
