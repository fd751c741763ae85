"""The schema's life: migrations up and down over rows, refusals in words, copies, and nothing half done."""

import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import indent
from threading import Barrier
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

import migrations
from bench.errors import SchemaError, UnavailableError
from db import schema
from db.engine import Database, sqlite_path
from db.partial_indexes import complete_metadata
from db.tables import metadata
from db.views import VIEWS, drop_views
from tests.db.builders import everything, populate, row_counts

ROOT = Path(__file__).parents[2]

#: the code's revision, before a test changes it
HEAD = schema.HEAD

#: revision of a migration that the code does not have
NEXT = f"{int(HEAD) + 1:04}"

#: a migration that rebuilds a table to which others refer, and ends with {end}
NEXT_MIGRATION = """
import os
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "{next}", "{head}", None, None


def upgrade():
    op.create_table("colour", sa.Column("name", sa.Text()))
    op.execute("UPDATE batch SET priority = priority + 1")
    rebuilding = "always" if op.get_context().dialect.name == "sqlite" else "never"
    with op.batch_alter_table("batch", recreate=rebuilding) as batch:
        batch.add_column(sa.Column("note", sa.Text()))
    with op.batch_alter_table("job", recreate=rebuilding) as job:
        job.alter_column("model", new_column_name="model_name")
{end}
"""

#: upgrades a database to the scripts of a folder, in a process of its own
UPGRADING = f"""
import sys
from alembic.config import Config
from db import schema
config = Config()
config.set_main_option("script_location", sys.argv[2])
schema.HEAD, schema.alembic_config = "{NEXT}", lambda: config
schema.upgrade(sys.argv[1])
"""


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Give a database of the test's own, whose schema it may change: once SQLite, once PostgreSQL."""
    opened = Database(database_url)
    yield opened
    opened.dispose()


@pytest.fixture
def next_migration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Give a function that makes a further migration, ending with a line of code; it returns the folder."""

    def make(end: str = "pass", *, installed: bool = True) -> Path:
        folder = tmp_path / "migrations"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(Path(migrations.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__"))
        script = NEXT_MIGRATION.format(end=indent(end, "    "), next=NEXT, head=HEAD)
        (folder / "versions" / f"{NEXT}_next.py").write_text(script)
        config = Config()
        config.set_main_option("script_location", str(folder))
        if installed:
            # its tables are not the code's, so there are no views over them
            monkeypatch.setattr(schema, "create_views", lambda connection: None)
            monkeypatch.setattr(schema, "HEAD", NEXT)
            monkeypatch.setattr(schema, "alembic_config", lambda: config)
        return folder

    return make


def set_revision(database: Database, revision: str) -> None:
    """Write another revision into the database."""
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


def described(connection: Connection) -> Mapping[str, Any]:
    """Return tables, constraints and indexes as the database itself words them."""
    if connection.dialect.name == "sqlite":
        found = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'index')"))
        return {row.name: _normal(row.sql) for row in found if row.name != "alembic_version" and row.sql}
    queries = {
        "columns": """SELECT table_name, column_name, data_type, is_nullable, column_default, ordinal_position
            FROM information_schema.columns WHERE table_schema = 'public' AND table_name = ANY(:tables)""",
        "constraints": """SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
            WHERE conrelid::regclass::text = ANY(:tables)""",
        "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ANY(:tables)",
    }
    tables = {"tables": [table.name for table in metadata.sorted_tables]}
    return {name: sorted(map(repr, connection.execute(text(query), tables))) for name, query in queries.items()}


def _normal(sql: str) -> list[str]:
    """Return a definition's parts in no order: SQLAlchemy and Alembic write the constraints in different ones."""
    return sorted(part.strip() for part in re.sub(r"\s+", " ", sql.replace('"', "")).removesuffix(")").split(","))


# SQLite's expressions in indexes can't be reflected; the next test compares them to the letter.
@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression")
@pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression")
def test_the_migrated_schema_is_the_code_s(database: Database) -> None:
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        ours = {table.name for table in metadata.sorted_tables}
        differences = [each for each in compare_metadata(context, complete_metadata()) if not _is_a_view_s(each, ours)]
    assert differences == []


def _is_a_view_s(difference: Any, tables: set[str]) -> bool:
    return difference[0] == "remove_table" and difference[1].name not in tables


def test_the_migrated_schema_is_to_the_letter_what_the_tables_would_make(empty_url: str) -> None:
    database = Database(empty_url)
    with database.write() as connection:
        complete_metadata().create_all(connection)
        expected = described(connection)
        metadata.drop_all(connection)
    schema.upgrade(empty_url)
    with database.read() as connection:
        assert described(connection) == expected
    database.dispose()
    assert "job_state_check" in str(expected)


def test_head_is_the_last_migration() -> None:
    assert ScriptDirectory.from_config(schema.alembic_config()).get_heads() == [schema.HEAD]


def test_upgrading_makes_tables_and_views(empty_url: str) -> None:
    assert schema.upgrade(empty_url) is None
    database = Database(empty_url)
    assert schema.revision(database) == schema.HEAD
    with database.read() as connection:
        assert set(inspect(connection).get_view_names()) == set(VIEWS)
    populate(database)
    assert all(row_counts(database).values())
    database.dispose()


def test_upgrading_again_changes_nothing(database: Database) -> None:
    populate(database)
    before = everything(database)
    assert schema.upgrade(database.url) is None
    schema.ensure(database)
    assert everything(database) == before


def test_down_and_up_again_over_populated_tables(database: Database) -> None:
    populate(database)
    assert all(row_counts(database).values())
    migrating = Database(database.url, foreign_keys=False)
    with migrating.write() as connection:
        drop_views(connection)
        config = schema.alembic_config()
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert inspect(connection).get_table_names() == ["alembic_version"]
    migrating.dispose()
    assert schema.revision(database) is None
    schema.upgrade(database.url)
    assert not any(row_counts(database).values())
    populate(database)


def test_a_table_to_which_others_refer_can_be_rebuilt(database: Database, next_migration: Callable[..., Path]) -> None:
    populate(database)
    before = row_counts(database)
    next_migration()
    copy = schema.upgrade(database.url)
    assert schema.revision(database) == NEXT
    assert row_counts(database) == before
    with database.read() as connection:
        assert connection.execute(text("SELECT priority, note FROM batch")).all() == [(1, None)]
        assert connection.execute(text("SELECT DISTINCT model_name FROM job")).all() == [("tiny",)]
        foreign_keys = inspect(connection).get_foreign_keys("run")
    assert {"batch", "job"} <= {key["referred_table"] for key in foreign_keys}
    assert (copy is not None) == database.is_sqlite


def test_the_older_sqlite_file_is_kept_as_a_copy(sqlite_url: str, next_migration: Callable[..., Path]) -> None:
    database = Database(sqlite_url)
    populate(database)
    before = everything(database)
    next_migration()
    copy = schema.upgrade(sqlite_url)
    assert copy is not None
    assert copy.name == f"history.db.{HEAD}.backup"
    kept = Database(f"sqlite:///{copy}")
    assert everything(kept) == before
    kept.dispose()
    database.dispose()


def test_a_migration_that_fails_half_way_changes_nothing(
    database: Database, next_migration: Callable[..., Path]
) -> None:
    populate(database)
    before = everything(database)
    next_migration("raise RuntimeError('half way')")
    with pytest.raises(RuntimeError, match="half way"):
        schema.upgrade(database.url)
    assert everything(database) == before
    assert before["views"] == sorted(VIEWS)
    next_migration()
    schema.upgrade(database.url)
    assert schema.revision(database) == NEXT


def test_a_migration_that_is_killed_half_way_changes_nothing(
    database: Database, next_migration: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    populate(database)
    before = everything(database)
    folder = next_migration("os.kill(os.getpid(), 9)", installed=False)
    killed = subprocess.run([sys.executable, "-c", UPGRADING, database.url, str(folder)], cwd=ROOT, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert everything(database) == before
    next_migration()
    schema.upgrade(database.url)
    assert schema.revision(database) == NEXT
    with database.read() as connection:
        assert connection.execute(text("SELECT priority FROM batch")).scalar_one() == 1


def test_a_migration_that_breaks_a_reference_is_refused(sqlite_url: str, next_migration: Callable[..., Path]) -> None:
    database = Database(sqlite_url)
    populate(database)
    before = everything(database)
    next_migration("op.execute('DELETE FROM machine')")
    with pytest.raises(SchemaError, match=r"has a row in (worker|run) that refers to none in machine"):
        schema.upgrade(sqlite_url)
    assert everything(database) == before
    database.dispose()


def test_several_upgrades_at_once(empty_url: str) -> None:
    together = Barrier(6)

    def upgrade() -> None:
        database = Database(empty_url)
        together.wait()
        schema.ensure(database)
        database.dispose()

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(upgrade) for _ in range(6)]:
            done.result()
    database = Database(empty_url)
    schema.check(database)
    populate(database)
    database.dispose()


def test_a_missing_file_is_named_so(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"^There is no database .*none\.db yet; run `benchbeat db upgrade`$"):
        schema.check(Database(f"sqlite:///{tmp_path / 'none.db'}"))


def test_an_empty_database_is_named_so(empty_url: str) -> None:
    database = Database(empty_url)
    if (path := sqlite_path(empty_url)) is not None:
        path.touch()
    with pytest.raises(SchemaError) as caught:
        schema.check(database)
    assert str(caught.value) == f"The database {database.safe_url} has no benchbeat tables; run `benchbeat db upgrade`"
    database.dispose()


def test_an_older_schema_is_refused_but_by_upgrade(database: Database) -> None:
    set_revision(database, "0000")
    for look in (schema.check, schema.ensure):
        with pytest.raises(SchemaError) as caught:
            look(database)
        assert str(caught.value) == (
            f"The database {database.safe_url} has the older schema 0000, this benchbeat needs {schema.HEAD}; "
            "run `benchbeat db upgrade`"
        )


def test_a_newer_schema_is_refused_by_everything(database: Database) -> None:
    populate(database)
    set_revision(database, "9999")
    before = everything(database)
    for look in (schema.check, schema.ensure, lambda database: schema.upgrade(database.url)):
        with pytest.raises(SchemaError) as caught:
            look(database)
        assert str(caught.value) == (
            f"The database {database.safe_url} has the newer schema 9999, this benchbeat knows {schema.HEAD}; "
            "install the newer benchbeat here too"
        )
    assert everything(database) == before


def test_a_schema_of_the_code_passes(database: Database) -> None:
    schema.check(database)
    assert schema.revision(database) == schema.HEAD


def test_ensuring_makes_the_folder_and_a_file_that_others_can_t_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "home" / "history.db"
    database = Database(f"sqlite:///{path}")
    schema.ensure(database)
    schema.check(database)
    database.dispose()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_folder_that_can_t_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("a file")
    path = tmp_path / "notes" / "home" / "history.db"
    database = Database(f"sqlite:///{path}")
    with pytest.raises(UnavailableError) as caught:
        schema.ensure(database)
    assert str(caught.value) == f"The database {path} can't be made (Not a directory); set BENCHBEAT_HOME"


def test_too_little_room_for_the_copy_is_said_before_anything(
    sqlite_url: str, next_migration: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    next_migration()
    with pytest.raises(UnavailableError, match="no room for a copy"):
        schema.upgrade(sqlite_url)
    database = Database(sqlite_url)
    assert schema.revision(database) == HEAD
    database.dispose()
