"""Upgrading a history that an earlier version filled: nothing in it is lost."""

from alembic import command
from sqlalchemy import MetaData, Table, insert, inspect, select, text

from db import schema
from db.engine import Database
from db.views import VIEWS
from tests.db.builders import empty, populate


def test_the_first_schema_s_rows_outlive_the_upgrade(shared_sqlite: Database, empty_url: str) -> None:
    empty(shared_sqlite)
    populate(shared_sqlite)
    older = Database(empty_url)
    before = _made_by_the_first(older, shared_sqlite)
    copy = schema.upgrade(empty_url)
    assert (copy is not None) == older.is_sqlite
    with older.read() as connection:
        for table, rows in before.items():
            kept = connection.execute(select(table))
            assert sorted(map(repr, kept)) == rows, table.name
        assert connection.execute(text("SELECT accuracy, quality_formula, labels FROM history")).all() == [
            (0.5, None, None)
        ]
        assert set(inspect(connection).get_view_names()) == set(VIEWS)
    older.dispose()


def _made_by_the_first(older: Database, source: Database) -> dict[Table, list[str]]:
    """Make the schema of the first migration, with the rows of another database; returns them by table."""
    config = schema.alembic_config()
    with older.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        first = MetaData()
        first.reflect(connection)
        connection.execute(text("CREATE VIEW history AS SELECT id AS run_id FROM run"))
        copied = {}
        for table in (each for each in first.sorted_tables if each.name != "alembic_version"):
            with source.read() as reading:
                rows = [dict(row._mapping) for row in reading.execute(select(table))]
            assert rows, table.name
            connection.execute(insert(table), rows)
            copied[table] = sorted(map(repr, connection.execute(select(table))))
    return copied
