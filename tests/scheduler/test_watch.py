"""A change of a series: suspected, measured again by a job that the queue gets, then confirmed or dropped."""

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from sqlalchemy import Row, select

from db.engine import Database
from db.jobs import Claimant, fail_job
from db.runs import store_measurement
from db.tables import change as change_table
from db.tables import job, unjudged
from scheduler.watch import Judged, watch
from tests.db import builders
from tests.db.builders import add_jobs, add_worker, claimed_by, job_row, measurement, new_job

#: a series that is quiet
QUIET = [0.5 * (1 + 0.01 * Random(number).gauss(0, 1)) for number in range(20)]

DISTURBED: dict[str, Any] = {"contamination": ("a video played",), "worth_repeating": True}


@pytest.fixture
def worker(database: Database) -> Claimant:
    return add_worker(database, queues=("any.4", "cpu.4", "machine.machine-a.cpu"))


def measured(database: Database, worker: Claimant, seconds: float, **changes: Any) -> int:
    """Let the worker measure the next job; returns the job's id."""
    claimed = claimed_by(database, worker)
    taken = measurement({"latency_seconds": seconds}, **changes)
    assert store_measurement(database, claimed.id, claimed.attempt, "machine-a", taken) is not None
    return claimed.id


def history(database: Database, worker: Claimant, values: Sequence[float]) -> None:
    """Measure a value a night, and judge each."""
    for value in values:
        add_jobs(database, [new_job(builders.SPEED_SPEC)])
        measured(database, worker, value)
        assert watch(database)[0].state == "quiet"


def changes(database: Database) -> list[Row[Any]]:
    with database.read() as connection:
        return list(connection.execute(select(change_table).order_by(change_table.c.id)))


def confirming(database: Database) -> list[Row[Any]]:
    """Return the jobs that were queued to confirm something."""
    with database.read() as connection:
        return list(connection.execute(select(job).where(job.c.reason == "confirmation").order_by(job.c.id)))


def one_night(database: Database, worker: Claimant, seconds: float) -> tuple[int, Judged]:
    (due,) = add_jobs(database, [new_job(builders.SPEED_SPEC)])
    measured(database, worker, seconds)
    (judged,) = watch(database)
    return due, judged


def test_a_slower_level_is_suspected_measured_again_and_confirmed(database: Database, worker: Claimant) -> None:
    history(database, worker, QUIET)
    due, judged = one_night(database, worker, 0.56)
    assert (judged.state, len(changes(database))) == ("suspected", 1)
    (again,) = confirming(database)
    assert judged.job_id == again.id
    assert (again.repeat_of, again.state, again.machine, again.device) == (due, "queued", "machine-a", "cpu")
    assert again.batch_id == job_row(database, due).batch_id
    assert again.priority > job_row(database, due).priority
    assert watch(database) == []  # nothing new
    while judged.state == "suspected":
        assert measured(database, worker, 0.56) == judged.job_id
        (judged,) = watch(database)
    assert judged.state == "confirmed"
    (found,) = changes(database)
    assert found.state == "confirmed"
    assert found.ratio == pytest.approx(0.56 / 0.5, rel=0.02)
    assert found.ratio_low < found.ratio < found.ratio_high
    assert found.extra_runs == len(confirming(database))
    assert found.first_run_id == found.last_run_id + 1
    assert found.decided_at is not None
    # The new level is the level now: nothing more is said of it.
    history(database, worker, [0.56, 0.561, 0.559, 0.56])
    assert len(changes(database)) == 1


def test_an_outlier_is_measured_again_and_dropped(database: Database, worker: Claimant) -> None:
    history(database, worker, QUIET)
    _, judged = one_night(database, worker, 0.56)
    assert judged.state == "suspected"
    measured(database, worker, 0.5)
    (judged,) = watch(database)
    assert judged.state == "refuted"
    assert [each.state for each in changes(database)] == ["refuted"]
    history(database, worker, [0.5, 0.502, 0.499])


def test_without_a_word_from_the_machine_the_next_night_decides(database: Database, worker: Claimant) -> None:
    history(database, worker, QUIET)
    _, judged = one_night(database, worker, 0.56)
    claimed = claimed_by(database, worker)
    fail_job(database, claimed.id, claimed.attempt, error="gone", max_attempts=1)
    (judged,) = watch(database)
    assert judged.state == "undecided"
    assert watch(database) == []
    _, judged = one_night(database, worker, 0.5)
    if judged.state == "suspected":
        measured(database, worker, 0.5)
        (judged,) = watch(database)
    assert judged.state == "refuted"


def test_a_disturbed_confirmation_waits_for_its_repetition(database: Database, worker: Claimant) -> None:
    history(database, worker, QUIET)
    _, judged = one_night(database, worker, 0.56)
    claimed = claimed_by(database, worker)
    disturbed = measurement(
        {"latency_seconds": 0.9}, answers=(), contamination=("a video played",), worth_repeating=True
    )
    store_measurement(database, claimed.id, claimed.attempt, "machine-a", disturbed, max_repeats=1)
    assert watch(database) == []
    assert changes(database)[0].state == "suspected"
    last = measured(database, worker, 0.5)
    assert job_row(database, last).reason == "contaminated"
    (judged,) = watch(database)
    assert judged.state == "refuted"
    assert changes(database)[0].extra_runs == 1


def test_a_machine_that_never_gets_quiet_is_not_asked_for_ever(database: Database, worker: Claimant) -> None:
    history(database, worker, QUIET)
    one_night(database, worker, 0.56)
    claimed = claimed_by(database, worker)
    disturbed = measurement(
        {"latency_seconds": 0.9}, answers=(), contamination=("a video played",), worth_repeating=True
    )
    store_measurement(database, claimed.id, claimed.attempt, "machine-a", disturbed, max_repeats=0)
    (judged,) = watch(database)
    assert judged.state == "undecided"
    assert watch(database) == []


def test_quality_and_disturbed_runs_are_not_judged(database: Database, worker: Claimant) -> None:
    add_jobs(database, [new_job(), new_job(builders.SPEED_SPEC)])
    measured(database, worker, 1.0)
    measured(database, worker, 1.0, **DISTURBED)
    with database.read() as connection:
        assert connection.execute(select(unjudged)).all() == []
    assert watch(database) == []


def test_a_run_is_judged_once_however_many_look(database: Database, worker: Claimant) -> None:
    history(database, worker, QUIET)
    add_jobs(database, [new_job(builders.SPEED_SPEC)])
    measured(database, worker, 0.56)
    other = Database(database.url)
    found = watch(database) + watch(other)
    other.dispose()
    assert [each.state for each in found] == ["suspected"]
    assert len(confirming(database)) == 1
