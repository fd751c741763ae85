"""What goes on, printed: batches, jobs, workers, queues."""

import re
from datetime import UTC, datetime
from typing import Any

import click

from db.engine import Database
from db.status import (
    STATES,
    BatchStatus,
    JobStatus,
    Waiting,
    attempts_of,
    batch_status,
    job_status,
    jobs_of_batch,
    recent_batches,
    running_jobs,
    waiting_in_vain,
)
from db.workers import WorkerRow, live_workers
from report.printing import print_fitting, print_rows, print_text
from report.progress import progress_line, waiting_line

_BATCHES = 10
_UUID = re.compile(r"^([0-9a-f]{8})(-[0-9a-f]{4}){3}-[0-9a-f]{12}(?=-)")


def print_overview(database: Database, output: str) -> None:
    """Print the recent batches, the running jobs, the live workers, and what waits in vain."""
    with database.read() as connection:
        batches = recent_batches(connection, _BATCHES)
        running = running_jobs(connection)
        workers = live_workers(connection)
        waiting = waiting_in_vain(connection, workers)
    if output != "table":
        _print_overview_rows(batches, running, workers, waiting, output)
        return
    click.secho("Batches", bold=True)
    if batches:
        states = [state for state in STATES if state == "done" or any(getattr(batch, state) for batch in batches)]
        rows = [_batch_row(batch, states) for batch in batches]
        print_fitting(["batch", "name", "created", "jobs", *states], rows, output, expendable=["created"])
    else:
        click.echo("none yet; begin with `benchbeat run --model smollm2-135m --workload facts --items 12`")
    if running:
        click.secho("\nRunning", bold=True)
        for job in running:
            print_text(f"job {job.id} (batch {job.batch_id}): {job.what}: {progress_line(job.progress)}")
    click.secho("\nWorkers", bold=True)
    if workers:
        columns = ["worker", "device", "memory", "works on", "seen"]
        print_fitting(columns, [_worker_row(worker) for worker in workers], output, expendable=["memory"])
    else:
        click.echo("none is running")
    if waiting:
        click.secho("\nWaiting in vain", bold=True)
        for each in waiting:
            print_text(waiting_line(each))


def print_batch(database: Database, batch_id: int, output: str) -> None:
    """Print the jobs of a batch. Raises InputError where there is none of this id."""
    with database.read() as connection:
        batch = batch_status(connection, batch_id)
        jobs = jobs_of_batch(connection, batch_id)
        waiting = waiting_in_vain(connection, live_workers(connection), batch_id)
    rows = [_job_row(job) for job in jobs]
    columns = ["job", "state", "what", "run", "attempt", "note"]
    if output != "table":
        print_rows(columns, rows, output)
        return
    counts = [f"{getattr(batch, state)} {state}" for state in STATES if getattr(batch, state)]
    print_text(f"batch {batch.id} {batch.name}: {', '.join(counts)}")
    print_fitting(columns, rows, output, expendable=["attempt", "run"])
    for each in waiting:
        print_text(waiting_line(each))


def print_job(database: Database, job_id: int, output: str) -> None:
    """Print a job with its attempts. Raises InputError where there is none of this id."""
    with database.read() as connection:
        job = job_status(connection, job_id)
        attempts = attempts_of(connection, job_id)
        waiting = waiting_in_vain(connection, live_workers(connection), job.batch_id) if job.state == "queued" else []
    if output != "table":
        columns = ["attempt", "worker", "started", "finished", "outcome", "error"]
        times = [(_time(a.started_at), _time(a.finished_at)) for a in attempts]
        rows = zip(attempts, times, strict=True)
        print_rows(columns, [[a.attempt, a.worker_id, *at, a.outcome or "running", a.error] for a, at in rows], output)
        return
    print_text(f"job {job.id} (batch {job.batch_id}): {job.what}")
    note = _note(job)
    print_text(f"{job.state}: {note}" if note else job.state)
    for each in waiting:
        if each.queue == job.queue:
            print_text(f"waits: {each.reason}")
    if attempts:
        columns = ["attempt", "worker", "started", "finished", "outcome"]
        print_fitting(columns, [_attempt_row(a) for a in attempts], output, expendable=["started"])
    for a in attempts:
        if a.error and a.error != job.error:
            print_text(f"attempt {a.attempt}: {a.error}")
        if a.stderr:
            click.echo(f"\nlast output of attempt {a.attempt}:\n{a.stderr.rstrip()}")


def _print_overview_rows(
    batches: list[BatchStatus],
    running: list[JobStatus],
    workers: list[WorkerRow],
    waiting: list[Waiting],
    output: str,
) -> None:
    """Machine formats get one flat table: kind, id, what it says."""
    rows: list[list[Any]] = [
        ["batch", b.id, b.name, {"jobs": b.jobs} | {state: getattr(b, state) for state in STATES}] for b in batches
    ]
    rows += [["job", j.id, j.what, {"batch": j.batch_id, "progress": j.progress}] for j in running]
    rows += [["worker", w.id, w.device_name, _worker_details(w)] for w in workers]
    rows += [["waiting", w.queue, w.reason, {"jobs": w.jobs}] for w in waiting]
    print_rows(["kind", "id", "what", "details"], rows, output)


def _batch_row(batch: BatchStatus, states: list[str]) -> list[Any]:
    return [batch.id, batch.name, _time(batch.created_at), batch.jobs, *(getattr(batch, state) for state in states)]


def _worker_row(worker: WorkerRow) -> list[Any]:
    does = f"job {worker.job_id}" if worker.job_id else "nothing"
    if worker.batch_id is not None:
        does += f" (batch {worker.batch_id} only)"
    memory, seen = f"{worker.memory_mib / 1024:.1f} GiB", f"{max(0, worker.silent_seconds):.0f} s ago"
    return [_short(worker.id), f"{worker.device} ({worker.device_name})", memory, does, seen]


def _worker_details(worker: WorkerRow) -> dict[str, Any]:
    names = ("machine_id", "device", "memory_mib", "batch_id", "job_id", "pid", "silent_seconds")
    return {name: getattr(worker, name) for name in names}


def _attempt_row(attempt: Any) -> list[Any]:
    times = [_time(attempt.started_at), _time(attempt.finished_at)]
    return [attempt.attempt, _short(attempt.worker_id), *times, attempt.outcome or "running"]


def _short(worker_id: str) -> str:
    """Return a worker's id for people: of a machine's UUID the first part will do."""
    return _UUID.sub(r"\1", worker_id)


def _job_row(job: JobStatus) -> list[Any]:
    return [job.id, job.state, job.what, job.run_id, job.attempt, _note(job)]


def _note(job: JobStatus) -> str:
    return progress_line(job.progress) if job.state == "running" else (job.error or "")


def _time(seconds: float | None) -> str | None:
    """Return a time in this machine's zone, to the second."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
