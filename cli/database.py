"""`benchbeat db`: making, upgrading, checking, thinning and backing up the database."""

from pathlib import Path

import click

from cli.context import State
from cli.options import output_option


@click.group()
def db() -> None:
    """Make, upgrade, check, thin and back up the database.

    \b
    Example:
      benchbeat db check
    """


@db.command("upgrade", short_help="Bring the schema to this version.")
@click.pass_obj
def upgrade(state: State) -> None:
    """Bring the schema to this version; an older SQLite file is copied first. Safe to repeat.

    \b
    Example:
      benchbeat db upgrade
    """
    from db.engine import Database
    from db.schema import HEAD
    from db.schema import upgrade as upgrade_schema

    backup = upgrade_schema(state.settings.database)
    if backup is not None:
        click.echo(f"the older database is kept as {backup}")
    database = Database(state.settings.database)
    click.echo(f"{database.safe_url} has schema {HEAD}")
    if not database.is_sqlite:
        _look_at_reader(state)


def _look_at_reader(state: State) -> None:
    """See that `benchbeat sql` can log in; else say what an administrator runs."""
    from bench.errors import QueryError
    from db.reader_role import reader_advice
    from db.readonly import select

    try:
        with select(state.settings.database, "SELECT 1", reader_url=state.settings.reader) as rows:
            list(rows)
    except QueryError as error:
        click.echo(f"Warning: `benchbeat sql` can't be used yet: {error}", err=True)
        click.echo(f"An administrator of this PostgreSQL runs:\n\n{reader_advice()}", err=True)


@db.command("check", short_help="Say whether the database can be used.")
@click.pass_obj
def check(state: State) -> None:
    """Say whether the database answers and has this version's schema.

    \b
    Example:
      benchbeat db check
    """
    from db.engine import Database
    from db.schema import HEAD
    from db.schema import check as check_schema

    database = Database(state.settings.database)
    try:
        check_schema(database)
    finally:
        database.dispose()
    click.echo(f"{database.safe_url} answers and has schema {HEAD}")


@db.command("prune", short_help="Remove the raw samples of old runs.")
@click.option("--keep-samples", required=True, metavar="DURATION", help="Keep those of younger runs: 90d, 12w.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
@output_option
@click.pass_obj
def prune(state: State, keep_samples: str, dry_run: bool, output: str) -> None:
    """Remove the raw samples of runs that began longer ago, and the traces of profiled ones that lie in this home.
    Runs, their figures and their answers stay.

    Workers may run meanwhile; Ctrl-C leaves whole runs. Safe to repeat.

    \b
    Examples:
      benchbeat db prune --keep-samples 90d --dry-run
      benchbeat db prune --keep-samples 90d
    """
    from bench.schedules import read_duration
    from cli.patience import patience
    from db.prune import Pruned, count_prunable, free_bytes, prune_samples
    from report.printing import print_rows
    from worker.traces import remove_old_traces

    keep_seconds = read_duration(keep_samples, where="--keep-samples")
    database = state.database
    if dry_run:
        with database.read() as connection:
            found = count_prunable(connection, keep_seconds)
    else:
        found = Pruned(0, 0)
        with patience(state, "removing samples"):
            for each in prune_samples(database, keep_seconds):
                found = Pruned(found.runs + each.runs, found.samples + each.samples)
    traces = remove_old_traces(state.settings.home, keep_seconds, dry_run=dry_run)
    if output != "table":
        columns = ["runs", "samples", "traces", "removed"]
        print_rows(columns, [[found.runs, found.samples, traces, not dry_run]], output)
        return
    samples = "1 sample" if found.samples == 1 else f"{found.samples:,} samples"
    runs = "1 run" if found.runs == 1 else f"{found.runs:,} runs"
    click.echo(f"{samples} of {runs} {'would be' if dry_run else 'were'} removed; the runs stay")
    if traces:
        word = "1 trace" if traces == 1 else f"{traces:,} traces"
        were = "would be" if dry_run else "was" if traces == 1 else "were"
        click.echo(f"{word} of profiled runs {were} removed")
    free = free_bytes(database)
    if free and not dry_run:
        click.echo(f"{free / 2**20:.1f} MiB of the file are free for what comes; it does not shrink")


@db.command("backup", short_help="Copy a SQLite history.")
@click.argument("destination", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Replace DESTINATION.")
@click.pass_obj
def backup(state: State, destination: Path, force: bool) -> None:
    """Copy a SQLite history to DESTINATION, also while jobs run.

    \b
    Example:
      benchbeat db backup copy.db --force
    """
    from bench.errors import InputError
    from db.engine import Database
    from db.schema import backup as backup_database

    if destination.exists() and not force:
        raise InputError("is there already; choose another name, or replace it with --force", where=str(destination))
    backup_database(Database(state.settings.database), destination)
    click.echo(f"copied to {destination}")
