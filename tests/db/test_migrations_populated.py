"""Every migration, down and up again over rows in every table, and killed in its midst: no row is lost or changed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from db import schema
from db.engine import Database
from db.views import VIEWS, create_views, drop_views
from tests.commands import ROOT
from tests.db.builders import populate

#: revisions from the first to the last
REVISIONS = [each.revision for each in ScriptDirectory.from_config(schema.alembic_config()).walk_revisions()][::-1]

#: migrates to argv[2], and is killed at the argv[3]-th statement that changes anything
DYING = """
import os, signal, sys
from sqlalchemy import event
from db.engine import Database
from tests.db.test_migrations_populated import migrate

database = Database(sys.argv[1], foreign_keys=False)
left = int(sys.argv[3])

@event.listens_for(database._writer, "before_cursor_execute")
def count(connection, cursor, statement, *rest):
    global left
    if statement.split(None, 1)[0].upper() in ("CREATE", "DROP", "ALTER", "INSERT", "UPDATE", "DELETE"):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

migrate(database, sys.argv[2])
database.dispose()
"""

Tables = dict[str, list[dict[str, str]]]


def migrate(database: Database, revision: str) -> None:
    """Bring a database to a revision, up or down, in one transaction, with the views where it is the last one."""
    with database.write() as connection:
        drop_views(connection)
        config = schema.alembic_config()
        config.attributes["connection"] = connection
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        (command.upgrade if revision > found else command.downgrade)(config, revision)
        if revision == schema.HEAD:
            create_views(connection)


def rows(connection: Connection) -> Tables:
    """Return the rows of every table, in order, each value as text."""
    found = {}
    for table in inspect(connection).get_table_names():
        if table != "alembic_version":
            all_rows = connection.execute(text(f'SELECT * FROM "{table}"'))
            texts = [{name: repr(value) for name, value in row._mapping.items()} for row in all_rows]
            found[table] = sorted(texts, key=repr)
    return found


def common(one: Tables, other: Tables) -> Tables:
    """Return the rows of `one`, as far as `other` has their tables and columns."""
    kept = {}
    for table in one.keys() & other.keys():
        shapes = [set(each) for each in (*one[table][:1], *other[table][:1])]
        columns = set.intersection(*shapes) if shapes else set()
        kept[table] = sorted(({name: row[name] for name in sorted(columns)} for row in one[table]), key=repr)
    return kept


@pytest.fixture
def migrating(empty_url: str) -> Iterator[Database]:
    """Give a populated database at the last revision."""
    schema.upgrade(empty_url)
    database = Database(empty_url)
    populate(database)
    database.dispose()
    opened = Database(empty_url, foreign_keys=False)
    yield opened
    opened.dispose()


def read(database: Database) -> Tables:
    with database.read() as connection:
        if database.is_sqlite:
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").first() is None
        assert not [name for name in inspect(connection).get_table_names() if "tmp" in name]
        return rows(connection)


def test_down_step_by_step_and_up_again(migrating: Database) -> None:
    before = read(migrating)
    assert all(before.values()), "every table holds rows"
    for revision in [*REVISIONS[-2::-1], *REVISIONS[1:]]:
        migrate(migrating, revision)
        after = read(migrating)
        assert common(after, before) == common(before, after), f"to {revision}"
        assert after["run"], revision
        before = after
    with migrating.read() as connection:
        assert set(inspect(connection).get_view_names()) == set(VIEWS)
        assert connection.execute(text("SELECT count(*) FROM history")).scalar_one() == 1
    schema.check(migrating)


@pytest.mark.parametrize("statement", [1, 2, 5, 9])
def test_killed_midway_nothing_has_changed_and_the_next_try_succeeds(migrating: Database, statement: int) -> None:
    newest, older = REVISIONS[-1], REVISIONS[-2]
    for source, target in ((newest, older), (older, newest)):
        before = read(migrating)
        migrating.dispose()
        assert _killed(migrating.url, target, statement) == -signal.SIGKILL
        assert schema.revision(migrating) == source
        assert read(migrating) == before
        migrate(migrating, target)
        assert schema.revision(migrating) == target
        after = read(migrating)
        assert {table: len(after[table]) for table in before.keys() & after.keys() if before[table]} == {
            table: len(before[table]) for table in before.keys() & after.keys() if before[table]
        }


def _killed(url: str, revision: str, statement: int) -> int:
    environment = os.environ | {"PYTHONPATH": str(Path(ROOT))}
    arguments = [sys.executable, "-P", "-c", DYING, url, revision, str(statement)]
    return subprocess.run(arguments, env=environment, capture_output=True).returncode
