"""What goes on, printed: batches, jobs, workers, queues."""

import json
from datetime import UTC, datetime
from typing import Any

import click

from db.engine import Database
from db.status import (
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
from report.printing import print_rows
from report.progress import progress_line

_BATCHES = 10


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
        columns = ["batch", "name", "created", "jobs", "queued", "running", "done", "failed", "cancelled"]
        print_rows(columns, [_batch_row(batch) for batch in batches], output)
    else:
        click.echo("none yet; begin with `benchbeat run --model smollm2-135m --workload facts --items 12`")
    if running:
        click.secho("\nRunning", bold=True)
        for job in running:
            click.echo(f"job {job.id} (batch {job.batch_id}): {job.what}: {progress_line(job.progress)}")
    click.secho("\nWorkers", bold=True)
    if workers:
        print_rows(["worker", "device", "memory", "works on", "seen"], [_worker_row(w) for w in workers], output)
    else:
        click.echo("none is running")
    if waiting:
        click.secho("\nWaiting in vain", bold=True)
        for each in waiting:
            click.echo(f"{each.jobs} {'job' if each.jobs == 1 else 'jobs'} in queue {each.queue}: {each.reason}")


def print_batch(database: Database, batch_id: int, output: str) -> None:
    """Print the jobs of a batch. Raises InputError where there is none of this id."""
    with database.read() as connection:
        batch = batch_status(connection, batch_id)
        jobs = jobs_of_batch(connection, batch_id)
        waiting = waiting_in_vain(connection, live_workers(connection), batch_id)
    if output == "table":
        counts = [f"{getattr(batch, s)} {s}" for s in ("queued", "running", "done", "failed", "cancelled")]
        click.echo(f"batch {batch.id} {batch.name}: {', '.join(count for count in counts if count[0] != '0')}")
    print_rows(["job", "state", "what", "run", "attempt", "note"], [_job_row(job) for job in jobs], output)
    if output == "table":
        for each in waiting:
            click.echo(f"{each.jobs} {'job' if each.jobs == 1 else 'jobs'} in queue {each.queue}: {each.reason}")


def print_job(database: Database, job_id: int, output: str) -> None:
    """Print a job with its attempts. Raises InputError where there is none of this id."""
    with database.read() as connection:
        job = job_status(connection, job_id)
        attempts = attempts_of(connection, job_id)
        waiting = waiting_in_vain(connection, live_workers(connection), job.batch_id) if job.state == "queued" else []
    rows = [
        [a.attempt, a.worker_id, _time(a.started_at), _time(a.finished_at), a.outcome or "running", a.error]
        for a in attempts
    ]
    columns = ["attempt", "worker", "started", "finished", "outcome", "error"]
    if output != "table":
        print_rows(columns, rows, output)
        return
    click.echo(f"job {job.id} (batch {job.batch_id}): {job.what}")
    note = _note(job)
    click.echo(f"{job.state}" + (f": {note}" if note else ""))
    for each in waiting:
        if each.queue == job.queue:
            click.echo(f"waits: {each.reason}")
    if rows:
        print_rows(columns, rows, output)
    for a in attempts:
        if a.stderr:
            click.echo(f"\nlast output of attempt {a.attempt}:\n{a.stderr}")


def _print_overview_rows(
    batches: list[BatchStatus],
    running: list[JobStatus],
    workers: list[WorkerRow],
    waiting: list[Waiting],
    output: str,
) -> None:
    """Machine formats get one flat table: kind, id, what it says."""
    rows: list[list[Any]] = [["batch", b.id, b.name, json.dumps({"open": b.open, "jobs": b.jobs})] for b in batches]
    rows += [["job", j.id, j.what, json.dumps(j.progress)] for j in running]
    rows += [
        ["worker", w.id, w.device_name, json.dumps({"job": w.job_id, "memory_mib": w.memory_mib})] for w in workers
    ]
    rows += [["waiting", w.queue, w.reason, json.dumps({"jobs": w.jobs})] for w in waiting]
    print_rows(["kind", "id", "what", "details"], rows, output)


def _batch_row(batch: BatchStatus) -> list[Any]:
    counts = [batch.jobs, batch.queued, batch.running, batch.done, batch.failed, batch.cancelled]
    return [batch.id, batch.name, _time(batch.created_at), *counts]


def _worker_row(worker: WorkerRow) -> list[Any]:
    does = f"job {worker.job_id}" if worker.job_id else "nothing"
    if worker.batch_id is not None:
        does += f" (batch {worker.batch_id} only)"
    memory = f"{worker.memory_mib / 1024:.1f} GiB"
    return [worker.id, f"{worker.device} ({worker.device_name})", memory, does, f"{worker.silent_seconds:.0f} s ago"]


def _job_row(job: JobStatus) -> list[Any]:
    return [job.id, job.state, job.what, job.run_id, job.attempt, _note(job)]


def _note(job: JobStatus) -> str:
    return progress_line(job.progress) if job.state == "running" else (job.error or "")


def _time(seconds: float | None) -> str | None:
    """Return a time in this machine's zone, to the second."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
