"""Following a batch to its end."""

import json
from collections.abc import Callable

import pytest

from bench.errors import UnavailableError
from cli import follow as module
from cli.follow import DONE, FAILED, NOTHING_MEASURED, conclude, exit_code, follow, snapshot
from db.engine import Database
from db.jobs import cancel_jobs, extend_lease, fail_job
from db.runs import store_measurement
from report.progress import Snapshot
from tests.db.builders import SPEED_SPEC, add_jobs, add_worker, claimed_by, measurement, new_job


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the pauses be none."""
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(module, "_LONGEST_PAUSE_SECONDS", 0.0)


def measure(database: Database, jobs: int) -> None:
    """Let a worker measure so many jobs."""
    worker = add_worker(database, f"worker-{jobs}")
    for _ in range(jobs):
        job = claimed_by(database, worker)
        store_measurement(database, job.id, job.attempt, "machine-a", measurement({"accuracy": 0.5}))


def after(looks: int, action: Callable[[], None]) -> Callable[[], bool]:
    """Return a `gone` that says no, and acts at the so-manieth look."""
    counted = iter(range(looks, -1, -1))

    def look() -> bool:
        if next(counted) == 0:
            action()
        return False

    return look


def test_a_batch_is_followed_until_its_last_job_has_ended(
    history: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    add_jobs(history, 3)
    measure(history, 1)
    last = follow(history, 1, gone=after(2, lambda: measure(history, 2)))
    assert last.batch.done == 3
    assert capsys.readouterr().err.splitlines() == [
        "[1/3] job 1 done: tiny facts direct float32: accuracy 0.500",
        "[2/3] job 2 done: tiny facts direct float32: accuracy 0.500",
        "[3/3] job 3 done: tiny facts direct float32: accuracy 0.500",
    ]


def test_a_quiet_one_says_only_what_is_wrong(history: Database, capsys: pytest.CaptureFixture[str]) -> None:
    add_jobs(history)
    measure(history, 1)
    assert follow(history, 1, quiet=True).batch.done == 1
    assert capsys.readouterr() == ("", "")


def test_following_ends_where_the_worker_is_gone(history: Database, capsys: pytest.CaptureFixture[str]) -> None:
    add_jobs(history, 2)
    last = follow(history, 1, gone=lambda: True)
    assert last.batch.open == 2
    # It may have been on its way up, so nothing is said about jobs that no worker takes.
    assert last.waiting == []
    assert capsys.readouterr().err == ""


def test_jobs_that_nobody_can_take_are_said_once(history: Database, capsys: pytest.CaptureFixture[str]) -> None:
    add_jobs(history)
    looks = iter(range(5))

    def look(database: Database, batch_id: int) -> Snapshot:
        if next(looks) == 4:
            with database.write() as connection:
                cancel_jobs(connection, [1])
        return snapshot(database, batch_id)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "snapshot", look)
        follow(history, 1)
    assert capsys.readouterr().err == (
        "1 job waits in queue any.4: no worker is running; start one with `benchbeat up` or `benchbeat worker`\n"
        "[1/1] job 1 cancelled: tiny facts direct float32\n"
    )


def test_following_ends_where_no_worker_can_take_what_is_left(history: Database) -> None:
    add_worker(history, "small")
    add_jobs(history, [new_job(), new_job(memory_mib=9000)])
    looks = iter(range(5))

    def look(database: Database, batch_id: int) -> Snapshot:
        if next(looks) == 3:
            measure(database, 1)
        return snapshot(database, batch_id)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "snapshot", look)
        last = follow(history, 1, to_the_last=False)
    assert (last.batch.done, last.batch.queued) == (1, 1)
    assert exit_code(last) == FAILED


def test_a_database_that_is_away_for_a_while_is_said_once(
    history: Database, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    add_jobs(history)
    measure(history, 1)
    looks = iter(range(4))

    def look(database: Database, batch_id: int) -> Snapshot:
        if next(looks) < 3:
            raise UnavailableError("The database is away")
        return snapshot(database, batch_id)

    monkeypatch.setattr(module, "snapshot", look)
    assert follow(history, 1).batch.done == 1
    assert capsys.readouterr().err.splitlines() == [
        "Warning: The database is away",
        "[1/1] job 1 done: tiny facts direct float32: accuracy 0.500",
    ]


def test_a_long_look_is_followed_by_a_longer_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert module._pause_seconds(0.001) == 0.5
    assert module._pause_seconds(0.1) == pytest.approx(2.0)
    assert module._pause_seconds(5.0) == 10.0


@pytest.mark.parametrize(
    ("done", "failed", "code"),
    [(2, 0, DONE), (1, 1, FAILED), (0, 2, NOTHING_MEASURED), (1, 0, FAILED), (0, 0, NOTHING_MEASURED)],
)
def test_the_exit_code_says_how_much_was_measured(history: Database, done: int, failed: int, code: int) -> None:
    add_jobs(history, 2)
    if done:
        measure(history, done)
    worker = add_worker(history, "failing")
    for _ in range(failed):
        job = claimed_by(history, worker)
        fail_job(history, job.id, job.attempt, error="no", max_attempts=1)
    assert exit_code(snapshot(history, 1)) == code


def test_the_end_tells_what_was_disturbed_and_the_total_grows_with_each_repetition(
    history: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    add_jobs(history, [new_job(SPEED_SPEC)])
    worker = add_worker(history, queues=("any.4", "machine.machine-a.cpu"))

    def disturb() -> None:
        job = claimed_by(history, worker)
        measured = measurement(contamination=("the machine slept for 9.0 s",), worth_repeating=True)
        store_measurement(history, job.id, job.attempt, "machine-a", measured, max_repeats=1)

    disturb()
    last = follow(history, 1, gone=after(2, disturb))
    # All was measured, though none of it is a baseline.
    assert conclude(last) == DONE
    said = "tiny speed 32+8 float32"
    end = "the last of 2 tries: the machine never got quiet"
    assert capsys.readouterr().err.splitlines() == [
        f"[1/2] job 1 done: {said}; disturbed: the machine slept for 9.0 s",
        f"[2/2] job 2 done: {said}; disturbed: the machine slept for 9.0 s; {end}",
        "2 of 2 runs were disturbed, and no baseline:",
        "job 1: the machine slept for 9.0 s; measured again as job 2",
        f"job 2: the machine slept for 9.0 s; {end}",
    ]


def test_a_reason_to_wait_is_said_once_though_its_figures_change(
    history: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    add_jobs(history)
    job = claimed_by(history, add_worker(history))
    cores = iter("5678")

    def wait() -> bool:
        reason = f"other processes use 1.{next(cores)} of 2 cores"
        progress = {"phase": "waiting for a quiet machine", "done": 0, "total": None, "median_seconds": None}
        extend_lease(history, job.id, job.attempt, 60, json.dumps(progress | {"reason": reason}))
        return reason.startswith("other processes use 1.8")

    follow(history, 1, gone=wait)
    assert capsys.readouterr().err.splitlines() == [
        "job 1: waiting for a quiet machine (other processes use 1.5 of 2 cores)"
    ]
