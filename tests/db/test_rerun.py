"""Running a whole batch or single jobs again, in a batch of their own."""

from typing import Any

import pytest

from bench.errors import InputError
from bench.spec import JobSpec
from db.engine import Database
from db.repeat import repeat_jobs, rerun
from db.runs import store_measurement
from scheduler.queues import queue_of
from tests.db.builders import (
    QUALITY_SPEC,
    RESOLVED,
    SPEED_SPEC,
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
from tests.db.test_views import ask


def again(database: Database, *job_ids: int, **options: Any) -> int:
    """Run jobs again; returns the new batch."""
    with database.write() as connection:
        return rerun(connection, list(job_ids), **options)


def jobs_of(database: Database, batch_id: int) -> list[Any]:
    """Return the rows of a batch's jobs."""
    return [
        job_row(database, row["job_id"])
        for row in ask(database, f"SELECT job_id FROM jobs WHERE batch = {batch_id} ORDER BY job_id")
    ]


@pytest.fixture
def measured(database: Database) -> list[int]:
    """Give the ids of a labelled batch's two jobs, which machine-b measured on its GPU."""
    jobs = add_jobs(
        database, [new_job(QUALITY_SPEC), new_job(SPEED_SPEC)], name="nightly", priority=4, labels={"a": "b"}
    )
    worker = add_worker(database, "worker-b", machine_id="machine-b", device="cuda")
    resolved = RESOLVED.model_copy(update={"device": "cuda"})
    for _ in jobs:
        job = claimed_by(database, worker)
        assert store_measurement(database, job.id, job.attempt, "machine-b", measurement(resolved=resolved)) is not None
    return jobs


def test_a_batch_runs_again_where_it_was_measured(database: Database, measured: list[int]) -> None:
    batch_id = again(database, batch_id=1)
    assert batch_id == 2
    (batch,) = ask(database, "SELECT name, priority, jobs, queued, key FROM batches WHERE batch = 2")
    assert batch == {"name": "nightly", "priority": 4, "jobs": 2, "queued": 2, "key": None}
    assert ask(database, "SELECT labels ->> 'a' AS a FROM batches") == [{"a": "b"}] * 2
    for old_id, new, spec in zip(measured, jobs_of(database, batch_id), (QUALITY_SPEC, SPEED_SPEC), strict=True):
        assert (new.repeat_of, new.reason, new.state, new.priority) == (old_id, "rerun asked for", "queued", 4)
        pinned = JobSpec.model_validate_json(new.spec)
        assert pinned == spec.model_copy(update={"machine": "machine-b", "device": "cuda"})
        assert (new.machine, new.device) == ("machine-b", "cuda")
        assert new.queue == queue_of("cuda", "machine-b", new.memory_mib)
        old = job_row(database, old_id)
        for name in ("session_key", "memory_mib", "model_hash", "workload_hash", "strategy_hash"):
            assert getattr(new, name) == getattr(old, name)


def test_a_run_of_a_rerun_job_joins_the_series(database: Database, measured: list[int]) -> None:
    again(database, measured[0])
    facts = {"machine_id": "machine-b", "device": "cuda", "queues": ("machine.machine-b.cuda",)}
    job = claimed_by(database, add_worker(database, "worker-c", **facts))
    resolved = RESOLVED.model_copy(update={"device": "cuda"})
    store_measurement(database, job.id, job.attempt, "machine-b", measurement(resolved=resolved))
    series = [row.series_id for row in runs(database) if row.workload == "facts"]
    assert len(series) == 2
    assert len(set(series)) == 1


def test_anywhere_leaves_the_place_as_it_was_asked_for(database: Database, measured: list[int]) -> None:
    (new,) = jobs_of(database, again(database, measured[0], anywhere=True))
    old = job_row(database, measured[0])
    assert (new.spec, new.queue, new.machine, new.device) == (old.spec, old.queue, None, "any")


def test_a_job_that_was_never_measured_goes_where_it_was_to_go(database: Database) -> None:
    (job_id,) = add_jobs(database)
    change(database, job_id, state="failed")
    (new,) = jobs_of(database, again(database, job_id))
    assert (new.spec, new.queue) == (job_row(database, job_id).spec, "any.4")


def test_jobs_of_several_batches_come_together(database: Database, measured: list[int]) -> None:
    (other,) = add_jobs(database, name="other", priority=7, labels={"c": "d"})
    change(database, other, state="cancelled")
    batch_id = again(database, other, measured[1], other, batch_id=1)
    assert [row.repeat_of for row in jobs_of(database, batch_id)] == [other, measured[1], measured[0]]
    (batch,) = ask(database, f"SELECT name, priority, labels FROM batches WHERE batch = {batch_id}")
    assert batch == {"name": "rerun", "priority": 7, "labels": None}


def test_of_a_job_and_its_repetition_in_the_batch_the_last_counts(database: Database) -> None:
    failed, done = add_jobs(database, 2)
    change(database, failed, state="failed")
    change(database, done, state="done")
    with database.write() as connection:
        (repeated,) = repeat_jobs(connection, [failed], "retry asked for")
    change(database, repeated, state="done")
    assert [row.repeat_of for row in jobs_of(database, again(database, batch_id=1))] == [done, repeated]


def test_what_can_t_run_again_is_said_and_nothing_is_written(database: Database, measured: list[int]) -> None:
    (queued,) = add_jobs(database)
    before = row_counts(database)
    for options, message in (
        ({"batch_id": 99}, "there is no batch 99"),
        ({"job_ids": [4711]}, "there is no job 4711"),
        ({"job_ids": [queued, measured[0]]}, f"job {queued} is queued; it can be repeated once it has ended"),
        ({"batch_id": 2}, f"job {queued} is queued"),
        ({}, "there is no job to run again"),
    ):
        given: Any = {"job_ids": []} | options
        with pytest.raises(InputError, match=message), database.write() as connection:
            rerun(connection, **given)
    assert row_counts(database) == before
