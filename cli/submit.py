"""`benchbeat submit`: queue a sweep for the workers."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.context import State
from cli.options import output_option, read_sweep_options, say_sweep, sweep_options
from cli.patience import patience

if TYPE_CHECKING:
    from bench.sweep import Sweep
    from db.engine import Database
    from db.estimates import Estimate
    from scheduler.submit import Submission


@click.command(short_help="Queue a sweep for the workers.")
@sweep_options
@click.option("--dry-run", is_flag=True, help="Show axes, jobs and an estimate of the time; store nothing.")
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
      benchbeat submit examples/demo.toml --set items=4 --set temperature=0,0.5
      benchbeat submit examples/demo.toml --label host=lab --priority 5 --wait
      benchbeat submit examples/demo.toml --key nightly-2026-11-22 -o json
      benchbeat submit --model smollm2-135m --workload speed --new-tokens 8..64*2
    """
    expanded = read_sweep_options(state, sweep, options)
    if dry_run:
        _show(expanded, state, output)
        return 0
    check_can_be_had(expanded, state)
    from scheduler.broker import broker_url, check_broker
    from scheduler.submit import submit as submit_sweep

    database = state.database
    # Asked first, so that a wrong URL leaves nothing behind; a Redis that goes away after this costs a warning only.
    check_broker(broker_url(state.settings.home, state.settings.broker))
    with patience(state, "storing the batch"):
        submission = submit_sweep(database, expanded, key=key)
    _print_submission(database, submission, expanded, output)
    del expanded  # 100 MB of a sweep of 100,000 jobs, and ringing imports Celery
    ring(state)
    if not wait:
        return 0
    from cli.follow import conclude, follow

    return conclude(follow(database, submission.batch_id, quiet=state.quiet))


def _print_submission(database: "Database", submission: "Submission", sweep: "Sweep", output: str) -> None:
    if output == "table":
        said = say_sweep(sweep) if submission.created else "queued before with this key"
        click.echo(f"batch {submission.batch_id}: {said}")
    else:
        print_batch_facts(database, submission.batch_id, output, created=submission.created)


def print_batch_facts(database: "Database", batch_id: int, output: str, **more: Any) -> None:
    """Print for a program what was queued: a row with the batch's id."""
    from db.status import batch_status
    from report.printing import print_rows

    with database.read() as connection:
        batch = batch_status(connection, batch_id)
    print_rows(["batch", "name", "jobs", *more], [[batch.id, batch.name, batch.jobs, *more.values()]], output)


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


def _show(sweep: "Sweep", state: State, output: str) -> None:
    """Print what would be queued, and how long that would take."""
    from report.plan import print_plan

    if output != "table":
        from report.jobs import print_specs

        print_specs(sweep.specs, output)
    else:
        print_plan(sweep.specs, say_sweep(sweep), _estimate(sweep, state), with_every_job=state.verbose)


def _estimate(sweep: "Sweep", state: State) -> "Estimate | None":
    """Return how long the jobs will take; None where there is no history yet, which is not made for this."""
    from bench.errors import BenchbeatError

    settings = state.settings
    if settings.database_url is None and not (settings.home / "history.db").exists():
        return None
    from db.engine import Database
    from db.estimates import estimate
    from db.schema import check

    database = Database(settings.database)
    try:
        check(database)
        items = {name: len(workload.items) for name, workload in sweep.workloads.items()}
        with database.read() as connection:
            return estimate(connection, sweep.specs, items=items)
    except BenchbeatError as error:
        state.say(f"Note: without an estimate of the time: {error}")
        return None
    finally:
        database.dispose()
