"""The runner against real databases and session processes that follow a script (tests/worker/scripted.py)."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import make_url, update

from db import engine
from db.engine import Database
from db.jobs import cancel_jobs, expire_leases
from db.runs import store_measurement
from db.settings import Settings
from db.status import waiting_in_vain
from db.tables import model
from db.workers import live_workers
from tests.db.builders import (
    SPEED_SPEC,
    add_jobs,
    add_worker,
    attempt_rows,
    change,
    claimed_by,
    job_row,
    let_lease_run_out,
    measurement,
    new_job,
    outcomes,
    runs,
    states,
)
from tests.services import PostgreSQLServer
from tests.waiting import wait_until
from tests.worker.processes import ROOT
from tests.worker.scripted import entry
from tests.worker.test_supervise import PROBE
from worker import runner as runner_module
from worker.runner import Runner
from worker.spool import Spooled
from worker.supervise import SessionProcess

#: for what does not differ between the databases
sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

Away = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """Give a database that is soon given up for locked."""
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_SECONDS", 0.2)
    opened = Database(database_url)
    yield opened
    opened.dispose()


@pytest.fixture
def make(database: Database, database_url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Give a function that makes a runner with settings changed, as a worker that starts does."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(runner_module, "SessionProcess", partial(SessionProcess, module="tests.worker.scripted"))
    made: list[Runner] = []

    def begin(worker_id: str = "worker-a", **changes: Any) -> Runner:
        settings = Settings(home=home, database_url=SecretStr(database_url), **changes)
        claimant = add_worker(database, worker_id)
        made.append(Runner(settings, database, claimant, machine_id="machine-a", probe=PROBE))
        return made[-1]

    yield begin
    for each in made:
        each.close()


@pytest.fixture
def runner(make: Callable[..., Runner]) -> Runner:
    return make()


@pytest.fixture
def away(request: pytest.FixtureRequest, database: Database, database_url: str) -> Away:
    """Give a context in which the database can't be written to by anybody else."""

    @contextmanager
    def sqlite() -> Iterator[None]:
        other = sqlite3.connect(database_url.removeprefix("sqlite:///"), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.close()

    @contextmanager
    def postgresql() -> Iterator[None]:
        server: PostgreSQLServer = request.getfixturevalue("postgresql_server")
        name = make_url(database_url).database or ""
        server.execute("ALTER DATABASE {name} ALLOW_CONNECTIONS false", name=name)
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        try:
            yield
        finally:
            server.execute("ALTER DATABASE {name} ALLOW_CONNECTIONS true", name=name)

    return sqlite if database.is_sqlite else postgresql


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def queue(database: Database, *does: str, **fields: Any) -> list[int]:
    """Queue a speed job for each thing that a session shall do; equal ones share a loaded model."""
    jobs = []
    for each in does:
        named: dict[str, Any] = {"model_hash": f"{each}-hash", "session_key": each}
        jobs.append(new_job(**({"spec": SPEED_SPEC} | named | fields)))
    return add_jobs(database, jobs, models={f"{each}-hash": entry(each) for each in does})


def begin(background: ThreadPoolExecutor, runner: Runner, job_id: int) -> Future[str]:
    """Run one job in the background, and return once its session measures."""
    running = background.submit(runner.run_one)
    wait_until((runner.settings.home / f"began-{job_id}").exists, "the job is being measured")
    return running


def spooled(home: Path) -> list[str]:
    """Return the names of the spool's files, without the part that stands for the history."""
    folder = home / "spool"
    found = [str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()]
    return sorted(re.sub(r"\.[0-9a-f]{8}\.", ".", name) for name in found)


def test_a_job_is_measured_and_stored(runner: Runner, database: Database, home: Path) -> None:
    [job_id] = queue(database, "good")
    assert runner.run_one() == f"job {job_id} done"
    row = job_row(database, job_id)
    assert (row.state, row.attempt, row.failures, row.error) == ("done", 1, 0, None)
    [run] = runs(database)
    assert (run.job_id, run.machine_id, run.device) == (job_id, "machine-a", "cpu")
    assert outcomes(database, job_id) == ["done"]
    assert spooled(home) == []
    assert runner.run_one() == "nothing to run"
    assert runner.loaded == "good"


def test_a_job_that_crashes_its_session_every_time_fails_with_the_last_words(make: Any, database: Database) -> None:
    runner = make(max_attempts=2)
    [job_id] = queue(database, "crash")
    assert "queued" in runner.run_one()
    assert "failed" in runner.run_one()
    assert runner.run_one() == "nothing to run"
    row = job_row(database, job_id)
    assert (row.state, row.attempt, row.failures) == ("failed", 2, 2)
    assert row.error == "The session process ended with exit code 3"
    first, last = attempt_rows(database, job_id)
    assert (first.outcome, first.stderr) == ("failed", "attempt 1: the driver is gone")
    assert (last.outcome, last.stderr) == ("failed", "attempt 2: the driver is gone")
    assert runs(database) == []


@sqlite_only
def test_a_killed_session_is_no_reason_to_wait(runner: Runner, database: Database) -> None:
    [job_id] = queue(database, "kill")
    runner.run_one()
    row = job_row(database, job_id)
    assert (row.state, row.failures, row.lease_until) == ("queued", 1, None)
    assert row.error == "The session process was killed; the machine may have run out of memory"


@sqlite_only
@pytest.mark.parametrize(("kind", "state"), [("model", "failed"), ("input", "failed"), ("error", "queued")])
def test_what_can_not_be_had_is_not_tried_again(runner: Runner, database: Database, kind: str, state: str) -> None:
    [job_id] = queue(database, f"fail-{kind}")
    runner.run_one()
    row = job_row(database, job_id)
    assert (row.state, row.failures, row.error) == (state, 1, f"It failed ({kind})")
    assert attempt_rows(database, job_id)[0].stderr == ("Traceback: here" if kind == "error" else None)


def test_out_of_memory_moves_the_job_to_a_larger_device(runner: Runner, database: Database) -> None:
    [job_id] = queue(database, "fail-memory")
    assert runner.run_one() == f"job {job_id} waits for a larger device: It failed (memory)"
    row = job_row(database, job_id)
    assert (row.state, row.queue, row.memory_mib) == ("queued", "any.16", PROBE.memory_mib + 1)
    assert "Test CPU has 8192 MiB, so a larger device is needed" in row.error
    assert runner.run_one() == "nothing to run"
    with database.read() as connection:
        [waiting] = waiting_in_vain(connection, live_workers(connection))
    assert waiting.reason.startswith("needs 8.0 GiB of memory; the largest worker, on Test CPU, has 8.0 GiB")
    # A larger worker takes it.
    assert claimed_by(database, add_worker(database, "large", memory_mib=16384, queues=("any.16",))).id == job_id


@sqlite_only
def test_a_job_over_its_time_fails_with_the_setting_that_says_so(make: Any, database: Database) -> None:
    runner = make(job_seconds=0.3, max_attempts=1)
    [job_id] = queue(database, "wait")
    runner.run_one()
    row = job_row(database, job_id)
    assert (row.state, row.error) == ("failed", "It held the device for more than 0.3 s (setting job_seconds)")


def test_a_running_job_is_cancelled(
    runner: Runner, database: Database, background: ThreadPoolExecutor, home: Path
) -> None:
    [job_id, next_id] = queue(database, "wait", "wait")
    running = begin(background, runner, job_id)
    with database.write() as connection:
        assert cancel_jobs(connection, [job_id, next_id]) == (1, 1)
    assert running.result(timeout=10) == f"job {job_id} cancelled"
    assert states(database, [job_id, next_id]) == ["cancelled", "cancelled"]
    assert outcomes(database, job_id) == ["cancelled"]
    assert runner.run_one() == "nothing to run"


@sqlite_only
def test_a_session_that_ignores_term_holds_up_no_cancelling(
    runner: Runner, database: Database, background: ThreadPoolExecutor
) -> None:
    [job_id, after] = queue(database, "stubborn", "good")
    running = begin(background, runner, job_id)
    with database.write() as connection:
        cancel_jobs(connection, [job_id])
    assert running.result(timeout=20) == f"job {job_id} cancelled"
    assert runner.run_one() == f"job {after} done"


def test_a_worker_that_stops_gives_its_job_back_uncounted(
    runner: Runner, database: Database, background: ThreadPoolExecutor, make: Any, home: Path
) -> None:
    [job_id] = queue(database, "wait")
    running = begin(background, runner, job_id)
    runner.stop()
    assert running.result(timeout=10) == f"job {job_id} went back to the queue"
    row = job_row(database, job_id)
    assert (row.state, row.attempt, row.failures, row.progress) == ("queued", 1, 0, None)
    assert runner.run_one() == "stopping"
    (home / "go").touch()
    assert make("worker-b").run_one() == f"job {job_id} done"
    assert outcomes(database, job_id) == ["returned", "done"]


def test_a_worker_that_lost_its_lease_writes_nothing(
    runner: Runner, database: Database, background: ThreadPoolExecutor
) -> None:
    [job_id] = queue(database, "wait")
    running = begin(background, runner, job_id)
    let_lease_run_out(database, job_id)
    with database.write() as connection:
        expire_leases(connection, 3)
    claimed_by(database, add_worker(database, "worker-b"))
    assert running.result(timeout=10) == f"job {job_id}: another worker took it over"
    row = job_row(database, job_id)
    assert (row.state, row.attempt, row.worker_id) == ("running", 2, "worker-b")
    assert outcomes(database, job_id) == ["lost", None]


@sqlite_only
def test_a_lease_is_kept_while_a_job_runs(make: Any, database: Database, background: ThreadPoolExecutor) -> None:
    runner = make(lease_seconds=1.5)
    [job_id] = queue(database, "wait")
    running = begin(background, runner, job_id)
    first = job_row(database, job_id).lease_until
    wait_until(lambda: job_row(database, job_id).lease_until > first + 1.5, "the lease was extended twice")
    assert not running.done()
    runner.stop()


def test_a_result_waits_in_the_spool_while_the_database_is_away(
    runner: Runner, database: Database, background: ThreadPoolExecutor, away: Away, home: Path
) -> None:
    [job_id] = queue(database, "wait")
    running = begin(background, runner, job_id)
    with away():
        (home / "go").touch()
        assert f"job {job_id}: The database" in running.result(timeout=60)
        assert spooled(home) == [f"{job_id}.1.json"]
        assert runner.run_one() == "no database"
        assert spooled(home) == [f"{job_id}.1.json"]
    assert runner.run_one() == "nothing to run"
    assert states(database, [job_id]) == ["done"]
    assert [run.job_id for run in runs(database)] == [job_id]
    assert outcomes(database, job_id) == ["done"]
    assert spooled(home) == []


def test_a_result_needs_no_ring_to_be_stored(
    runner: Runner, database: Database, background: ThreadPoolExecutor, away: Away, home: Path
) -> None:
    [job_id, other] = queue(database, "wait", "wait")
    running = begin(background, runner, job_id)
    runner.store_waiting()  # nothing while a job runs: its end stores it
    with away():
        (home / "go").touch()
        running.result(timeout=60)
    runner.store_waiting()
    assert states(database, [job_id, other]) == ["done", "queued"]
    assert spooled(home) == []


def test_a_worker_that_starts_stores_what_waits_before_it_claims(
    make: Any, database: Database, background: ThreadPoolExecutor, away: Away, home: Path
) -> None:
    runner = make()
    [job_id, after] = queue(database, "wait", "good")
    running = begin(background, runner, job_id)
    with away():
        (home / "go").touch()
        running.result(timeout=60)
    # It died then, and its lease has run out.
    let_lease_run_out(database, job_id)
    with database.write() as connection:
        assert expire_leases(connection, 3)[0].state == "queued"
    assert make("worker-b").run_one() == f"job {after} done"
    assert outcomes(database, job_id) == ["done"]
    assert job_row(database, job_id).finished_at <= job_row(database, after).started_at
    assert [run.job_id for run in runs(database)] == [job_id, after]


def test_a_result_that_came_too_late_is_kept_aside(
    make: Any, database: Database, background: ThreadPoolExecutor, away: Away, home: Path
) -> None:
    [job_id] = queue(database, "wait")
    running = begin(background, make(), job_id)
    with away():
        (home / "go").touch()
        running.result(timeout=60)
    let_lease_run_out(database, job_id)
    with database.write() as connection:
        expire_leases(connection, 3)
    claimed_by(database, add_worker(database, "worker-b"))
    assert make("worker-c").run_one() == "nothing to run"
    assert spooled(home) == [f"superseded/{job_id}.1.json"]
    assert outcomes(database, job_id) == ["superseded", None]
    assert (job_row(database, job_id).state, runs(database)) == ("running", [])


def test_a_result_that_was_stored_before_its_worker_died_is_not_stored_twice(
    runner: Runner, database: Database, home: Path
) -> None:
    [job_id] = queue(database, "good")
    kept: list[Spooled] = []
    write = runner.spool.write
    runner.spool.write = lambda result: kept.append(result) or write(result)  # type: ignore[method-assign, func-returns-value]
    runner.run_one()
    write(kept[0])  # as if it had died between the commit and removing the file
    assert runner.run_one() == "nothing to run"
    assert len(runs(database)) == 1
    assert outcomes(database, job_id) == ["done"]
    assert spooled(home) == []


@sqlite_only
def test_the_spool_of_another_history_is_left_alone(runner: Runner, database: Database, home: Path) -> None:
    [job_id] = queue(database, "good")
    foreign = Spooled(
        job_id=job_id, attempt=1, machine_id="machine-a", database="sqlite:///other.db", measurement=measurement()
    )
    runner.spool.write(foreign)
    runner.run_one()
    assert [run.session == "session-1" for run in runs(database)] == [False]
    assert spooled(home) == [f"{job_id}.1.json"]


@sqlite_only
def test_a_spool_that_can_not_be_written_costs_no_result(runner: Runner, database: Database, home: Path) -> None:
    [job_id] = queue(database, "good")
    (home / "spool").write_text("a file where the folder should be")
    assert runner.run_one() == f"job {job_id} done"
    assert states(database, [job_id]) == ["done"]


@sqlite_only
def test_a_result_that_can_not_be_stored_keeps_no_other_from_it(
    make: Any, database: Database, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = make(max_attempts=1)
    [job_id, after] = queue(database, "good", "good")
    store = store_measurement

    def refuse(database: Database, job: int, *rest: Any) -> int | None:
        if job == job_id:
            raise ValueError("a figure that no column holds\nand more")
        return store(database, job, *rest)

    monkeypatch.setattr(runner_module, "store_measurement", refuse)
    runner.run_one()
    row = job_row(database, job_id)
    assert row.state == "failed"
    assert row.error == "Its result can't be stored (ValueError: a figure that no column holds)"
    assert spooled(home) == [f"{job_id}.1.broken"]
    assert runner.run_one() == f"job {after} done"


def test_a_job_that_can_not_be_started_is_not_stranded(make: Any, database: Database) -> None:
    runner = make(max_attempts=1)
    [job_id, after] = queue(database, "good", "wait-a")
    with database.write() as connection:
        connection.execute(update(model).where(model.c.hash == "good-hash").values(entry='{"shape": "round"}'))
    runner.run_one()
    row = job_row(database, job_id)
    assert (row.state, row.lease_until) == ("failed", None)
    assert "can't read its ModelEntry (shape: unknown key" in row.error
    assert states(database, [after]) == ["queued"]


@sqlite_only
def test_a_session_that_can_not_be_started_fails_the_attempt(make: Any, database: Database, home: Path) -> None:
    runner = make(max_attempts=1)
    (home / "logs").write_text("a file where the folder should be")
    [job_id] = queue(database, "good")
    runner.run_one()
    row = job_row(database, job_id)
    assert row.state == "failed"
    assert "FileExistsError" in row.error


@sqlite_only
def test_jobs_of_the_loaded_model_go_first_until_the_streak_ends(make: Any, database: Database) -> None:
    runner = make(max_streak=2)
    queue(database, "good-a", "good-b", "good-a", "good-b", "good-a", "good-a")
    while runner.run_one() != "nothing to run":
        pass
    # The first and two more by affinity; then the oldest, whose model stays for the one that follows.
    assert [run.job_id for run in runs(database)] == [1, 3, 5, 2, 4, 6]
    assert [run.load_seconds is not None for run in runs(database)] == [True, False, False, True, False, True]


@sqlite_only
def test_every_fourth_claim_looks_for_who_waited_too_long(make: Any, database: Database) -> None:
    runner = make(max_wait_seconds=0.001)
    [overdue] = queue(database, "good-a")
    urgent = queue(database, *["good-b"] * 5)
    for job_id in urgent:
        change(database, job_id, priority=5)
    for _ in range(4):
        runner.run_one()
    assert [run.job_id for run in runs(database)] == [*urgent[:3], overdue]


@sqlite_only
def test_a_job_in_isolation_has_a_session_of_its_own(runner: Runner, database: Database) -> None:
    apart = SPEED_SPEC.model_copy(update={"isolation": "process"})
    queue(database, "good")
    queue(database, "good", "good", spec=apart)
    queue(database, "good")
    while runner.run_one() != "nothing to run":
        pass
    measured = runs(database)
    assert len({run.session for run in measured}) == 4
    assert {run.session_position for run in measured} == {1}


@sqlite_only
def test_a_session_that_died_between_jobs_is_replaced(runner: Runner, database: Database) -> None:
    jobs = queue(database, "leave", "leave")
    runner.run_one()
    wait_until(lambda: runner.loaded is None, "the session has ended")
    runner.run_one()
    assert states(database, jobs) == ["done", "done"]
    assert [row.failures for row in (job_row(database, each) for each in jobs)] == [0, 0]


@sqlite_only
def test_an_idle_session_gives_its_memory_back(runner: Runner, database: Database) -> None:
    queue(database, "good")
    runner.run_one()
    runner.release_idle(3600)
    assert runner.loaded == "good"
    runner.release_idle(0)
    assert runner.loaded is None


@sqlite_only
def test_only_one_job_runs_at_a_time(
    runner: Runner, database: Database, background: ThreadPoolExecutor, home: Path
) -> None:
    first, second = queue(database, "wait", "wait")
    running = begin(background, runner, first)
    other = background.submit(runner.run_one)
    runner.release_idle(0)
    assert states(database, [first, second]) == ["running", "queued"]
    (home / "go").touch()
    assert (running.result(timeout=10), other.result(timeout=10)) == (f"job {first} done", f"job {second} done")
