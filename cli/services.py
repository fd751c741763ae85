"""`up`, `down`, `worker` and `beat`: the services."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from cli.context import State, log_to_stderr
from cli.options import ID

device_option = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), help="What to measure on (BENCHBEAT_DEVICE)."
)


@click.command(short_help="Run one worker, for a supervisor.")
@device_option
@click.option("--batch", type=ID, help="Work for one batch only, and end with it.")
@click.pass_obj
def worker(state: State, device: str | None, batch: int | None) -> None:
    """Run jobs on this machine's device until SIGTERM or Ctrl-C; the running job then goes back to the queue.

    \b
    Example:
      benchbeat worker --device cpu
    """
    state.override(device=device)
    serve_worker(state, batch_id=batch)


@click.command(short_help="Run beat, which runs schedules and looks after the queue.")
@click.pass_obj
def beat(state: State) -> None:
    """Run schedules, take back the jobs of lost workers and ring for queued ones, until SIGTERM or Ctrl-C.

    Any number of beats may run, on any machines: a schedule fires once.

    \b
    Example:
      benchbeat beat
    """
    serve_beat(state)


@click.command(short_help="Run a worker and beat on this machine until Ctrl-C.")
@device_option
@click.pass_obj
def up(state: State, device: str | None) -> int:
    """Start what is needed to run queued jobs on this machine: Redis unless one is set, a worker and beat.

    One that dies is started again. Ctrl-C stops both; a job that runs goes back to the queue. `benchbeat down` also
    stops Redis.

    \b
    Examples:
      benchbeat up
      benchbeat up --device cpu
    """
    from cli.children import Kept, noted
    from scheduler.broker import broker_url, check_broker

    settings = state.settings
    # A `run` at work has a worker for its batch alone; the device's lock lets one of them measure at a time.
    running = [each for each in noted(settings.home) if "--batch" not in each]
    if running:
        raise click.ClickException(f"benchbeat is up already: {'; '.join(running)}. Stop it with `benchbeat down`.")
    state.database  # noqa: B018 - made once here, so that worker and beat do not both try
    check_broker(broker_url(settings.home, settings.broker))
    options = ["--device", device] if device else []
    flags = ["--verbose"] if state.verbose else []
    worker, beat = Kept(settings.home, *flags, "worker", *options), Kept(settings.home, *flags, "beat")
    click.echo(f"up: worker {worker.pid}, beat {beat.pid}; Ctrl-C stops both", err=True)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        while worker.look(state.say) and beat.look(state.say):
            time.sleep(0.5)
        ended = "The worker" if worker.over else "Beat"
        click.echo(f"{ended} ended by itself; stopping the rest", err=True)
        return 1
    except KeyboardInterrupt:
        click.echo("Stopping ...", err=True)
        return 0
    finally:
        worker.stop()
        beat.stop()


@click.command(short_help="Stop what `up` or `run` left running on this machine.")
@click.pass_obj
def down(state: State) -> None:
    """Stop this home's worker and beat, and its embedded Redis. Queued jobs stay queued in the database.

    \b
    Example:
      benchbeat down
    """
    from bench.errors import UnavailableError
    from cli.children import stop_noted
    from scheduler.broker import stop_embedded

    stopped = stop_noted(state.settings.home)
    try:
        others = _workers_left(state)
    except UnavailableError as error:
        # A disk that is full, say: Redis has to go all the same.
        state.say(f"Warning: {error}")
        others = []
    if not others and stop_embedded(state.settings.home):
        stopped.append("the embedded Redis")
    for each in stopped:
        click.echo(f"stopped {each}")
    for pid in others:
        click.echo(f"a worker that was started by itself runs on (process {pid}), and Redis with it; stop it first")
    if not stopped and not others:
        click.echo("nothing was running")


def serve_worker(state: State, *, batch_id: int | None = None, file: Path | None = None) -> None:
    """Run a worker that logs to standard error, or to a file, until it is told to stop."""
    from worker.facts import LAUNCH_VARIABLE, launch_context
    from worker.service import serve

    log_to_stderr(state, file)
    # For the session, which is what records it and can't tell any more.
    os.environ[LAUNCH_VARIABLE] = launch_context()
    serve(state.settings, batch_id=batch_id)


def serve_beat(state: State, *, file: Path | None = None) -> None:
    """Run a beat that logs to standard error, or to a file, until it is told to stop."""
    from bench.errors import UnavailableError
    from scheduler.beat import run_beat
    from scheduler.broker import broker_url, check_broker
    from scheduler.logs import name_process
    from worker.machine import machine_id

    log_to_stderr(state, file)
    settings = state.settings
    with suppress(UnavailableError):  # a beat without an id works as well
        name_process(machine=machine_id(settings))
    state.database  # noqa: B018 - makes the schema of a first use, or says what is wrong with it
    state.close()
    broker = broker_url(settings.home, settings.broker)
    check_broker(broker)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    run_beat(settings, broker)


def _workers_left(state: State) -> list[int]:
    """Return the processes of this machine's live workers."""
    import psutil

    from db.engine import sqlite_path
    from db.workers import live_workers
    from worker.machine import machine_id

    path = sqlite_path(state.settings.database)
    if path is not None and not path.exists():
        return []
    machine = machine_id(state.settings)
    with state.database.read() as connection:
        return [w.pid for w in live_workers(connection) if w.machine_id == machine and psutil.pid_exists(w.pid)]


def _end(*_: Any) -> None:
    # Not KeyboardInterrupt: raised while Python runs code from a string, as imports of many libraries do, it makes the
    # process end by SIGINT even where it was caught.
    raise SystemExit(0)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt
