"""`up`, `down`, `worker` and `beat`: the services."""

import signal
import time
from typing import Any

import click

from cli.context import State, log_to_stderr
from cli.options import ID

_device = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), help="What to measure on (BENCHBEAT_DEVICE)."
)


@click.command(short_help="Run one worker, for a supervisor.")
@_device
@click.option("--batch", type=ID, help="Work for one batch only, and end with it.")
@click.pass_obj
def worker(state: State, device: str | None, batch: int | None) -> None:
    """Run jobs on this machine's device until SIGTERM or Ctrl-C; the running job then goes back to the queue.

    \b
    Example:
      benchbeat worker --device cpu
    """
    from worker.service import serve

    log_to_stderr(state.verbose)
    state.override(device=device)
    serve(state.settings, batch_id=batch)


@click.command(short_help="Run beat, which rings again for what was lost.")
@click.pass_obj
def beat(state: State) -> None:
    """Take back the jobs of lost workers and ring for queued ones, every few seconds, until SIGTERM or Ctrl-C.

    \b
    Example:
      benchbeat beat
    """
    from scheduler.beat import run_beat
    from scheduler.broker import broker_url, check_broker

    log_to_stderr(state.verbose)
    settings = state.settings
    state.database  # noqa: B018 - makes the schema of a first use, or says what is wrong with it
    state.close()
    broker = broker_url(settings.home, settings.broker)
    check_broker(broker)
    signal.signal(signal.SIGTERM, _interrupt)
    run_beat(settings, broker)


@click.command(short_help="Run a worker and beat on this machine until Ctrl-C.")
@_device
@click.pass_obj
def up(state: State, device: str | None) -> int:
    """Start what is needed to run queued jobs on this machine: Redis unless one is set, a worker and beat.

    Ctrl-C stops the worker and beat; a job that runs goes back to the queue. `benchbeat down` also stops Redis.

    \b
    Examples:
      benchbeat up
      benchbeat up --device cpu
    """
    from cli.children import noted, start_service, stop_service
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
    children = [
        start_service(settings.home, *flags, "worker", *options),
        start_service(settings.home, *flags, "beat"),
    ]
    click.echo(f"up: worker {children[0].pid}, beat {children[1].pid}; Ctrl-C stops both", err=True)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        while all(child.poll() is None for child in children):
            time.sleep(0.5)
        ended = "The worker" if children[0].poll() is not None else "Beat"
        click.echo(f"{ended} ended by itself; stopping the rest", err=True)
        return 1
    except KeyboardInterrupt:
        click.echo("Stopping ...", err=True)
        return 0
    finally:
        for child in children:
            stop_service(child)


@click.command(short_help="Stop what `up` or `run` left running on this machine.")
@click.pass_obj
def down(state: State) -> None:
    """Stop this home's worker and beat, and its embedded Redis. Queued jobs stay queued in the database.

    \b
    Example:
      benchbeat down
    """
    from cli.children import stop_noted
    from scheduler.broker import stop_embedded

    stopped = stop_noted(state.settings.home)
    others = _workers_left(state)
    if not others and stop_embedded(state.settings.home):
        stopped.append("the embedded Redis")
    for each in stopped:
        click.echo(f"stopped {each}")
    for pid in others:
        click.echo(f"a worker that was started by itself runs on (process {pid}), and Redis with it; stop it first")
    if not stopped and not others:
        click.echo("nothing was running")


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


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt
