"""One job in several processes: against real databases and sessions that follow a script (tests/worker/scripted.py)."""

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import text

from bench.errors import InputError
from bench.spec import JobSpec, StopRule
from db.jobs import cancel_jobs
from tests.db.builders import (
    QUALITY_SPEC,
    SPEED_SPEC,
    add_worker,
    attempt_rows,
    job_row,
    outcomes,
    overtaken,
    runs,
)
from tests.waiting import wait_until
from tests.worker.processes import ROOT
from tests.worker.running import Away, Ground, away_of, ground, sqlite_only
from tests.worker.test_supervise import PROBE, gone, order
from worker.protocol import Failed, Finished, Progress
from worker.several import SeveralProcesses
from worker.supervise import Crashed, SessionProcess, Stopped

TWO = SPEED_SPEC.model_copy(update={"processes": 2, "stop": StopRule(min_iterations=8)})
THREE = TWO.model_copy(update={"processes": 3})


class Starter:
    """Starts scripted sessions and keeps them."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.started: list[SessionProcess] = []

    def __call__(self) -> SessionProcess:
        assert all(gone(each.pid) for each in self.started), "one at a time holds a model"
        made = SessionProcess(PROBE, home=self._home, logs=self._home / "logs", module="tests.worker.scripted")
        self.started.append(made)
        return made


@pytest.fixture
def start(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Starter]:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{home}")
    made = Starter(home)
    yield made
    for session in made.started:
        session.stop(0.0)


def measure(
    sessions: SeveralProcesses, does: str, spec: JobSpec = TWO, seconds: float = 60.0, check: Any = None
) -> Any:
    given = order(does).model_copy(update={"spec": spec})
    return sessions.measure(given, job_seconds=seconds, check=check or (lambda progress: None))


# ---- seen from the runner


def test_each_share_is_measured_in_a_process_of_its_own(start: Starter) -> None:
    sessions = SeveralProcesses(start, 3)
    outcome = measure(sessions, "good", THREE)
    assert isinstance(outcome, Finished)
    assert (outcome.job_id, outcome.attempt) == (7, 2)
    assert len({session.pid for session in start.started}) == 3
    measured = outcome.measurement
    assert measured.session == f"session-{start.started[0].pid}"
    assert measured.session_position == 1
    # The first is asked for its share of at least eight, the others for as many as it took.
    assert [sample.latency_seconds for sample in measured.samples] == [3.0, 1.0, 1.0]
    assert [(sample.process, sample.iteration) for sample in measured.samples] == [(1, 0), (2, 1), (3, 2)]
    assert (measured.figures.iterations, measured.figures.latency_seconds) == (3, 1.0)
    assert (measured.figures.process_latency_low_seconds, measured.figures.process_latency_high_seconds) == (1.0, 3.0)
    assert measured.figures.load_seconds == 0.5
    assert sessions.pid == start.started[-1].pid
    assert sessions.alive
    sessions.stop()
    assert not sessions.alive


def test_progress_counts_all_iterations_and_says_which_process(start: Starter) -> None:
    seen: list[Progress | None] = []

    def check(progress: Progress | None) -> None:
        if not seen or progress is not seen[-1]:
            seen.append(progress)

    measure(SeveralProcesses(start, 2), "good", check=check)
    told = [progress for progress in seen if progress is not None]
    assert [(progress.process, progress.done) for progress in told] in ([(1, 1), (2, 2)], [(2, 2)], [(1, 1)], [])


def test_the_same_news_are_the_same_object(start: Starter, home: Path) -> None:
    seen: list[Progress] = []

    def check(progress: Progress | None) -> None:
        if progress is not None:
            seen.append(progress)
        if len(seen) == 4:
            (home / "go").touch()

    assert isinstance(measure(SeveralProcesses(start, 2), "second-wait", check=check), Finished)
    waiting = [progress for progress in seen if progress.process == 2]
    assert waiting[0] == Progress(phase="measuring", done=2, process=2)
    assert len({id(progress) for progress in waiting}) == 1


@pytest.mark.parametrize(
    ("does", "outcome"), [("second-crash", Crashed(3)), ("second-kill", Crashed(-9)), ("crash", Crashed(3))]
)
def test_who_loses_a_process_has_lost_all(start: Starter, does: str, outcome: Crashed) -> None:
    sessions = SeveralProcesses(start, 3)
    assert measure(sessions, does, THREE) == outcome
    assert len(start.started) == (2 if does.startswith("second") else 1)
    if outcome == Crashed(3):
        assert sessions.stderr_tail() == "attempt 2: the driver is gone"


def test_what_fails_in_the_second_process_fails(start: Starter) -> None:
    outcome = measure(SeveralProcesses(start, 2), "second-unread")
    assert isinstance(outcome, Failed)
    assert outcome.message == "the session can't read its order"


def test_processes_that_measured_different_things_fail(start: Starter) -> None:
    outcome = measure(SeveralProcesses(start, 2), "second-other")
    assert isinstance(outcome, Failed)
    assert (outcome.job_id, outcome.attempt, outcome.kind) == (7, 2, "error")
    assert outcome.message == "its process 2 found revision 'another', the first one 'abc'"


@pytest.mark.parametrize("reason", ["cancelled", "lost", "shutdown"])
def test_the_second_process_is_stopped_like_the_first(start: Starter, reason: str) -> None:
    sessions = SeveralProcesses(start, 2)

    def check(progress: Progress | None) -> str | None:
        return reason if progress is not None and progress.process == 2 else None

    assert measure(sessions, "second-wait", check=check) == Stopped(reason)
    assert not sessions.alive


def test_the_time_limit_is_one_for_all_processes(start: Starter) -> None:
    looks = count()

    def check(progress: Progress | None) -> str | None:
        return "lost" if progress is not None and progress.process == 2 and next(looks) == 8 else None

    # The first is said to have taken ten seconds, so that none are left of nine.
    sessions = SeveralProcesses(start, 2)
    assert measure(sessions, "slow-wait", seconds=9.0, check=check) == Stopped("timeout")
    assert not sessions.alive


def test_one_that_is_killed_between_two_processes_stays_so(start: Starter) -> None:
    sessions = SeveralProcesses(start, 2)
    sessions._killed = True  # as `kill` leaves it while none runs
    assert isinstance(measure(sessions, "good"), Crashed)
    assert len(start.started) == 2


def test_answers_are_not_spread_over_processes(start: Starter) -> None:
    sessions = SeveralProcesses(start, 2)
    with pytest.raises(InputError, match="only the iterations of a speed workload"):
        measure(sessions, "good", QUALITY_SPEC)


# ---- in the queue


@pytest.fixture
def it(database_url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    with ground(database_url, home, monkeypatch) as made:
        yield made


def asked(it: Ground, query: str) -> list[tuple[Any, ...]]:
    with it.database.read() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def test_two_processes_are_one_run(it: Ground) -> None:
    runner = it.runner()
    before, job_id, after = it.queue("good")[0], it.queue("good", spec=TWO)[0], it.queue("good")[0]
    assert [runner.run_one() for _ in range(3)] == [f"job {each} done" for each in (before, job_id, after)]
    assert outcomes(it.database, job_id) == ["done"]
    assert it.spooled() == []
    assert asked(it, f"SELECT processes, process_latency_low_seconds FROM history WHERE job_id = {job_id}") == [
        (2, 1.0)
    ]
    query = "SELECT s.process, s.iteration FROM samples s JOIN history h ON h.run_id = s.run_id WHERE h.job_id = {}"
    assert sorted(asked(it, query.format(job_id))) == [(1, 0), (2, 1)]
    assert asked(it, query.format(before)) == [(1, 0)]
    # Neither takes the loaded model over, nor leaves one behind.
    sessions = [run.session for run in runs(it.database)]
    assert len(set(sessions)) == 3


def test_an_attempt_that_loses_its_second_process_failed_and_the_next_begins_anew(it: Ground) -> None:
    runner = it.runner(max_attempts=2)
    [job_id] = it.queue("second-crash", spec=TWO)
    assert "queued" in runner.run_one()
    assert runner.loaded is None
    assert "failed" in runner.run_one()
    row = job_row(it.database, job_id)
    assert (row.state, row.attempt, row.failures) == ("failed", 2, 2)
    assert row.error == "The session process ended with exit code 3"
    assert [each.stderr for each in attempt_rows(it.database, job_id)] == [
        "attempt 1: the driver is gone",
        "attempt 2: the driver is gone",
    ]
    assert runs(it.database) == []
    assert it.spooled() == []


def test_the_second_process_is_cancelled(it: Ground) -> None:
    runner = it.runner()
    [job_id] = it.queue("second-wait", spec=TWO)
    running = it.begin(runner, job_id)
    session = runner._session
    assert session is not None
    with it.database.write() as connection:
        assert cancel_jobs(connection, [job_id]) == (0, 1)
    assert running.result(timeout=20) == f"job {job_id} cancelled"
    assert outcomes(it.database, job_id) == ["cancelled"]
    assert not psutil.pid_exists(session.pid)
    assert runs(it.database) == []


@sqlite_only
def test_a_worker_that_stops_in_the_second_process_gives_the_job_back(it: Ground) -> None:
    runner = it.runner()
    [job_id] = it.queue("second-wait", spec=TWO)
    running = it.begin(runner, job_id)
    runner.stop(now=True)
    assert running.result(timeout=20) == f"job {job_id} went back to the queue"
    assert job_row(it.database, job_id).failures == 0
    it.go()
    assert it.runner("worker-b").run_one() == f"job {job_id} done"
    assert outcomes(it.database, job_id) == ["returned", "done"]


@sqlite_only
def test_a_lease_that_is_lost_in_the_second_process_ends_the_attempt(it: Ground) -> None:
    runner = it.runner()
    [job_id] = it.queue("second-wait", spec=TWO)
    running = it.begin(runner, job_id)
    overtaken(it.database, job_id, add_worker(it.database, "worker-b"))
    assert running.result(timeout=20) == f"job {job_id}: its lease was lost, so another attempt measures it"
    assert runs(it.database) == []


@sqlite_only
def test_a_job_over_its_time_in_its_second_process_fails(it: Ground) -> None:
    runner = it.runner(job_seconds=0.3, max_attempts=1)
    [job_id] = it.queue("second-wait", spec=TWO)
    runner.run_one()
    row = job_row(it.database, job_id)
    assert (row.state, row.error) == ("failed", "It held the device for more than 0.3 s (setting job_seconds)")


@pytest.fixture
def away(request: pytest.FixtureRequest, database_url: str) -> Away:
    return away_of(request, database_url)


def test_what_several_processes_measured_waits_in_the_spool(it: Ground, away: Away) -> None:
    runner = it.runner()
    [job_id] = it.queue("second-wait", spec=TWO)
    running = it.begin(runner, job_id)
    with away():
        it.go()
        wait_until(it.spooled, "the result lies in the spool")
        assert "done" not in running.result(timeout=60)
        assert it.spooled() == [f"{job_id}.1.json"]
    runner.replay_spool()
    assert it.spooled() == []
    [run] = runs(it.database)
    assert (run.job_id, run.processes) == (job_id, 2)
    assert len(asked(it, "SELECT process FROM samples")) == 2
