"""`benchbeat service`: a worker or beat that the system itself starts, restarts and stops."""

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from cli.context import State
from cli.options import output_option
from cli.services import device_option, serve_beat, serve_worker

_KIND = click.argument("kind", metavar="worker|beat", type=click.Choice(["worker", "beat"]))
_COLUMNS = ("service", "state", "process", "last_exit", "home", "log", "file")
#: launchd's file of a service that says much before it logs is emptied at this size
_ERRORS_BYTES = 2**20


@click.group()
def service() -> None:
    """Let launchd or systemd run a worker or beat.

    docs/service.md says how to make a server of a Mac or a Linux machine.

    \b
    Example:
      benchbeat service install worker
    """


@service.command("install", short_help="Let the system run a worker or beat.")
@_KIND
@device_option
@click.option("--dry-run", is_flag=True, help="Print the file that would be written, and change nothing.")
@click.pass_obj
def install(state: State, kind: str, device: str | None, dry_run: bool) -> None:
    """Install a worker or beat as a service of yours, start it, and start it again whenever it ends.

    The settings that stand in the environment now are kept for it in a file that only you can read; installed
    again, it takes over what has changed.

    \b
    Examples:
      benchbeat service install worker --device mps
      benchbeat service install beat --dry-run
    """
    from cli.service_files import Service, environment_to_keep
    from cli.supervisors import install as install_service
    from cli.supervisors import supervisor

    if device is not None and kind == "beat":
        raise click.UsageError("--device goes with worker; beat measures nothing")
    settings = state.settings
    system = supervisor()
    made = Service(kind, settings.home, device, embedded_redis=settings.broker is None)
    kept = environment_to_keep(os.environ)
    if dry_run:
        click.echo(system.text(made), nl=False)
        names = ", ".join(kept) or "nothing"
        state.say(f"{system.file(kind)} would hold this, and {made.environment_file} (0600): {names}")
        return
    install_service(system, made, kept)
    click.echo(f"{kind} runs as a service now: {system.file(kind)}")
    state.say(f"Its log is {_log(settings.home, kind)}; what it says before it logs is in {system.early_log}")
    if hint := system.hint():
        state.say(hint)


@service.command("uninstall", short_help="Stop a service and remove its files.")
@_KIND
@click.pass_obj
def uninstall(state: State, kind: str) -> None:
    """Stop a service and remove its files; the job that runs goes back to the queue. The logs stay.

    \b
    Example:
      benchbeat service uninstall worker
    """
    from cli.supervisors import supervisor
    from cli.supervisors import uninstall as uninstall_service

    removed = uninstall_service(supervisor(), state.settings.home, kind)
    click.echo(f"{kind} is no service any more" if removed else f"{kind} was no service")


@service.command("status", short_help="Show which services are installed and run.")
@output_option
@click.pass_obj
def status(state: State, output: str) -> None:
    """Show which services are installed on this machine, and whether they run.

    \b
    Example:
      benchbeat service status -o json
    """
    from cli.service_files import KINDS
    from cli.supervisors import supervisor
    from report.printing import print_rows

    system = supervisor()
    print_rows(_COLUMNS, [_row(state, system, kind) for kind in KINDS], output)


@service.command("run", hidden=True, short_help="What an installed service runs.")
@_KIND
@device_option
@click.pass_obj
def run(state: State, kind: str, device: str | None) -> None:
    """Run a worker or beat as its installed service does: with its kept environment, logging to its file.

    \b
    Example:
      benchbeat service run worker
    """
    from cli.service_files import environment_file, errors_file, log_file, read_environment

    home = state.settings.home
    _shorten_errors(errors_file(home, kind))
    os.environ.update(read_environment(environment_file(home, kind)))
    state.override(home=home, device=device)
    file = log_file(home, kind)
    try:
        serve_worker(state, file=file) if kind == "worker" else serve_beat(state, file=file)
    except Exception as error:
        # Standard error is launchd's or the journal's; whoever looks, looks into the log first.
        logging.getLogger("benchbeat").critical("%s", error, exc_info=state.verbose)
        raise


def _row(state: State, system: Any, kind: str) -> tuple[Any, ...]:
    file = system.file(kind)
    if not file.exists():
        return kind, "not installed", None, None, None, None, None
    found = system.state(kind)
    home = system.home_in(file.read_text(encoding="utf-8", errors="replace")) or state.settings.home
    return kind, found.state, found.pid, found.last_exit, str(home), str(_log(home, kind)), str(file)


def _log(home: Path, kind: str) -> Path:
    from cli.service_files import log_file

    return log_file(home, kind)


def _shorten_errors(file: Path) -> None:
    """Empty launchd's file before it grows without end: launchd appends to it and never looks."""
    with suppress(OSError):
        if file.stat().st_size > _ERRORS_BYTES:
            os.truncate(file, 0)
