"""`status`, `cancel`, `retry` and `rerun`."""

import json
import threading
from pathlib import Path

import pytest

from db.engine import Database
from db.jobs import fail_job
from db.runs import store_measurement
from tests.cli.conftest import Command
from tests.db.builders import add_jobs, add_worker, cancel, claimed_by, job_row, measurement, states
from tests.waiting import wait_until


def test_status_of_an_empty_history_says_how_to_begin(benchbeat: Command, history: Database) -> None:
    shown = benchbeat("status")
    assert shown.code == 0
    assert "none yet; begin with `benchbeat run --model smollm2-135m --workload facts --items 12`" in shown.out


def test_status_shows_batches_jobs_and_one_job(benchbeat: Command, history: Database) -> None:
    ids = add_jobs(history, 2)
    assert "nightly" in benchbeat("status").out
    assert "2 queued" in benchbeat("status", "--batch", "1").out
    assert benchbeat("status", str(ids[0])).out.startswith(f"job {ids[0]} (batch 1): tiny facts direct float32\nqueued")


def test_status_prints_json(benchbeat: Command, history: Database) -> None:
    add_jobs(history, 2)
    rows = json.loads(benchbeat("status", "-o", "json").out)
    assert [row["kind"] for row in rows] == ["batch", "queue", "waiting"]
    assert rows[0]["details"]["queued"] == 2
    assert [row["state"] for row in json.loads(benchbeat("status", "--batch", "1", "-o", "json").out)] == ["queued"] * 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("status", "99"), "there is no job 99"),
        (("status", "--batch", "99"), "there is no batch 99; the last one is 1"),
        (("cancel", "99"), "there is no job 99"),
        (("cancel", "1", "99"), "there is no job 99"),
        (("cancel", "--batch", "99"), "there is no batch 99; the last one is 1"),
        (("retry", "99"), "there is no job 99"),
        (("retry", "1"), "job 1 is queued; it can be repeated once it has ended"),
        (("retry", "--batch", "99"), "there is no batch 99; the last one is 1"),
    ],
)
def test_a_job_that_is_not_there_is_an_error_that_changes_nothing(
    benchbeat: Command, history: Database, arguments: tuple[str, ...], said: str
) -> None:
    ids = add_jobs(history)
    done = benchbeat(*arguments)
    assert (done.code, done.out, done.err) == (2, "", f"Error: {said}\n")
    assert states(history, ids) == ["queued"]


def test_jobs_are_cancelled(benchbeat: Command, history: Database) -> None:
    ids = add_jobs(history, 3)
    assert benchbeat("cancel", str(ids[0]), str(ids[2])).out == "2 cancelled\n"
    assert states(history, ids) == ["cancelled", "queued", "cancelled"]


def test_a_batch_is_cancelled_with_the_job_that_runs(benchbeat: Command, history: Database) -> None:
    ids = add_jobs(history, 3)
    claimed_by(history, add_worker(history))
    assert benchbeat("cancel", "--batch", "1").out == "2 cancelled, 1 running being stopped\n"
    assert states(history, ids) == ["running", "cancelled", "cancelled"]
    assert job_row(history, ids[0]).cancel_requested


def test_cancelling_what_has_ended_changes_nothing_and_says_so(benchbeat: Command, history: Database) -> None:
    add_jobs(history)
    benchbeat("cancel", "1")
    again = benchbeat("cancel", "1")
    assert (again.code, again.out, again.err) == (0, "nothing was left to cancel\n", "")


def test_failed_and_cancelled_jobs_are_queued_again(benchbeat: Command, history: Database, redis: str) -> None:
    ids = add_jobs(history, 4)
    claimed = claimed_by(history, add_worker(history))
    fail_job(history, claimed.id, claimed.attempt, error="no", max_attempts=1)
    benchbeat("cancel", str(ids[1]), str(ids[2]))
    assert benchbeat("retry", "--batch", "1").out == "queued 3 jobs again: 5 to 7\n"
    assert states(history, [1, 2, 3, 4, 5, 6, 7]) == ["failed", "cancelled", "cancelled", *["queued"] * 4]
    assert (job_row(history, 5).repeat_of, job_row(history, 5).reason) == (1, "retry asked for")


def test_a_batch_is_repeated_once(benchbeat: Command, history: Database, redis: str) -> None:
    add_jobs(history)
    benchbeat("cancel", "1")
    assert benchbeat("retry", "--batch", "1").out == "queued 1 job again: 2\n"
    assert benchbeat("retry", "--batch", "1").out == "no job of the batch failed or was cancelled\n"


def test_without_redis_a_job_is_queued_again_and_that_is_said(benchbeat: Command, history: Database) -> None:
    add_jobs(history)
    benchbeat("cancel", "1")
    done = benchbeat("retry", "1")
    assert (done.code, done.out) == (0, "queued 1 job again: 2\n")
    assert done.err.startswith("Warning: Redis at redis://127.0.0.1:1/0 does not answer")


def test_programs_are_told_what_was_cancelled_and_queued_again(
    benchbeat: Command, history: Database, redis: str
) -> None:
    add_jobs(history, 3)
    claimed_by(history, add_worker(history))
    assert json.loads(benchbeat("cancel", "--batch", "1", "-o", "json").out) == [{"cancelled": 2, "stopping": 1}]
    assert json.loads(benchbeat("cancel", "2", "-o", "json").out) == [{"cancelled": 0, "stopping": 0}]
    queued = benchbeat("retry", "3", "--batch", "1", "-o", "jsonl").out
    assert [json.loads(line) for line in queued.splitlines()] == [
        {"job": 4, "repeat_of": 3},
        {"job": 5, "repeat_of": 2},
    ]
    assert json.loads(benchbeat("retry", "--batch", "1", "-o", "json").out) == []


@pytest.fixture
def ended(history: Database) -> list[int]:
    """Give a batch of three jobs: measured, failed, cancelled."""
    ids = add_jobs(history, 3, labels={"host": "lab"})
    worker = add_worker(history)
    done = claimed_by(history, worker)
    store_measurement(history, done.id, done.attempt, "machine-a", measurement())
    failed = claimed_by(history, worker)
    fail_job(history, failed.id, failed.attempt, error="no", max_attempts=1)
    cancel(history, ids[2])
    return ids


def test_a_batch_is_run_again_in_a_new_one(benchbeat: Command, history: Database, redis: str, ended: list[int]) -> None:
    done = benchbeat("rerun", "--batch", "1")
    assert (done.code, done.out, done.err) == (0, "batch 2: 3 jobs queued again\n", "")
    assert states(history, [*ended, 4, 5, 6]) == ["done", "failed", "cancelled", *["queued"] * 3]
    assert [job_row(history, each).repeat_of for each in (4, 5, 6)] == ended
    assert job_row(history, 4).reason == "rerun asked for"
    # What was measured goes to where it was measured, and its labels with it.
    assert [job_row(history, each).machine for each in (4, 5)] == ["machine-a", None]
    assert benchbeat("export", "batches", "--label", "host=lab", "--columns", "batch").out == "batch\r\n1\r\n2\r\n"


def test_a_job_is_run_again_anywhere(benchbeat: Command, history: Database, redis: str, ended: list[int]) -> None:
    done = benchbeat("rerun", "1", "--anywhere", "-o", "json")
    assert json.loads(done.out) == [{"batch": 2, "name": "nightly", "jobs": 1}]
    assert job_row(history, 4).machine is None


def test_a_rerun_is_waited_for(benchbeat: Command, history: Database, redis: str, ended: list[int]) -> None:
    ending = threading.Thread(target=end_as_soon_as_queued, args=(history, 4))
    ending.start()
    done = benchbeat("rerun", "2", "--anywhere", "--wait")
    ending.join()
    assert (done.code, done.out) == (4, "batch 2: 1 job queued again\n")
    assert done.err.splitlines()[-1] == "[1/1] job 4 cancelled: tiny facts direct float32"


def end_as_soon_as_queued(database: Database, job_id: int) -> None:
    """Cancel a job once it is there."""
    wait_until(lambda: cancel(database, job_id) == (1, 0), description="the job is queued again")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("99",), "there is no job 99"),
        (("--batch", "99"), "there is no batch 99"),
        (("4",), "job 4 is queued; it can be repeated once it has ended"),
    ],
)
def test_what_can_t_be_run_again_is_said_and_nothing_is_queued(
    benchbeat: Command, history: Database, ended: list[int], arguments: tuple[str, ...], said: str
) -> None:
    add_jobs(history)
    done = benchbeat("rerun", *arguments)
    assert (done.code, done.out, done.err) == (2, "", f"Error: {said}\n")
    assert json.loads(benchbeat("export", "batches", "-o", "json").out)[-1]["batch"] == 2


def test_a_rerun_of_nothing_is_refused(benchbeat: Command, home: Path) -> None:
    done = benchbeat("rerun")
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith("Error: give job ids, or --batch with a batch's id\n")
    assert not list(home.iterdir())
