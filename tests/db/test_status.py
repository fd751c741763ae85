"""What is going on, and why some of it waits, in words."""

from typing import Any

import pytest
from sqlalchemy import update

from bench.errors import InputError
from db.engine import Database
from db.jobs import extend_lease, fail_job, requeue_elsewhere
from db.runs import store_measurement
from db.status import (
    BatchStatus,
    JobStatus,
    Waiting,
    attempts_of,
    batch_status,
    job_status,
    jobs_of_batch,
    life_of,
    recent_batches,
    running_jobs,
    waiting_in_vain,
)
from db.tables import attempt, batch, job, model
from db.workers import live_workers
from tests.db.builders import (
    LATE_LIFE,
    MODEL,
    QUALITY_SPEC,
    SPEED_SPEC,
    add_jobs,
    add_worker,
    change,
    claimed_by,
    job_row,
    late_result,
    measurement,
    new_job,
)

NOBODY = "no worker is running; start one with `benchbeat up` or `benchbeat worker`"


def waiting(database: Database, batch_id: int | None = None) -> list[Waiting]:
    """Return what waits in vain for the workers that live."""
    with database.read() as connection:
        return waiting_in_vain(connection, live_workers(connection), batch_id)


def batch_of(database: Database, job_id: int) -> int:
    """Return a job's batch."""
    found: int = job_row(database, job_id).batch_id
    return found


def told(database: Database, job_id: int) -> JobStatus:
    """Return a job's status."""
    with database.read() as connection:
        return job_status(connection, job_id)


# --- batches


def test_a_batch_is_counted_by_state(database: Database) -> None:
    jobs = add_jobs(database, 8, name="nightly", priority=4)
    for job_id, state in zip(jobs, ("running", "done", "done", "failed", "cancelled"), strict=False):
        change(database, job_id, state=state)
    add_jobs(database, 2)
    with database.read() as connection:
        status = batch_status(connection, 1)
    assert status == BatchStatus(1, "nightly", 4, status.created_at, queued=3, running=1, done=2, failed=1, cancelled=1)
    assert (status.jobs, status.open) == (8, 4)
    assert status.created_at > 1.7e9


def test_a_batch_that_is_not_there_is_said(database: Database) -> None:
    with database.read() as connection, pytest.raises(InputError, match="there is no batch 7; there is none yet"):
        batch_status(connection, 7)
    add_jobs(database)
    add_jobs(database)
    with database.read() as connection, pytest.raises(InputError, match="there is no batch 7; the last one is 2"):
        batch_status(connection, 7)


def test_the_last_batches_and_the_open_ones_are_told_newest_first(database: Database) -> None:
    jobs = [add_jobs(database)[0] for _ in range(5)]
    for job_id in (jobs[0], jobs[2], jobs[3], jobs[4]):
        change(database, job_id, state="done")
    with database.read() as connection:
        assert [status.id for status in recent_batches(connection, 2)] == [5, 4, 2]
        assert [status.id for status in recent_batches(connection, 10)] == [5, 4, 3, 2, 1]
        assert [status.id for status in recent_batches(connection, 0)] == [2]


# --- jobs


def test_a_job_is_told_in_a_line(database: Database) -> None:
    quality, speed = add_jobs(database, [new_job(), new_job(SPEED_SPEC)])
    assert told(database, quality) == JobStatus(
        id=quality,
        batch_id=1,
        state="queued",
        what="tiny facts direct float32",
        queue="any.4",
        memory_mib=1000,
        attempt=0,
        worker_id=None,
        progress=None,
        error=None,
        run_id=None,
        accuracy=None,
        decode_tokens_per_second=None,
    )
    assert told(database, speed).what == "tiny speed 32+8 float32"


def test_a_running_job_tells_its_progress(database: Database) -> None:
    jobs = add_jobs(database, 2)
    job = claimed_by(database, add_worker(database))
    extend_lease(database, job.id, job.attempt, 60, '{"done": 3, "of": 12}')
    with database.read() as connection:
        (running,) = running_jobs(connection)
    assert (running.id, running.worker_id, running.attempt) == (jobs[0], "worker-a", 1)
    assert running.progress == {"done": 3, "of": 12}


def test_a_done_job_tells_its_figures(database: Database) -> None:
    add_jobs(database)
    job = claimed_by(database, add_worker(database))
    figures = {"accuracy": 0.0, "decode_tokens_per_second": 41.5}
    run_id = store_measurement(database, job.id, job.attempt, "machine-a", measurement(figures))
    status = told(database, job.id)
    assert (status.state, status.run_id) == ("done", run_id)
    assert (status.accuracy, status.decode_tokens_per_second) == (0.0, 41.5)


def test_a_job_of_a_newer_benchbeat_can_still_be_told(database: Database) -> None:
    (job_id,) = add_jobs(database)
    change(database, job_id, spec='{"model":"tiny","workload":"facts","draft_model":"tinier"}')
    assert told(database, job_id).what == "tiny facts"


def test_a_job_that_is_not_there_is_said(database: Database) -> None:
    with pytest.raises(InputError, match="there is no job 7"):
        told(database, 7)


def test_a_batch_s_jobs_are_told_in_their_order_and_by_state(database: Database) -> None:
    jobs = add_jobs(database, 4)
    add_jobs(database)
    change(database, jobs[1], state="done")
    change(database, jobs[2], state="failed")
    with database.read() as connection:
        assert [each.id for each in jobs_of_batch(connection, 1)] == jobs
        assert [each.id for each in jobs_of_batch(connection, 1, ("failed", "done"))] == jobs[1:3]
        assert jobs_of_batch(connection, 1, ()) == []


def test_attempts_are_told_first_to_last(database: Database) -> None:
    add_jobs(database)
    worker = add_worker(database)
    for number in (1, 2):
        job = claimed_by(database, worker)
        fail_job(database, job.id, job.attempt, error=f"Broke {number}", stderr="log", max_attempts=9)
    claimed_by(database, worker)
    with database.read() as connection:
        rows = attempts_of(connection, job.id)
        assert attempts_of(connection, job.id + 1) == []
    assert [(row.attempt, row.outcome, row.error) for row in rows] == [
        (1, "failed", "Broke 1"),
        (2, "failed", "Broke 2"),
        (3, None, None),
    ]


def test_what_came_too_late_in_the_same_millisecond_is_told_last(database: Database) -> None:
    job_id = late_result(database)
    with database.write() as connection:
        connection.execute(update(attempt).values(started_at=5.0, finished_at=5.0))
        connection.execute(update(job).values(queued_at=5.0, finished_at=5.0))
        connection.execute(update(batch).values(published_at=5.0))
        life = life_of(connection, job_id)
    assert [(each.what, each.attempt) for each in life] == LATE_LIFE


# --- waiting in vain


def test_nothing_queued_waits_for_nobody(database: Database) -> None:
    (job_id,) = add_jobs(database)
    change(database, job_id, state="running")
    assert waiting(database) == []


def test_without_a_worker_everything_waits(database: Database) -> None:
    add_jobs(database, [new_job(), new_job(), new_job(queue="mps.16")])
    assert waiting(database) == [Waiting("any.4", 2, NOBODY), Waiting("mps.16", 1, NOBODY)]


def test_what_a_worker_can_take_doesn_t_wait_in_vain(database: Database) -> None:
    add_jobs(database, [new_job(), new_job(queue="cpu.4", memory_mib=8192)])
    add_worker(database)
    assert waiting(database) == []


def test_a_job_that_needs_more_memory_than_any_worker_has(database: Database) -> None:
    add_jobs(database, [new_job(queue="any.16", memory_mib=14_336)] * 3)
    add_worker(database, memory_mib=4096)
    add_worker(database, "worker-b", memory_mib=13_005, device_name="Apple M4", queues=("any.4", "any.16"))
    assert waiting(database) == [
        Waiting(
            "any.16",
            3,
            "tiny in float32 needs 14.0 GiB; the largest live device has 12.7 GiB (Apple M4, cpu): "
            "start a worker on a larger machine",
        )
    ]


@pytest.mark.parametrize(
    ("listed", "there", "advice"),
    [
        ({"float32": 14.0, "float16": 7.0, "int8": 5.0, "int4": 4.0}, 6144, ", or run it in int8 (5.0 GiB)"),
        ({"float32": 14.0, "float16": 7.0}, 6144, ""),
        ({"float32": 14.0}, 6144, ""),
    ],
)
def test_the_most_exact_precision_that_fits_is_suggested(
    database: Database, listed: dict[str, float], there: int, advice: str
) -> None:
    entry = MODEL.model_validate({**MODEL.model_dump(), "memory_gib": listed})
    add_jobs(database, [new_job(queue="any.16", memory_mib=14_336, model_hash="x")], models={"x": entry})
    add_worker(database, memory_mib=there)
    [found] = waiting(database)
    assert found.reason.endswith(f"start a worker on a larger machine{advice}")


def test_a_job_that_ran_out_of_memory_says_where_and_what_would_fit(database: Database) -> None:
    entry = MODEL.model_validate({**MODEL.model_dump(), "memory_gib": {"float32": 4.0, "int8": 2.0}})
    [job_id] = add_jobs(database, [new_job(memory_mib=4096, model_hash="x")], models={"x": entry})
    job = claimed_by(database, add_worker(database))
    requeue_elsewhere(database, job_id, job.attempt, error="Too much", queue="any.16", memory_mib=8193)
    [found] = waiting(database)
    assert found.reason == (
        "tiny in float32 ran out of memory on a device of 8.0 GiB; the largest live device has 8.0 GiB "
        "(Test CPU, cpu): start a worker on a larger machine, or run it in int8 (2.0 GiB)"
    )


def test_a_model_of_a_newer_benchbeat_gets_no_advice(database: Database) -> None:
    add_jobs(database, [new_job(memory_mib=14_336)])
    add_worker(database)
    with database.write() as connection:
        connection.execute(update(model).values(entry='{"name":"tiny","newer":1}'))
    [found] = waiting(database)
    assert found.reason.endswith("(Test CPU, cpu): start a worker on a larger machine")


def test_one_job_s_reason_is_told_alone(database: Database) -> None:
    first, second = add_jobs(database, [new_job(memory_mib=mib) for mib in (20_000, 30_000)])
    add_worker(database)
    with database.read() as connection:
        for job_id, needed in ((first, "needs 19.5 GiB"), (second, "needs 29.3 GiB")):
            [found] = waiting_in_vain(connection, live_workers(connection), job_id=job_id)
            assert (found.jobs, needed in found.reason) == (1, True)


def test_a_job_whose_device_nobody_has(database: Database) -> None:
    mps = QUALITY_SPEC.model_copy(update={"device": "mps"})
    add_jobs(database, [new_job(mps, queue="mps.4")])
    add_worker(database)
    add_worker(database, "worker-b", device="cuda")
    assert waiting(database) == [Waiting("mps.4", 1, "needs the device mps; the workers have cpu, cuda")]


def test_a_job_whose_machine_is_away(database: Database) -> None:
    there = QUALITY_SPEC.model_copy(update={"machine": "machine-b"})
    add_jobs(database, [new_job(there, queue="machine.machine-b")])
    add_worker(database)
    reason = "no worker of machine machine-b is running; start `benchbeat worker` there"
    assert waiting(database) == [Waiting("machine.machine-b", 1, reason)]


def test_only_the_workers_of_a_job_s_machine_count_for_its_memory(database: Database) -> None:
    there = QUALITY_SPEC.model_copy(update={"machine": "machine-b"})
    add_jobs(database, [new_job(there, queue="machine.machine-b", memory_mib=6144)])
    add_worker(database)
    add_worker(database, "worker-b", machine_id="machine-b", memory_mib=2048, queues=("machine.machine-b",))
    (found,) = waiting(database)
    assert found.reason.startswith("tiny in float32 needs 6.0 GiB; the largest live device has 2.0 GiB (Test CPU, cpu)")


def test_equal_reasons_are_told_once_for_each_queue(database: Database) -> None:
    add_jobs(database, [new_job(memory_mib=mib) for mib in (100, 200, 300)])
    add_jobs(database, [new_job(memory_mib=400)])
    assert waiting(database) == [Waiting("any.4", 4, NOBODY)]
    assert waiting(database, batch_id=2) == [Waiting("any.4", 1, NOBODY)]
    assert waiting(database, batch_id=3) == []


@pytest.mark.parametrize("served", [1, 2])
def test_a_worker_of_another_batch_helps_nobody(database: Database, served: int) -> None:
    for _ in range(2):
        add_jobs(database)
    add_worker(database, batch_id=served)
    reason = "every worker that runs works for another batch; start one with `benchbeat up` or `benchbeat worker`"
    assert waiting(database) == [Waiting("any.4", 1, reason)]
    assert waiting(database, batch_id=served) == []
    assert waiting(database, batch_id=3 - served) == [Waiting("any.4", 1, reason)]


def test_a_worker_that_is_gone_helps_nobody(database: Database) -> None:
    add_jobs(database)
    add_worker(database)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE worker SET stopped_at = 1")
    assert waiting(database) == [Waiting("any.4", 1, NOBODY)]


def test_a_group_s_jobs_are_counted(database: Database) -> None:
    wanted: list[dict[str, Any]] = [{"memory_mib": 20_000}, {"memory_mib": 30_000}, {"memory_mib": 30_000}]
    add_jobs(database, [new_job(queue="any.32", **changes) for changes in wanted])
    add_worker(database)
    assert [(each.queue, each.jobs, each.reason[:30]) for each in waiting(database)] == [
        ("any.32", 1, "tiny in float32 needs 19.5 GiB"),
        ("any.32", 2, "tiny in float32 needs 29.3 GiB"),
    ]
