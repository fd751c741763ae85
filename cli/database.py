"""`benchbeat db`: making, upgrading, checking and backing up the database."""

from pathlib import Path

import click

from cli.context import State


@click.group()
def db() -> None:
    """Make, upgrade, check and back up the database.

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
