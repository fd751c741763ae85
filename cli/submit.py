"""`benchbeat submit`: queue a sweep for the workers."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.context import State
from cli.options import output_option, read_sweep_options, say_sweep, sweep_options

if TYPE_CHECKING:
    from bench.sweep import Sweep


@click.command(short_help="Queue a sweep for the workers.")
@sweep_options
@click.option("--dry-run", is_flag=True, help="Show the jobs and store nothing.")
@click.option("--wait", is_flag=True, help="Show progress until the batch has ended.")
@click.option("--key", help="Makes a second try harmless: the same key, the same batch.")
@output_option
@click.pass_obj
def submit(
    state: State, /, sweep: Path | None, dry_run: bool, wait: bool, key: str | None, output: str, **options: Any
) -> int:
    """Queue SWEEP (or the options) as a batch; workers that run, here or elsewhere, take its jobs.

    \b
    Examples:
      benchbeat submit examples/demo.toml --dry-run
      benchbeat submit nightly.toml --key nightly-2026-11-22 --wait
    """
    expanded = read_sweep_options(state, sweep, options)
    if dry_run:
        _show(expanded, output)
        return 0
    check_can_be_had(expanded, state)
    from scheduler.broker import broker_url, check_broker
    from scheduler.submit import submit as submit_sweep

    database = state.database
    # Asked first, so that a wrong URL leaves nothing behind; a Redis that goes away after this costs a warning only.
    check_broker(broker_url(state.settings.home, state.settings.broker))
    submission = submit_sweep(database, expanded, key=key)
    said = say_sweep(expanded) if submission.created else "queued before with this key"
    click.echo(f"batch {submission.batch_id}: {said}")
    ring(state)
    if not wait:
        return 0
    from cli.follow import exit_code, follow

    return exit_code(follow(database, submission.batch_id))


def ring(state: State) -> None:
    """Wake the workers; where Redis is away they are woken later, and that is said."""
    from bench.errors import UnavailableError
    from scheduler.broker import broker_url
    from scheduler.reconcile import ring_for_queued
    from scheduler.ring import Bell

    try:
        with Bell(broker_url(state.settings.home, state.settings.broker)) as bell:
            ring_for_queued(state.database, bell)
    except UnavailableError as error:
        click.echo(f"Warning: {error}", err=True)
        click.echo("The jobs are queued all the same, and run once the workers have Redis again.", err=True)


def check_can_be_had(sweep: "Sweep", state: State) -> None:
    """Refuse a gated model without a token, where this machine is the one that would fetch it.

    Raises InputError. With PostgreSQL the workers may be elsewhere and have a token of their own.
    """
    from bench.catalog import parse_source
    from bench.errors import InputError

    gated = sorted(name for name, entry in sweep.models.items() if entry.gated)
    if gated and state.settings.database.startswith("sqlite") and not _has_token():
        source = parse_source(sweep.models[gated[0]].source)
        raise InputError(
            f"{gated[0]!r} is gated: accept the licence of {source.location} on the hub, "
            "then set HF_TOKEN to your access token",
            where=sweep.places[gated[0]],
        )


def _has_token() -> bool:
    if os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN"):
        return True
    cache = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    return Path(os.environ.get("HF_TOKEN_PATH", cache / "token")).exists()


def _show(sweep: "Sweep", output: str) -> None:
    from report.jobs import print_specs
    from report.printing import print_text

    print_specs(sweep.specs, output)
    print_text(f"{say_sweep(sweep)}; nothing was stored", err=True)
