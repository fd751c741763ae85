"""Measuring a disturbed run again: by a new job, in the transaction that stores the run, and not for ever."""

from itertools import count
from typing import Any

import pytest

from bench.results import Measurement
from bench.spec import JobSpec
from db.engine import Database
from db.jobs import Claimed
from db.repeat import repeat_jobs
from db.runs import store_measurement
from scheduler.queues import queue_of
from tests.db.builders import (
    RESOLVED,
    SPEED_SPEC,
    SURROUNDINGS,
    add_jobs,
    add_worker,
    change,
    claimed_by,
    job_row,
    measurement,
    new_job,
    row_counts,
    runs,
)
from tests.db.test_jobs_fence import taken_over
from tests.db.test_views import ask

#: a worker that takes what names its machine
PLACE: dict[str, Any] = {
    "machine_id": "machine-b",
    "device": "cuda",
    "queues": ("any.4", "machine.machine-b", "machine.machine-b.cuda"),
}
_numbers = count(1)

REASON = "other processes used 1.6 of 2 cores for 12 s (ffmpeg)"
ON_GPU: dict[str, Any] = {"resolved": RESOLVED.model_copy(update={"device": "cuda"})}


def disturbed(**changes: Any) -> Measurement:
    return measurement(None, **(ON_GPU | {"contamination": (REASON,), "worth_repeating": True} | changes))


def clean(**changes: Any) -> Measurement:
    return measurement(None, **(ON_GPU | changes))


def claimed(database: Database) -> Claimed:
    return claimed_by(database, add_worker(database, f"worker-{next(_numbers)}", **PLACE))


def store(database: Database, job: Claimed, measured: Measurement, max_repeats: int = 2) -> int | None:
    return store_measurement(database, job.id, job.attempt, "machine-b", measured, max_repeats=max_repeats)


def contaminations(database: Database) -> list[str | None]:
    return [row.contamination for row in runs(database)]


def test_a_disturbed_run_is_kept_and_measured_again_where_it_was(database: Database) -> None:
    (old_id,) = add_jobs(database, [new_job(SPEED_SPEC)], priority=3)
    run_id = store(database, claimed(database), disturbed())
    (run,) = runs(database)
    assert (run.id, bool(run.contaminated), run.contamination) == (run_id, True, REASON)
    old, new = job_row(database, old_id), job_row(database, old_id + 1)
    assert (old.state, new.state, new.repeat_of, new.reason) == ("done", "queued", old_id, "contaminated")
    pinned = SPEED_SPEC.model_copy(update={"machine": "machine-b", "device": "cuda"})
    assert JobSpec.model_validate_json(new.spec) == pinned
    assert (new.machine, new.device, new.queue) == ("machine-b", "cuda", queue_of("cuda", "machine-b", new.memory_mib))
    same = (
        "batch_id",
        "priority",
        "session_key",
        "memory_mib",
        "model",
        "model_hash",
        "workload_hash",
        "prompt_tokens",
    )
    assert [getattr(new, name) for name in same] == [getattr(old, name) for name in same]
    assert (new.attempt, new.failures, new.worker_id, new.progress) == (0, 0, None, None)


def test_the_second_run_joins_the_series_of_the_first(database: Database) -> None:
    add_jobs(database, [new_job(SPEED_SPEC)])
    store(database, claimed(database), disturbed())
    last = store(database, claimed(database), clean())
    assert [(row["runs"], row["contaminated_runs"]) for row in ask(database, "SELECT * FROM series")] == [(2, 1)]
    assert [row["run_id"] for row in ask(database, "SELECT run_id FROM latest")] == [last]
    states = [row["state"] for row in ask(database, "SELECT state FROM jobs")]
    assert states == ["done", "done"], "a clean run is not repeated"


def test_a_machine_that_never_gets_quiet_says_so_instead_of_looping(database: Database) -> None:
    add_jobs(database, [new_job(SPEED_SPEC)])
    for _ in range(3):
        store(database, claimed(database), disturbed())
    assert contaminations(database) == [
        REASON,
        REASON,
        f"{REASON}; the last of 3 tries: the machine never got quiet",
    ]
    rows = ask(database, "SELECT job_id, repeat_of, state FROM jobs ORDER BY job_id")
    assert [tuple(row.values()) for row in rows] == [(1, None, "done"), (2, 1, "done"), (3, 2, "done")]


@pytest.mark.parametrize("max_repeats", [0, 1, 4])
def test_the_setting_says_how_often(database: Database, max_repeats: int) -> None:
    add_jobs(database, [new_job(SPEED_SPEC)])
    for _ in range(max_repeats + 1):
        store(database, claimed(database), disturbed(), max_repeats)
    assert row_counts(database)["job"] == max_repeats + 1
    tries = f"; the last of {max_repeats + 1} tries: the machine never got quiet" if max_repeats else ""
    assert contaminations(database)[-1] == REASON + tries


def test_who_asks_again_gets_every_try_again(database: Database) -> None:
    (job_id,) = add_jobs(database, [new_job(SPEED_SPEC)])
    for _ in range(3):
        store(database, claimed(database), disturbed())
    with database.write() as connection:
        (asked,) = repeat_jobs(connection, [job_id + 2], "retry asked for")
    for _ in range(3):
        store(database, claimed(database), disturbed())
    assert row_counts(database)["job"] == 6
    assert job_row(database, asked + 1).repeat_of == asked


def test_what_measuring_again_does_not_help_is_not_measured_again(database: Database) -> None:
    add_jobs(database)
    store(database, claimed(database), disturbed(worth_repeating=False))
    assert row_counts(database)["job"] == 1
    assert contaminations(database) == [REASON]


def test_a_job_that_somebody_cancels_is_not_measured_again(database: Database) -> None:
    (job_id,) = add_jobs(database, [new_job(SPEED_SPEC)])
    job = claimed(database)
    change(database, job_id, cancel_requested=True)
    store(database, job, disturbed())
    assert row_counts(database)["job"] == 1
    assert contaminations(database) == [REASON]


def test_a_result_that_comes_twice_queues_one_job(database: Database) -> None:
    """The spool is replayed where a worker died between the commit and the end of the file."""
    add_jobs(database, [new_job(SPEED_SPEC)])
    job = claimed(database)
    first = store(database, job, disturbed())
    for _ in range(2):
        assert store(database, job, disturbed()) == first
    assert (row_counts(database)["job"], len(runs(database))) == (2, 1)


def test_a_result_that_came_too_late_queues_nothing(database: Database) -> None:
    late, _ = taken_over(database)
    assert store(database, late, disturbed()) is None
    assert (row_counts(database)["job"], runs(database)) == (1, [])


def test_a_result_that_can_not_be_stored_queues_nothing(database: Database) -> None:
    add_jobs(database, [new_job(SPEED_SPEC)])
    job = claimed(database)
    twice = disturbed(answers=measurement().answers * 2)
    with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
        store(database, job, twice)
    assert (row_counts(database)["job"], job_row(database, job.id).state) == (1, "running")


def test_what_was_seen_is_stored_and_asked_in_sql(database: Database) -> None:
    add_jobs(database, [new_job(SPEED_SPEC)])
    seen = SURROUNDINGS.model_copy(update={"others_busy_seconds": 12.0, "greediest": "ffmpeg", "thermal": "nominal"})
    run_id = store(database, claimed(database), disturbed(surroundings=seen))
    (row,) = ask(database, "SELECT * FROM surroundings")
    assert (row["run_id"], row["batch"], row["machine"], row["contamination"]) == (run_id, 1, "machine-b", REASON)
    for name, value in seen.model_dump().items():
        assert row[name] == value, name


def test_a_run_that_nobody_watched_has_no_row(database: Database) -> None:
    add_jobs(database, [new_job(SPEED_SPEC)])
    store(database, claimed(database), clean(surroundings=None))
    assert ask(database, "SELECT * FROM surroundings") == []
