"""`benchbeat submit`: queue a sweep for the workers."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.context import State
from cli.options import output_option, read_sweep_options, say_sweep, sweep_options

if TYPE_CHECKING:
    from bench.sweep import Sweep
    from db.engine import Database


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
    from scheduler.broker import broker_url
    from scheduler.submit import submit as submit_sweep

    submission = submit_sweep(state.database, expanded, key=key)
    said = say_sweep(expanded) if submission.created else "queued before with this key"
    click.echo(f"batch {submission.batch_id}: {said}")
    ring(state.database, broker_url(state.settings.home, state.settings.broker))
    if not wait:
        return 0
    from cli.follow import exit_code, follow

    return exit_code(follow(state.database, submission.batch_id))


def ring(database: "Database", broker: str) -> None:
    """Wake the workers; where Redis is away they are woken later, and that is said."""
    from bench.errors import UnavailableError
    from scheduler.reconcile import ring_for_queued
    from scheduler.ring import Bell

    try:
        with Bell(broker) as bell:
            ring_for_queued(database, bell)
    except UnavailableError as error:
        click.echo(f"Warning: {error}; the jobs are queued and run once a worker has Redis again", err=True)


def check_can_be_had(sweep: "Sweep", state: State) -> None:
    """Refuse a gated model without a token, where this machine is the one that would fetch it.

    Raises InputError. With PostgreSQL the workers may be elsewhere and have a token of their own.
    """
    from bench.errors import InputError

    gated = sorted(name for name, entry in sweep.models.items() if entry.gated)
    if gated and state.settings.database.startswith("sqlite") and not _has_token():
        raise InputError(
            f"model {gated[0]!r} is gated: accept its licence on its page on the hub, "
            "then set HF_TOKEN to your access token",
            where="model",
        )


def _has_token() -> bool:
    if os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN"):
        return True
    cache = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    return Path(os.environ.get("HF_TOKEN_PATH", cache / "token")).exists()


def _show(sweep: "Sweep", output: str) -> None:
    from report.printing import print_rows

    columns = ["model", "workload", "strategy", "temperature", "precision", "prompt_tokens", "new_tokens", "items"]
    varying = [
        name for name in type(sweep.specs[0]).model_fields if len({getattr(s, name) for s in sweep.specs} - {None}) > 1
    ]
    columns = [name for name in dict.fromkeys([*columns, *varying]) if any(_cell(s, name) for s in sweep.specs)]
    print_rows(columns, ([_cell(spec, name) for name in columns] for spec in sweep.specs), output)
    click.echo(f"{say_sweep(sweep)}; nothing was stored", err=True)


def _cell(spec: Any, name: str) -> Any:
    value = getattr(spec, name)
    return value.model_dump_json() if name == "stop" and value is not None else value
