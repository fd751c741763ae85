"""The schema's life: making it, upgrading it, refusing one that is not ours."""

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from bench.errors import SchemaError, UnavailableError
from db.engine import Database, sqlite_path
from db.views import create_views, drop_views

if TYPE_CHECKING:
    from alembic.config import Config

#: the revision that this code works with (the last file of migrations/versions)
HEAD = "0009"

#: any number, the same for all: two upgrades at once wait for each other
_ADVISORY_LOCK = 7_305_921_684


def revision(database: Database) -> str | None:
    """Return the schema's revision, or None for a database without benchbeat's tables."""
    with database.read() as connection:
        return _revision(connection)


def check(database: Database) -> None:
    """Raise SchemaError where the schema is missing, older or newer than the code."""
    path = sqlite_path(database.url)
    if path is not None and not path.exists():
        raise SchemaError(f"There is no database {path} yet; run `benchbeat db upgrade`")
    found = revision(database)
    if found is None:
        raise SchemaError(f"The database {database.safe_url} has no benchbeat tables; run `benchbeat db upgrade`")
    _compare(found, database)


def ensure(database: Database) -> None:
    """Make the schema in an empty database; in another one do as `check`."""
    _make_folder(database)
    found = revision(database)
    if found is None:
        upgrade(database.url)
    else:
        _compare(found, database)


def upgrade(database_url: str) -> Path | None:
    """Bring the schema to the code's revision, in one transaction; a repeated call changes nothing.

    Returns the copy that was made of an older SQLite file first, or None. Raises SchemaError for a schema that
    is newer than the code.
    """
    # Dropping a table to rebuild it would break the references to it; they are checked at the end instead.
    database = Database(database_url, foreign_keys=False)
    try:
        _make_folder(database)
        backup = _backup_if_older(database)
        with database.write() as connection:
            if not database.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
            _migrate(connection, database)
        if not database.is_sqlite:
            from db.app_role import grant_app
            from db.reader_role import create_reader

            with database.write() as connection:
                create_reader(connection, database_url)
                grant_app(connection)
        return backup
    finally:
        database.dispose()


def backup(database: Database, destination: Path) -> None:
    """Copy a SQLite history, also while it is written to. Raises UnavailableError."""
    source = sqlite_path(database.url)
    if source is None:
        raise UnavailableError("PostgreSQL is backed up with its own `pg_dump`; `benchbeat db backup` copies SQLite")
    if not source.exists():
        raise UnavailableError(f"There is no database {source} to back up")
    if destination.exists() and destination.samefile(source):
        raise UnavailableError(f"The copy {destination} can't replace the database itself; choose another name")
    partial = destination.with_name(destination.name + ".partial")
    try:
        partial.unlink(missing_ok=True)
        partial.touch(mode=0o600)
        with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(partial)) as copy:
            live.backup(copy)
        os.replace(partial, destination)
    except (OSError, sqlite3.Error) as error:
        with suppress(OSError):
            partial.unlink()
        raise UnavailableError(f"The copy {destination} can't be written ({error})") from error


def alembic_config() -> "Config":
    """Return Alembic's configuration for the packaged migrations."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(files("migrations")).replace("%", "%%"))
    return config


def _migrate(connection: Connection, database: Database) -> None:
    found = _revision(connection)
    if found == HEAD:
        return
    if found is not None:
        _refuse_newer(found, database)
    from alembic import command
    from alembic.util import CommandError

    drop_views(connection)
    config = alembic_config()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise SchemaError(
            f"The database {database.safe_url} has the schema {found}, which no benchbeat has had; restore a backup"
        ) from error
    if database.is_sqlite and (broken := connection.exec_driver_sql("PRAGMA foreign_key_check").first()):
        raise SchemaError(
            f"The database {database.safe_url} has a row in {broken[0]} that refers to none in {broken[2]}"
        )
    create_views(connection)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def _compare(found: str, database: Database) -> None:
    _refuse_newer(found, database)
    if found != HEAD:
        raise SchemaError(
            f"The database {database.safe_url} has the older schema {found}, this benchbeat needs {HEAD}; "
            "run `benchbeat db upgrade`"
        )


def _refuse_newer(found: str, database: Database) -> None:
    if found > HEAD:
        raise SchemaError(
            f"The database {database.safe_url} has the newer schema {found}, this benchbeat knows {HEAD}; "
            "install the newer benchbeat here too"
        )


def _make_folder(database: Database) -> None:
    path = sqlite_path(database.url)
    if path is None or path.exists():
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError as error:
        raise UnavailableError(f"The database {path} can't be made ({error.strerror}); set BENCHBEAT_HOME") from error


def _backup_if_older(database: Database) -> Path | None:
    path = sqlite_path(database.url)
    if path is None:
        return None
    found = revision(database)
    if found is None or found >= HEAD:
        return None
    copy = path.with_name(f"{path.name}.{found}.backup")
    if path.stat().st_size * 2 > shutil.disk_usage(path.parent).free:
        raise UnavailableError(f"The disk has no room for a copy of {path} before the upgrade; free some space")
    backup(database, copy)
    return copy
