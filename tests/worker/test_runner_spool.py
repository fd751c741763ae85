"""How the runner stores results: the database away at the finish, a worker that dies, results that come too late."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from db.engine import Database
from db.jobs import expire_leases
from db.runs import store_measurement
from tests.db.builders import (
    add_worker,
    job_row,
    let_lease_run_out,
    measurement,
    outcomes,
    overtaken,
    runs,
    states,
)
from tests.worker.running import Away, Ground, away_of, ground, sqlite_only
from worker import runner as runner_module
from worker.spool import Spooled


@pytest.fixture
def it(database_url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    with ground(database_url, home, monkeypatch) as made:
        yield made


@pytest.fixture
def away(request: pytest.FixtureRequest, database_url: str) -> Away:
    return away_of(request, database_url)


def test_a_result_waits_in_the_spool_while_the_database_is_away(
    it: Ground, away: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = it.runner()
    secured: list[Path] = []
    secure = runner.spool.secure

    def noted(path: Path) -> None:
        secured.append(path)
        secure(path)

    monkeypatch.setattr(runner.spool, "secure", noted)
    [job_id] = it.queue("wait")
    running = it.begin(runner, job_id)
    with away():
        it.go()
        assert f"job {job_id}: The database" in running.result(timeout=60)
        assert it.spooled() == [f"{job_id}.1.json"]
        assert len(secured) == 1, "it may have to wait for days"
        assert runner.run_one() == "no database"
        assert it.spooled() == [f"{job_id}.1.json"]
    assert runner.run_one() == "nothing to run"
    assert states(it.database, [job_id]) == ["done"]
    assert [run.job_id for run in runs(it.database)] == [job_id]
    assert outcomes(it.database, job_id) == ["done"]
    assert it.spooled() == []


def test_a_result_needs_no_ring_to_be_stored(it: Ground, away: Away) -> None:
    runner = it.runner()
    [job_id, other] = it.queue("wait", "wait")
    running = it.begin(runner, job_id)
    runner.store_waiting()  # nothing while a job runs: its end stores it
    with away():
        it.go()
        running.result(timeout=60)
    runner.store_waiting()
    assert states(it.database, [job_id, other]) == ["done", "queued"]
    assert it.spooled() == []


def test_a_worker_that_starts_stores_what_waits_before_it_claims(it: Ground, away: Away) -> None:
    runner = it.runner()
    [job_id, after] = it.queue("wait", "good")
    running = it.begin(runner, job_id)
    with away():
        it.go()
        running.result(timeout=60)
    # It died then, and its lease has run out.
    let_lease_run_out(it.database, job_id)
    with it.database.write() as connection:
        assert expire_leases(connection, 3)[0].state == "queued"
    assert it.runner("worker-b").run_one() == f"job {after} done"
    assert outcomes(it.database, job_id) == ["done"]
    assert job_row(it.database, job_id).finished_at <= job_row(it.database, after).started_at
    assert [run.job_id for run in runs(it.database)] == [job_id, after]


def test_a_result_that_came_too_late_is_kept_aside(it: Ground, away: Away) -> None:
    [job_id] = it.queue("wait")
    running = it.begin(it.runner(), job_id)
    with away():
        it.go()
        running.result(timeout=60)
    overtaken(it.database, job_id, add_worker(it.database, "worker-b"))
    assert it.runner("worker-c").run_one() == "nothing to run"
    assert it.spooled() == [f"superseded/{job_id}.1.json"]
    assert outcomes(it.database, job_id) == ["superseded", None]
    assert (job_row(it.database, job_id).state, runs(it.database)) == ("running", [])


def test_a_result_that_was_stored_before_its_worker_died_is_not_stored_twice(it: Ground) -> None:
    runner = it.runner()
    [job_id] = it.queue("good")
    kept: list[Spooled] = []
    write = runner.spool.write
    runner.spool.write = lambda result: kept.append(result) or write(result)  # type: ignore[method-assign, func-returns-value]
    runner.run_one()
    write(kept[0])  # as if it had died between the commit and removing the file
    assert runner.run_one() == "nothing to run"
    assert len(runs(it.database)) == 1
    assert outcomes(it.database, job_id) == ["done"]
    assert it.spooled() == []


@sqlite_only
def test_the_spool_of_another_history_is_left_alone(it: Ground) -> None:
    runner = it.runner()
    [job_id] = it.queue("good")
    foreign = Spooled(
        job_id=job_id, attempt=1, machine_id="machine-a", database="sqlite:///other.db", measurement=measurement()
    )
    runner.spool.write(foreign)
    runner.run_one()
    assert [run.session == "session-1" for run in runs(it.database)] == [False]
    assert it.spooled() == [f"{job_id}.1.json"]


@sqlite_only
def test_a_spool_that_can_not_be_written_costs_no_result(it: Ground) -> None:
    runner = it.runner()
    [job_id] = it.queue("good")
    (it.home / "spool").write_text("a file where the folder should be")
    assert runner.run_one() == f"job {job_id} done"
    assert states(it.database, [job_id]) == ["done"]


@sqlite_only
def test_a_result_that_can_not_be_stored_keeps_no_other_from_it(it: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = it.runner(max_attempts=1)
    [job_id, after] = it.queue("good", "good")
    store = store_measurement

    def refuse(database: Database, job: int, *rest: Any, **options: Any) -> int | None:
        if job == job_id:
            raise ValueError("a figure that no column holds\nand more")
        return store(it.database, job, *rest, **options)

    monkeypatch.setattr(runner_module, "store_measurement", refuse)
    runner.run_one()
    row = job_row(it.database, job_id)
    assert row.state == "failed"
    assert row.error == "Its result can't be stored (ValueError: a figure that no column holds)"
    assert it.spooled() == [f"{job_id}.1.broken"]
    assert runner.run_one() == f"job {after} done"
