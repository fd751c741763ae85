"""The runner against real databases and session processes that follow a script (tests/worker/scripted.py)."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from db.jobs import cancel_jobs
from db.status import waiting_in_vain
from db.tables import model
from db.workers import live_workers
from tests.db.builders import (
    SPEED_SPEC,
    add_worker,
    attempt_rows,
    change,
    claimed_by,
    job_row,
    outcomes,
    overtaken,
    runs,
    states,
)
from tests.waiting import wait_until
from tests.worker.running import Ground, ground, sqlite_only
from tests.worker.test_supervise import PROBE


@pytest.fixture
def it(database_url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    with ground(database_url, home, monkeypatch) as made:
        yield made


def test_a_job_is_measured_and_stored(it: Ground) -> None:
    runner = it.runner()
    [job_id] = it.queue("good")
    assert runner.run_one() == f"job {job_id} done"
    row = job_row(it.database, job_id)
    assert (row.state, row.attempt, row.failures, row.error) == ("done", 1, 0, None)
    [run] = runs(it.database)
    assert (run.job_id, run.machine_id, run.device) == (job_id, "machine-a", "cpu")
    assert outcomes(it.database, job_id) == ["done"]
    assert it.spooled() == []
    assert runner.run_one() == "nothing to run"
    assert runner.loaded == "good"


def test_a_job_that_crashes_its_session_every_time_fails_with_the_last_words(it: Ground) -> None:
    runner = it.runner(max_attempts=2)
    [job_id] = it.queue("crash")
    assert "queued" in runner.run_one()
    assert "failed" in runner.run_one()
    assert runner.run_one() == "nothing to run"
    row = job_row(it.database, job_id)
    assert (row.state, row.attempt, row.failures) == ("failed", 2, 2)
    assert row.error == "The session process ended with exit code 3"
    first, last = attempt_rows(it.database, job_id)
    assert (first.outcome, first.stderr) == ("failed", "attempt 1: the driver is gone")
    assert (last.outcome, last.stderr) == ("failed", "attempt 2: the driver is gone")
    assert runs(it.database) == []


@sqlite_only
def test_a_killed_session_is_no_reason_to_wait(it: Ground) -> None:
    runner = it.runner()
    [job_id] = it.queue("kill")
    runner.run_one()
    row = job_row(it.database, job_id)
    assert (row.state, row.failures, row.lease_until) == ("queued", 1, None)
    assert row.error == "The session process was killed; the machine may have run out of memory"


@sqlite_only
def test_a_session_that_the_system_killed_for_want_of_memory_is_not_tried_here_again(
    it: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter((3, 4))
    monkeypatch.setattr("worker.supervise.oom_kills", lambda: next(counts))
    runner = it.runner()
    [job_id] = it.queue("kill")
    runner.run_one()
    row = job_row(it.database, job_id)
    assert (row.state, row.queue, row.memory_mib) == ("queued", "any.16", PROBE.memory_mib + 1)
    assert row.error.startswith("The system killed its process for want of memory; Test CPU has 8192 MiB")
    assert runner.run_one() == "nothing to run"


@sqlite_only
@pytest.mark.parametrize(("kind", "state"), [("model", "failed"), ("input", "failed"), ("error", "queued")])
def test_what_can_not_be_had_is_not_tried_again(it: Ground, kind: str, state: str) -> None:
    runner = it.runner()
    [job_id] = it.queue(f"fail-{kind}")
    runner.run_one()
    row = job_row(it.database, job_id)
    assert (row.state, row.failures, row.error) == (state, 1, f"It failed ({kind})")
    assert attempt_rows(it.database, job_id)[0].stderr == ("Traceback: here" if kind == "error" else None)


def test_out_of_memory_moves_the_job_to_a_larger_device(it: Ground) -> None:
    runner = it.runner()
    [job_id] = it.queue("fail-memory")
    assert runner.run_one() == f"job {job_id} waits for a larger device: It failed (memory)"
    row = job_row(it.database, job_id)
    assert (row.state, row.queue, row.memory_mib) == ("queued", "any.16", PROBE.memory_mib + 1)
    assert "Test CPU has 8192 MiB, so a larger device is needed" in row.error
    assert runner.run_one() == "nothing to run"
    with it.database.read() as connection:
        [waiting] = waiting_in_vain(connection, live_workers(connection))
    assert "ran out of memory on a device of 8.0 GiB; the largest live device has 8.0 GiB" in waiting.reason
    # A larger worker takes it.
    assert claimed_by(it.database, add_worker(it.database, "large", memory_mib=16384, queues=("any.16",))).id == job_id


@sqlite_only
def test_a_job_over_its_time_fails_with_the_setting_that_says_so(it: Ground) -> None:
    runner = it.runner(job_seconds=0.3, max_attempts=1)
    [job_id] = it.queue("wait")
    runner.run_one()
    row = job_row(it.database, job_id)
    assert (row.state, row.error) == ("failed", "It held the device for more than 0.3 s (setting job_seconds)")


def test_a_running_job_is_cancelled(it: Ground) -> None:
    runner = it.runner()
    [job_id, next_id] = it.queue("wait", "wait")
    running = it.begin(runner, job_id)
    with it.database.write() as connection:
        assert cancel_jobs(connection, [job_id, next_id]) == (1, 1)
    assert running.result(timeout=10) == f"job {job_id} cancelled"
    assert states(it.database, [job_id, next_id]) == ["cancelled", "cancelled"]
    assert outcomes(it.database, job_id) == ["cancelled"]
    assert runner.run_one() == "nothing to run"


@sqlite_only
def test_a_session_that_ignores_term_holds_up_no_cancelling(it: Ground) -> None:
    runner = it.runner()
    [job_id, after] = it.queue("stubborn", "good")
    running = it.begin(runner, job_id)
    with it.database.write() as connection:
        cancel_jobs(connection, [job_id])
    assert running.result(timeout=20) == f"job {job_id} cancelled"
    assert runner.run_one() == f"job {after} done"


def test_a_worker_that_stops_gives_its_job_back_uncounted(it: Ground) -> None:
    runner = it.runner()
    [job_id] = it.queue("wait")
    running = it.begin(runner, job_id)
    runner.stop()
    assert running.result(timeout=10) == f"job {job_id} went back to the queue"
    row = job_row(it.database, job_id)
    assert (row.state, row.attempt, row.failures, row.progress) == ("queued", 1, 0, None)
    assert runner.run_one() == "stopping"
    it.go()
    assert it.runner("worker-b").run_one() == f"job {job_id} done"
    assert outcomes(it.database, job_id) == ["returned", "done"]


@sqlite_only
def test_a_worker_that_is_told_twice_does_not_wait_for_a_stubborn_session(it: Ground) -> None:
    runner = it.runner()
    [job_id] = it.queue("stubborn")
    running = it.begin(runner, job_id)
    runner.stop(now=True)
    assert running.result(timeout=10) == f"job {job_id} went back to the queue"
    assert job_row(it.database, job_id).failures == 0
    assert outcomes(it.database, job_id) == ["returned"]


@sqlite_only
def test_a_sweep_may_set_a_shorter_limit_and_no_longer_one(it: Ground) -> None:
    runner = it.runner(job_seconds=5.0, max_attempts=1)
    [short] = it.queue("wait", spec=SPEED_SPEC.model_copy(update={"job_seconds": 0.3}))
    runner.run_one()
    assert job_row(it.database, short).error == "It held the device for more than 0.3 s (its sweep's job_seconds)"
    runner = it.runner("worker-b", job_seconds=0.3, max_attempts=1)
    [long] = it.queue("wait", spec=SPEED_SPEC.model_copy(update={"job_seconds": 60.0}))
    runner.run_one()
    assert job_row(it.database, long).error == "It held the device for more than 0.3 s (setting job_seconds)"


def test_a_worker_that_lost_its_lease_writes_nothing(it: Ground) -> None:
    runner = it.runner()
    [job_id] = it.queue("wait")
    running = it.begin(runner, job_id)
    overtaken(it.database, job_id, add_worker(it.database, "worker-b"))
    assert running.result(timeout=10) == f"job {job_id}: its lease was lost, so another attempt measures it"
    row = job_row(it.database, job_id)
    assert (row.state, row.attempt, row.worker_id) == ("running", 2, "worker-b")
    assert outcomes(it.database, job_id) == ["lost", None]


@sqlite_only
def test_a_lease_is_kept_while_a_job_runs(it: Ground) -> None:
    runner = it.runner(lease_seconds=1.5)
    [job_id] = it.queue("wait")
    running = it.begin(runner, job_id)
    first = job_row(it.database, job_id).lease_until
    wait_until(lambda: job_row(it.database, job_id).lease_until > first + 1.5, "the lease was extended twice")
    assert not running.done()
    runner.stop()


def test_a_job_that_can_not_be_started_is_not_stranded(it: Ground) -> None:
    runner = it.runner(max_attempts=1)
    [job_id, after] = it.queue("good", "wait-a")
    with it.database.write() as connection:
        connection.execute(update(model).where(model.c.hash == "good-hash").values(entry='{"shape": "round"}'))
    runner.run_one()
    row = job_row(it.database, job_id)
    assert (row.state, row.lease_until) == ("failed", None)
    assert "can't read its ModelEntry (shape: unknown key" in row.error
    assert states(it.database, [after]) == ["queued"]


@sqlite_only
def test_a_session_that_can_not_be_started_fails_the_attempt(it: Ground) -> None:
    runner = it.runner(max_attempts=1)
    (it.home / "logs").write_text("a file where the folder should be")
    [job_id] = it.queue("good")
    runner.run_one()
    row = job_row(it.database, job_id)
    assert row.state == "failed"
    assert "FileExistsError" in row.error


@sqlite_only
def test_jobs_of_the_loaded_model_go_first_until_the_streak_ends(it: Ground) -> None:
    runner = it.runner(max_streak=2)
    it.queue("good-a", "good-b", "good-a", "good-b", "good-a", "good-a")
    while runner.run_one() != "nothing to run":
        pass
    # The first and two more by affinity; then the oldest, whose model stays for the one that follows.
    assert [run.job_id for run in runs(it.database)] == [1, 3, 5, 2, 4, 6]
    assert [run.load_seconds is not None for run in runs(it.database)] == [True, False, False, True, False, True]


@sqlite_only
def test_every_fourth_claim_looks_for_who_waited_too_long(it: Ground) -> None:
    runner = it.runner(max_wait_seconds=0.001)
    [overdue] = it.queue("good-a")
    urgent = it.queue(*["good-b"] * 5)
    for job_id in urgent:
        change(it.database, job_id, priority=5)
    for _ in range(4):
        runner.run_one()
    assert [run.job_id for run in runs(it.database)] == [*urgent[:3], overdue]


@sqlite_only
def test_a_job_in_isolation_has_a_session_of_its_own(it: Ground) -> None:
    runner = it.runner()
    apart = SPEED_SPEC.model_copy(update={"isolation": "process"})
    it.queue("good")
    it.queue("good", "good", spec=apart)
    it.queue("good")
    while runner.run_one() != "nothing to run":
        pass
    measured = runs(it.database)
    assert len({run.session for run in measured}) == 4
    assert {run.session_position for run in measured} == {1}


@sqlite_only
def test_a_session_that_died_between_jobs_is_replaced(it: Ground) -> None:
    runner = it.runner()
    jobs = it.queue("leave", "leave")
    runner.run_one()
    wait_until(lambda: runner.loaded is None, "the session has ended")
    runner.run_one()
    assert states(it.database, jobs) == ["done", "done"]
    assert [row.failures for row in (job_row(it.database, each) for each in jobs)] == [0, 0]


@sqlite_only
def test_an_idle_session_gives_its_memory_back(it: Ground) -> None:
    runner = it.runner()
    it.queue("good")
    runner.run_one()
    runner.release_idle(3600)
    assert runner.loaded == "good"
    runner.release_idle(0)
    assert runner.loaded is None


@sqlite_only
def test_only_one_job_runs_at_a_time(it: Ground) -> None:
    runner = it.runner()
    first, second = it.queue("wait", "wait")
    running = it.begin(runner, first)
    other = it.start(runner)
    runner.release_idle(0)
    assert states(it.database, [first, second]) == ["running", "queued"]
    it.go()
    assert (running.result(timeout=10), other.result(timeout=10)) == (f"job {first} done", f"job {second} done")
