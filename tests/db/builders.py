"""Building what the tests of the database start from: batches of jobs, workers, measurements."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, Table, delete, func, insert, inspect, literal, select, text, update

from bench.catalog import ModelEntry
from bench.results import Answer, Breakdown, Environment, Figures, Measurement, Metric, Resolved, Sample
from bench.spec import JobSpec
from bench.surroundings import Surroundings
from bench.workloads import Item, Workload
from db.engine import Database, now
from db.jobs import (
    Claimant,
    Claimed,
    Expired,
    cancel_jobs,
    claim,
    end_cancelled,
    expire_leases,
    extend_lease,
    fail_job,
    mark_published,
    requeue_elsewhere,
    return_job,
)
from db.regressions import expect_judgement
from db.repeat import repeat_jobs
from db.runs import store_measurement
from db.schedules import insert_firing, insert_schedule, mark_beat
from db.submissions import NewBatch, NewJob, insert_batch
from db.tables import attempt, job, metadata, run
from db.workers import register_worker

#: hashes that stand for the entries below
MODEL_HASH, WORKLOAD_HASH, SPEED_HASH, STRATEGY_HASH = "model-hash", "facts-hash", "speed-hash", "direct-hash"

MODEL = ModelEntry(name="tiny", task="text", source="file:tiny", precision="float32", memory_gib={"float32": 1.0})
FACTS = Workload(
    name="facts",
    task="text",
    kind="quality",
    score="contains",
    max_new_tokens=16,
    items=(
        Item(id="capital", prompt="The capital of France?", answer="Paris", level=1, language="en"),
        Item(id="planet", prompt="The red planet?", answer=("Mars", "the planet Mars"), level=2),
    ),
)
SPEED = Workload(name="speed", task="text", kind="speed")

QUALITY_SPEC = JobSpec(model="tiny", workload="facts", strategy="direct", temperature=0.0, items=2, max_new_tokens=16)
SPEED_SPEC = JobSpec(model="tiny", workload="speed", prompt_tokens=32, new_tokens=8)

ENVIRONMENT = Environment(
    os_build="Linux 6.1",
    python_version="3.11",
    torch_version="2.13",
    transformers_version="5.23",
    benchbeat_version="1",
)
RESOLVED = Resolved(
    device="cpu",
    device_name="Test CPU",
    revision="abc123",
    temperature=0.0,
    top_p=1.0,
    top_k=0,
    repetition_penalty=1.0,
    max_new_tokens=16,
    strategy_hash=STRATEGY_HASH,
)

MACHINE_FACTS = {"id": "machine-a", "chip": "Test chip", "memory_bytes": 16 * 2**30, "os": "Linux"}
WORKER_FACTS: dict[str, Any] = {
    "id": "worker-a",
    "machine_id": "machine-a",
    "device": "cpu",
    "device_name": "Test CPU",
    "memory_mib": 8192,
    "queues": ("any.4", "cpu.4"),
    "batch_id": None,
    "pid": 4321,
    "version": "1",
}

#: of a quiet machine without a GPU
SURROUNDINGS = Surroundings(
    watched_seconds=18.5,
    readings=20,
    judged=True,
    witness_cpu_seconds=0.01,
    gate_waited_seconds=0.0,
    cores=2,
    others_mean_cores=0.05,
    others_max_cores=0.2,
    others_busy_seconds=0.0,
    stolen_mean_cores=0.01,
    swapped_bytes=0,
    power_source="mains",
    low_power=False,
)

#: a batch whose jobs are given apart
BATCH = NewBatch(
    name="nightly",
    key=None,
    sweep_hash="sweep-hash",
    priority=0,
    models={MODEL_HASH: MODEL},
    workloads={WORKLOAD_HASH: FACTS, SPEED_HASH: SPEED},
    strategies={STRATEGY_HASH: ("direct", "[]")},
)


def new_job(spec: JobSpec = QUALITY_SPEC, **changes: Any) -> NewJob:
    """Return a job of 1,000 MiB for the queue `any.4`, with fields of NewJob changed."""
    fields: dict[str, Any] = {
        "spec": spec,
        "model_hash": MODEL_HASH,
        "workload_hash": SPEED_HASH if spec.is_speed else WORKLOAD_HASH,
        "strategy_hash": None if spec.is_speed else STRATEGY_HASH,
        "queue": "any.4",
        "session_key": "tiny-float32",
        "memory_mib": 1000,
    }
    return NewJob(**(fields | changes))


def add_jobs(database: Database, jobs: int | Sequence[NewJob] = 1, **batch: Any) -> list[int]:
    """Queue jobs (a number makes equal ones) in a new batch with fields of NewBatch changed; returns their ids."""
    new = [new_job()] * jobs if isinstance(jobs, int) else list(jobs)
    with database.write() as connection:
        batch_id = insert_batch(connection, replace(BATCH, **batch), new)
        query = select(job.c.id).where(job.c.batch_id == batch_id).order_by(job.c.id)
        return list(connection.execute(query).scalars())


def add_worker(database: Database, worker_id: str = "worker-a", **facts: Any) -> Claimant:
    """Register a worker with 8 GiB for the queues `any.4` and `cpu.4`, with facts changed, as who claims."""
    facts = WORKER_FACTS | {"id": worker_id} | facts
    register_worker(database, facts, MACHINE_FACTS | {"id": facts["machine_id"]})
    return Claimant(worker_id, tuple(facts["queues"]), facts["memory_mib"], facts["batch_id"])


def claimed_by(database: Database, claimant: Claimant, **options: Any) -> Claimed:
    """Claim a job, which must be there, for a minute."""
    taken = claim(database, claimant, **({"lease_seconds": 60.0} | options))
    assert taken is not None
    return taken


def claimed_job(database: Database) -> Claimed:
    """Return the one job of a new batch, claimed by a new worker."""
    add_jobs(database)
    return claimed_by(database, add_worker(database))


def let_lease_run_out(database: Database, job_id: int) -> None:
    """Set a job's lease to a time that is over."""
    change(database, job_id, lease_until=now() - literal(1.0))


def overtaken(database: Database, job_id: int, claimant: Claimant) -> Claimed:
    """Let a job's lease run out, and claim the job anew."""
    let_lease_run_out(database, job_id)
    expire(database)
    return claimed_by(database, claimant)


def late_result(database: Database) -> int:
    """Return a job that was rung for, returned, overtaken and done, before what it was overtaken for came too."""
    (job_id,) = add_jobs(database)
    mark_published(database, [job_row(database, job_id).batch_id])
    worker = add_worker(database)
    returned = claimed_by(database, worker)
    return_job(database, returned.id, returned.attempt)
    lost = claimed_by(database, worker)
    last = overtaken(database, job_id, worker)
    store_measurement(database, last.id, last.attempt, "machine-a", measurement())
    assert store_measurement(database, lost.id, lost.attempt, "machine-a", measurement()) is None
    return job_id


#: what happened to the job of `late_result`, with the attempts' numbers
LATE_LIFE = [
    ("queued", None),
    ("published", None),
    ("claimed", 1),
    ("returned", 1),
    ("claimed", 2),
    ("claimed", 3),
    ("done", 3),
    ("superseded", 2),
]


def change(database: Database, job_id: int, **values: Any) -> None:
    """Set columns of a job."""
    with database.write() as connection:
        connection.execute(update(job).where(job.c.id == job_id).values(**values))


def job_row(database: Database, job_id: int) -> Row[Any]:
    """Return a job's row."""
    with database.read() as connection:
        return connection.execute(select(job).where(job.c.id == job_id)).one()


def states(database: Database, job_ids: Iterable[int]) -> list[str]:
    """Return the states of jobs."""
    return [job_row(database, job_id).state for job_id in job_ids]


def attempt_rows(database: Database, job_id: int) -> list[Row[Any]]:
    """Return the rows of a job's attempts, first to last."""
    with database.read() as connection:
        query = select(attempt).where(attempt.c.job_id == job_id).order_by(attempt.c.attempt)
        return list(connection.execute(query))


def outcomes(database: Database, job_id: int) -> list[str | None]:
    """Return how a job's attempts ended, first to last."""
    return [row.outcome for row in attempt_rows(database, job_id)]


def runs(database: Database) -> list[Row[Any]]:
    """Return the rows of all runs."""
    with database.read() as connection:
        return list(connection.execute(select(run).order_by(run.c.id)))


def row_counts(database: Database, tables: Iterable[Table] = metadata.sorted_tables) -> Mapping[str, int]:
    """Return the number of rows by table."""
    with database.read() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables
        }


def everything(database: Database) -> dict[str, Any]:
    """Return all that an upgrade must leave as it was where it fails: revision, views, and each table's rows."""
    with database.read() as connection:
        names = inspect(connection).get_table_names()
        rows = {name: sorted(map(repr, connection.execute(text(f'SELECT * FROM "{name}"')))) for name in names}
        return {"rows": rows, "views": sorted(inspect(connection).get_view_names())}


def empty(database: Database) -> None:
    """Delete every row, and count from 1 again."""
    with database.write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(delete(table))
        if database.is_sqlite:
            return
        for table in metadata.sorted_tables:
            if "id" in table.c and table.c.id.type.python_type is int:
                counter = func.pg_get_serial_sequence(table.name, "id")
                connection.execute(select(func.setval(counter, 1, False)))


def sample(iteration: int = 0, **changes: Any) -> Sample:
    """Return a timed call of half a second, with fields changed."""
    fields: dict[str, Any] = {
        "iteration": iteration,
        "batch_size": 1,
        "prompt_tokens": 32,
        "new_tokens": 8,
        "latency_seconds": 0.5,
    }
    return Sample(**(fields | changes))


def answer(item_id: str = "capital", text: str = "It is Paris.", **changes: Any) -> Answer:
    """Return a right answer, with fields changed."""
    fields: dict[str, Any] = {
        "extracted": "Paris",
        "score": 1.0,
        "prompt_tokens": 12,
        "new_tokens": 4,
        "finish": "stop",
        "sample": 0,
    }
    return Answer(**({"item_id": item_id, "text": text} | fields | changes))


def measurement(figures: Mapping[str, Any] | None = None, **changes: Any) -> Measurement:
    """Return what an attempt measured in 20 seconds: one of each kind of detail; figures and fields changed."""
    fields: dict[str, Any] = {
        "resolved": RESOLVED,
        "environment": ENVIRONMENT,
        "figures": Figures(**({"iterations": 1} | dict(figures or {}))),
        "samples": (sample(),),
        "answers": (answer(),),
        "breakdowns": (Breakdown(by="level", value="1", items=1, accuracy=1.0, accuracy_stderr=None),),
        "metrics": (Metric(task="facts", name="acc", filter="none", value=1.0),),
        "surroundings": SURROUNDINGS,
        "session": "session-1",
        "session_position": 1,
        "started_at": 1_700_000_000.0,
        "finished_at": 1_700_000_020.0,
    }
    return Measurement(**(fields | changes))


def populate(database: Database) -> None:
    """Put rows into every table: a job that was measured at its second attempt, its repetition, and a queued one."""
    jobs = add_jobs(database, 2, schedule="nightly")
    worker = add_worker(database)
    first = claimed_by(database, worker)
    fail_job(database, first.id, first.attempt, error="The session ended", stderr="Killed", max_attempts=3)
    again = claimed_by(database, worker)
    store_measurement(database, again.id, again.attempt, "machine-a", measurement({"accuracy": 0.5}))
    with database.write() as connection:
        connection.execute(insert(metadata.tables["machine"]).values(id="machine-b", first_seen_at=now()))
        repeat_jobs(connection, jobs[:1], "confirmation")
        connection.execute(insert(metadata.tables["media"]).values(hash="0" * 64, content=b"a picture"))
        timing = {"cron": "0 2 * * *", "anchor_at": 0.0, "timezone": "Europe/Zurich", "paused": False}
        policy = {"misfire": "latest", "grace_seconds": 21_600.0, "overlap": "skip", "next_due_at": 1e9}
        insert_schedule(connection, {"name": "nightly", "batch": "{}", "jobs": "[]", "job_count": 0} | timing | policy)
        insert_firing(connection, 1, 9e8, "missed", "the machine slept")
        expect_judgement(connection, 1)
        suspect(connection)
    mark_beat(database, "a beat", pid=1, version="1")


def suspect(connection: Connection) -> None:
    """Write a change that the first run made suspected."""
    places = {"series_id": 1, "run_id": 1, "first_run_id": 1, "last_run_id": 1, "metric": "latency_seconds"}
    size = {"level_before": 0.5, "level_after": 0.6, "ratio": 1.2, "log_evidence": 9.0, "suspected_at": now()}
    connection.execute(insert(metadata.tables["change"]).values(state="suspected", kind="step", **places, **size))


#: every way in which a worker may write about its job
SAYINGS: dict[str, Callable[[Database, int, int], object]] = {
    "extend": lambda database, job_id, attempt: extend_lease(database, job_id, attempt, 60, '{"done": 1}'),
    "finish": lambda database, job_id, attempt: store_measurement(
        database, job_id, attempt, "machine-a", measurement()
    ),
    "fail": lambda database, job_id, attempt: fail_job(
        database, job_id, attempt, error="It broke", stderr="Traceback", max_attempts=1
    ),
    "requeue": lambda database, job_id, attempt: requeue_elsewhere(
        database, job_id, attempt, error="Out of memory", queue="any.64", memory_mib=40_000
    ),
    "return": return_job,
    "cancelled": end_cancelled,
}


def expire(database: Database, max_attempts: int = 3) -> list[Expired]:
    """Take back what lost workers held."""
    with database.write() as connection:
        return expire_leases(connection, max_attempts)


def cancel(database: Database, *job_ids: int) -> tuple[int, int]:
    """Cancel jobs."""
    with database.write() as connection:
        return cancel_jobs(connection, list(job_ids))
