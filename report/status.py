"""What goes on, printed: batches, jobs, workers, queues."""

import io
import re
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import click

from db.engine import Database
from db.live import Live, look
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
    waiting_in_vain,
)
from db.workers import WorkerRow, live_workers
from report.cells import one_line
from report.durations import brief
from report.formats import write_rows
from report.printing import print_fitting, print_rows, print_text, terminal_width
from report.progress import disturbance_lines, progress_line, waiting_line
from report.schedules import NO_BEAT, schedule_details, schedule_lines

#: failed jobs that are shown
_FAILURES = 5
_UUID = re.compile(r"^([0-9a-f]{8})(-[0-9a-f]{4}){3}-[0-9a-f]{12}(?=-)")


def print_overview(database: Database, output: str) -> None:
    """Print the recent batches, the running jobs, the live workers, and what waits in vain."""
    with database.read() as connection:
        live = look(connection)
        schedules, last, beats = all_schedules(connection), last_firings(connection), live_beats(connection)
    batches = sorted(live.batches, key=lambda batch: -batch.id)
    running, workers = live.running, live.workers
    if output != "table":
        _print_overview_rows(live, batches, schedules, output)
        return
    click.secho("Batches", bold=True)
    if batches:
        shown = (*STATES, "disturbed")
        states = [state for state in shown if state == "done" or any(getattr(batch, state) for batch in batches)]
        rows = [[*_batch_row(batch, states), _left(batch, live)] for batch in batches]
        columns = ["batch", "name", "created", "jobs", *states, "left"]
        if not live.left:
            columns, rows = columns[:-1], [row[:-1] for row in rows]
        print_fitting(columns, rows, output, expendable=["created"])
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
    _print_queues(live)
    _print_failures(live)
    if schedules:
        click.secho("\nSchedules", bold=True)
        for line in schedule_lines(schedules, last):
            print_text(line)
        if not beats:
            print_text(NO_BEAT)


def _print_queues(live: Live) -> None:
    if live.queues:
        click.secho("\nQueues", bold=True)
        for queue in live.queues:
            print_text(f"{queue.name}: {queue.jobs:,} waiting")
    told: Counter[tuple[str, str]] = Counter()
    for queue in live.queues:
        for each in queue.in_vain:
            told[each.queue, each.reason] += each.jobs
    if told:
        click.secho("\nWaiting in vain", bold=True)
        for (name, reason), jobs in told.items():
            print_text(waiting_line(Waiting(name, jobs, reason)))


def _print_failures(live: Live) -> None:
    if not live.failures:
        return
    click.secho("\nFailures", bold=True)
    for job in live.failures[:_FAILURES]:
        print_text(f"job {job.id} (batch {job.batch_id}): {job.what}: {job.error or 'no reason was given'}")
    hidden = sum(batch.failed for batch in live.batches) - _FAILURES
    more = f"; {hidden:,} more are not shown here" if hidden > 0 else ""
    print_text(f"`benchbeat status {live.failures[0].id}` shows its attempts and what it wrote last{more}")


def _left(batch: BatchStatus, live: Live) -> str | None:
    return f"~{brief(live.left[batch.id])}" if batch.id in live.left else None


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
    for line, _ in job_lines(job, life, attempts, waiting, width=terminal_width() if sys.stdout.isatty() else None):
        click.echo(line)


def job_lines(
    job: JobStatus, life: Sequence[Event], attempts: Sequence[Any], waiting: Sequence[Waiting], width: int | None = None
) -> Iterator[tuple[str, Literal["strong", "plain", "faint", "bad", "warning"]]]:
    """Yield what is to be said of a job, harmless, line by line, and what each line is.

    `width` in characters folds sentences and the table.
    """
    for sentence in _fold(f"job {job.id} (batch {job.batch_id}): {job.what}", width):
        yield sentence, "strong"
    note = _note(job)
    for sentence in _fold(f"{job.state}: {note}" if note else job.state, width):
        yield sentence, "bad" if job.state == "failed" else "plain"
    for each in waiting:
        for sentence in _fold(f"waits: {each.reason}", width):
            yield sentence, "warning"
    yield "", "plain"
    columns = ["at", "event", "attempt", "worker", "note"]
    rows = [_event_row(each) for each in life]
    used = [place for place in range(len(columns)) if any(row[place] is not None for row in rows)]
    table = io.StringIO()
    write_rows(
        [columns[place] for place in used],
        [[row[place] for place in used] for row in rows],
        format="table",
        stream=table,
        width=width,
    )
    for line in table.getvalue().splitlines():
        yield line, "plain"
    for attempt in attempts:
        if attempt.stderr:
            yield "", "plain"
            yield f"last output of attempt {attempt.attempt}:", "strong"
            for line in attempt.stderr.rstrip().split("\n"):
                # A session writes what its libraries, and others' weights and tasks, make it write.
                yield one_line(line.rstrip("\r")), "faint"


def _fold(text: str, width: int | None) -> list[str]:
    text = one_line(text)
    return [text] if width is None else textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False)


def _print_overview_rows(live: Live, batches: list[BatchStatus], schedules: list[Schedule], output: str) -> None:
    """Machine formats get one flat table: kind, id, what it says."""
    rows: list[list[Any]] = [["batch", b.id, b.name, _batch_details(b, live)] for b in batches]
    rows += [["job", j.id, j.what, {"batch": j.batch_id, "progress": j.progress}] for j in live.running]
    rows += [["worker", w.id, w.device_name, _worker_details(w)] for w in live.workers]
    rows += [["queue", q.name, f"{q.jobs} waiting", {"jobs": q.jobs}] for q in live.queues]
    rows += [
        ["waiting", w.queue, w.reason, {"jobs": w.jobs, "batch": w.batch_id}] for q in live.queues for w in q.in_vain
    ]
    rows += [["failure", j.id, j.error, {"batch": j.batch_id, "job": j.what}] for j in live.failures]
    rows += [["schedule", s.name, s.timing.in_words(), schedule_details(s)] for s in schedules]
    print_rows(["kind", "id", "what", "details"], rows, output)


def _batch_details(batch: BatchStatus, live: Live) -> dict[str, Any]:
    counts = {name: getattr(batch, name) for name in ("jobs", *STATES, "disturbed")}
    return counts | {"left_seconds": live.left.get(batch.id)}


def _batch_row(batch: BatchStatus, states: list[str]) -> list[Any]:
    return [batch.id, batch.name, _time(batch.created_at), batch.jobs, *(getattr(batch, state) for state in states)]


def _worker_row(worker: WorkerRow) -> list[Any]:
    does = f"job {worker.job_id}" if worker.job_id else "nothing"
    if worker.batch_id is not None:
        does += f" (batch {worker.batch_id} only)"
    memory, seen = f"{worker.memory_mib / 1024:.1f} GiB", f"{max(0, worker.silent_seconds):.0f} s ago"
    return [short(worker.id), f"{worker.device} ({worker.device_name})", memory, does, seen]


def _worker_details(worker: WorkerRow) -> dict[str, Any]:
    names = ("machine_id", "device", "memory_mib", "batch_id", "job_id", "pid", "silent_seconds")
    return {name: getattr(worker, name) for name in names}


def _event_row(event: Event) -> list[Any]:
    worker = short(event.worker_id) if event.worker_id and event.what == "claimed" else None
    return [_time(event.at), event.what, event.attempt, worker, event.note]


def short(worker_id: str) -> str:
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
