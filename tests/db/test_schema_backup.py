"""Copies of a SQLite history: whole, private, and never in the place of the history itself."""

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from bench.errors import UnavailableError
from db import schema
from db.engine import Database, sqlite_path
from tests.db.builders import everything, populate


def test_a_backup_holds_everything_while_the_history_is_written_to(sqlite_url: str, tmp_path: Path) -> None:
    database = Database(sqlite_url)
    populate(database)
    before = everything(database)
    copy = tmp_path / "copy.db"
    with database.write() as connection:
        connection.execute(text("UPDATE job SET priority = 7"))
        schema.backup(database, copy)
    kept = Database(f"sqlite:///{copy}")
    assert everything(kept) == before
    schema.check(kept)
    kept.dispose()
    database.dispose()
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert not list(tmp_path.glob("*.partial"))


def test_a_backup_replaces_an_older_one(sqlite_url: str, tmp_path: Path) -> None:
    database = Database(sqlite_url)
    copy = tmp_path / "copy.db"
    copy.write_text("yesterday's")
    (tmp_path / "copy.db.partial").write_text("left by one that was killed")
    schema.backup(database, copy)
    kept = Database(f"sqlite:///{copy}")
    schema.check(kept)
    kept.dispose()
    database.dispose()


def test_a_backup_never_replaces_the_database_itself(sqlite_url: str, tmp_path: Path) -> None:
    path = sqlite_path(sqlite_url)
    assert path is not None
    inode = path.stat().st_ino
    database = Database(sqlite_url)
    (tmp_path / "link.db").symlink_to(path)
    for destination in (path, tmp_path / "link.db"):
        with pytest.raises(UnavailableError, match="can't replace the database itself"):
            schema.backup(database, destination)
    assert path.stat().st_ino == inode
    database.dispose()


@pytest.mark.parametrize("destination", ["nowhere/copy.db", "file/copy.db", "folder"])
def test_a_backup_that_can_t_be_written_is_said(sqlite_url: str, tmp_path: Path, destination: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    database = Database(sqlite_url)
    with pytest.raises(UnavailableError, match=f"The copy {tmp_path / destination} can't be written"):
        schema.backup(database, tmp_path / destination)
    database.dispose()
    assert not list(tmp_path.glob("**/*.partial"))


def test_there_must_be_something_to_back_up(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'history.db'}")
    with pytest.raises(UnavailableError, match="There is no database"):
        schema.backup(database, tmp_path / "copy.db")
    assert not list(tmp_path.iterdir())


def test_postgresql_is_backed_up_by_its_own_tool(postgresql_url: str, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="pg_dump"):
        schema.backup(Database(postgresql_url), tmp_path / "copy.db")
