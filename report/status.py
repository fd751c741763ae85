"""What goes on, printed: batches, jobs, workers, queues."""

import re
from datetime import UTC, datetime
from typing import Any

import click

from db.engine import Database
from db.schedules import Schedule, all_schedules, last_firings, live_beats
from db.status import (
    STATES,
    BatchStatus,
    Event,
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
from db.workers import WorkerRow, live_workers
from report.printing import print_fitting, print_rows, print_text
from report.progress import disturbance_lines, progress_line, waiting_line
from report.schedules import NO_BEAT, schedule_details, schedule_lines

_BATCHES = 10
_UUID = re.compile(r"^([0-9a-f]{8})(-[0-9a-f]{4}){3}-[0-9a-f]{12}(?=-)")


def print_overview(database: Database, output: str) -> None:
    """Print the recent batches, the running jobs, the live workers, and what waits in vain."""
    with database.read() as connection:
        batches = recent_batches(connection, _BATCHES)
        running = running_jobs(connection)
        workers = live_workers(connection)
        waiting = waiting_in_vain(connection, workers)
        schedules, last, beats = all_schedules(connection), last_firings(connection), live_beats(connection)
    if output != "table":
        _print_overview_rows(batches, running, workers, waiting, schedules, output)
        return
    click.secho("Batches", bold=True)
    if batches:
        shown = (*STATES, "disturbed")
        states = [state for state in shown if state == "done" or any(getattr(batch, state) for batch in batches)]
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
    if schedules:
        click.secho("\nSchedules", bold=True)
        for line in schedule_lines(schedules, last):
            print_text(line)
        if not beats:
            print_text(NO_BEAT)


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
    for line in [*disturbance_lines(jobs), *map(waiting_line, waiting)]:
        print_text(line)


def print_job(database: Database, job_id: int, output: str) -> None:
    """Print a job's life: queued, published, claimed by whom, how it ended. Raises InputError where there is none."""
    with database.read() as connection:
        job = job_status(connection, job_id)
        life = life_of(connection, job_id)
        attempts = attempts_of(connection, job_id)
        waiting = waiting_in_vain(connection, live_workers(connection), job_id=job_id) if job.state == "queued" else []
    if output != "table":
        rows = [[_time(each.at), each.what, each.attempt, each.worker_id, each.note] for each in life]
        print_rows(["at", "event", "attempt", "worker", "note"], rows, output)
        return
    print_text(f"job {job.id} (batch {job.batch_id}): {job.what}")
    note = _note(job)
    print_text(f"{job.state}: {note}" if note else job.state)
    for each in waiting:
        print_text(f"waits: {each.reason}")
    click.echo()
    columns = ["at", "event", "attempt", "worker", "note"]
    rows = [_event_row(each) for each in life]
    used = [place for place in range(len(columns)) if any(row[place] is not None for row in rows)]
    print_rows([columns[place] for place in used], [[row[place] for place in used] for row in rows], output)
    for a in attempts:
        if a.stderr:
            click.echo(f"\nlast output of attempt {a.attempt}:\n{a.stderr.rstrip()}")


def _print_overview_rows(
    batches: list[BatchStatus],
    running: list[JobStatus],
    workers: list[WorkerRow],
    waiting: list[Waiting],
    schedules: list[Schedule],
    output: str,
) -> None:
    """Machine formats get one flat table: kind, id, what it says."""
    rows: list[list[Any]] = [
        ["batch", b.id, b.name, {name: getattr(b, name) for name in ("jobs", *STATES, "disturbed")}] for b in batches
    ]
    rows += [["job", j.id, j.what, {"batch": j.batch_id, "progress": j.progress}] for j in running]
    rows += [["worker", w.id, w.device_name, _worker_details(w)] for w in workers]
    rows += [["waiting", w.queue, w.reason, {"jobs": w.jobs}] for w in waiting]
    rows += [["schedule", s.name, s.timing.in_words(), schedule_details(s)] for s in schedules]
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


def _event_row(event: Event) -> list[Any]:
    worker = _short(event.worker_id) if event.worker_id and event.what == "claimed" else None
    return [_time(event.at), event.what, event.attempt, worker, event.note]


def _short(worker_id: str) -> str:
    """Return a worker's id for people: of a machine's UUID the first part will do."""
    return _UUID.sub(r"\1", worker_id)


def _job_row(job: JobStatus) -> list[Any]:
    return [job.id, job.state, job.what, job.run_id, job.attempt, _note(job)]


def _note(job: JobStatus) -> str:
    if job.state == "running":
        return progress_line(job.progress)
    return f"disturbed: {job.contamination}" if job.contamination else (job.error or "")


def _time(seconds: float | None) -> str | None:
    """Return a time in this machine's zone, to the second."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
