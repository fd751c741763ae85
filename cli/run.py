"""`benchbeat run`: the whole stack for one batch."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from cli.children import open_log, start_service, stop_service
from cli.context import State
from cli.follow import NOTHING_MEASURED, conclude, follow, snapshot
from cli.options import output_option, read_sweep_options, say_sweep, sweep_options
from cli.patience import patience
from cli.submit import check_can_be_had, ring


@click.command(short_help="Submit a sweep, run it here and print the results.")
@sweep_options
@click.option("--key", help="Makes a second try harmless: the same key, the same batch.")
@output_option
@click.pass_obj
def run(state: State, /, sweep: Path | None, output: str, key: str | None, **options: Any) -> int:
    """Submit SWEEP (or the options), run it on this machine, show progress and print the results.

    If a worker of this machine runs already, it does the work. Ctrl-C and SIGTERM leave the rest of the batch queued.

    \b
    Examples:
      benchbeat run examples/demo.toml
      benchbeat run --model smollm2-135m --workload facts --items 12
      benchbeat run examples/demo.toml --set items=4
      benchbeat run --model smollm2-135m --workload speed --prompt-tokens 128,512
      benchbeat run --model smollm2-135m --workload speed --profile
    """
    from scheduler.broker import broker_url, check_broker
    from scheduler.submit import submit

    expanded = read_sweep_options(state, sweep, options)
    check_can_be_had(expanded, state)
    database = state.database
    check_broker(broker_url(state.settings.home, state.settings.broker))
    with patience(state, "storing the batch"):
        submission = submit(database, expanded, key=key)
    batch_id = submission.batch_id
    said = say_sweep(expanded) if submission.created else "queued before with this key"
    state.say(f"batch {batch_id}: {said}")
    ring(state)
    is_open = bool(snapshot(database, batch_id).batch.open)
    before = signal.signal(signal.SIGTERM, _end)  # without a handler it would leave the worker behind
    child = _start_worker(state, batch_id) if is_open and not _owner(state) else None
    try:
        if child is None:
            last = follow(database, batch_id, to_the_last=False, quiet=state.quiet)
        else:
            last = follow(database, batch_id, gone=lambda: child.poll() is not None, quiet=state.quiet)
    except KeyboardInterrupt as ended:
        _say_how_to_go_on(state, batch_id, child)
        return 128 + (signal.SIGTERM if isinstance(ended, _Terminated) else signal.SIGINT)
    finally:
        if child is not None:
            stop_service(child)
        signal.signal(signal.SIGTERM, before)
    return _finish(state, last.batch.id, output)


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a run as Ctrl-C does."""


def _end(number: int, frame: object) -> None:
    raise _Terminated


def _owner(state: State) -> bool:
    """Whether a live worker of this machine already owns the device."""
    from db.workers import live_worker_for
    from worker.machine import machine_id

    with state.database.read() as connection:
        worker = live_worker_for(connection, machine_id(state.settings), state.settings.device)
    if worker is None or not _process_exists(worker.pid):
        return False
    state.say(f"worker {worker.id} runs on this machine and does the work")
    return True


def _process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _start_worker(state: State, batch_id: int) -> subprocess.Popen[bytes]:
    settings = state.settings
    with open_log(settings.logs / "worker.log") as log:
        return start_service(settings.home, "worker", "--batch", str(batch_id), by="run", output=log)


def _say_how_to_go_on(state: State, batch_id: int, child: subprocess.Popen[bytes] | None) -> None:
    if child is not None:
        click.echo("\nStopping ...", err=True)
        with suppress(KeyboardInterrupt):
            stop_service(child)
    _say_what_is_left(batch_id, snapshot(state.database, batch_id).batch.open)


def _say_what_is_left(batch_id: int, left: int) -> None:
    click.echo(
        f"Batch {batch_id} keeps {left} unfinished {'job' if left == 1 else 'jobs'}. "
        f"Go on with `benchbeat up`, or cancel with `benchbeat cancel --batch {batch_id}`.",
        err=True,
    )


def _finish(state: State, batch_id: int, output: str) -> int:
    from cli.history import print_history, query_of_batch
    from report.progress import waiting_line

    # Our worker has ended by now, and it is the one that could not take what waits.
    last = snapshot(state.database, batch_id, with_ended=True)
    print_history(state, query_of_batch(batch_id), output, says_nothing=False)
    for job in last.jobs:
        if job.state == "failed":
            click.echo(f"job {job.id} failed: {job.what}: {job.error}", err=True)
    for waiting in last.waiting:
        click.echo(waiting_line(waiting), err=True)
    if last.batch.open:
        _say_what_is_left(batch_id, last.batch.open)
    _say_traces(state, [job.id for job in last.jobs])
    code = conclude(last)
    if code == NOTHING_MEASURED:
        click.echo(f"Nothing was measured; the worker's log is {state.settings.logs / 'worker.log'}", err=True)
    return code


def _say_traces(state: State, jobs: list[int]) -> None:
    from worker.traces import traces_of

    for file in [file for job_id in jobs for file in traces_of(state.settings.home, job_id)[-1:]]:
        state.say(f"trace of job {file.name.split('-')[1]}: {file} (for ui.perfetto.dev or chrome://tracing)")
