"""Inserting what may be there already, and many rows at once."""

import json
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Table

#: rows that one statement writes: ten times as many jobs are written no faster and take 16 MB more
_AT_ONCE = 1000


def insert_new(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert the rows whose unique key is not there yet."""
    if not rows:
        return
    connection.execute(insert_if_new(connection, table), rows)


def insert_if_new(connection: Connection, table: Table) -> Any:
    """Return the database's own INSERT, which does nothing where a row with a unique key of the new one's is there."""
    # Not at the top: PostgreSQL's dialect would be loaded, a tenth of `status`, for SQLite too.
    if connection.dialect.name == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table).on_conflict_do_nothing()
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table).on_conflict_do_nothing()


def insert_many(connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    """Insert rows whose values are plain, in the columns' order: SQLAlchemy's care for each takes longer than storing.

    PostgreSQL gets many in one statement: the driver's executemany takes three to four times as long.
    """
    names = ", ".join(columns)
    remaining = iter(rows)
    while part := list(islice(remaining, _AT_ONCE)):
        if connection.dialect.name == "sqlite":
            marks = ", ".join("?" for _ in columns)
            connection.exec_driver_sql(f"INSERT INTO {table.name} ({names}) VALUES ({marks})", part)
            continue
        unfolding = f"SELECT {names} FROM json_populate_recordset(NULL::{table.name}, %(rows)s::json)"
        values = json.dumps([dict(zip(columns, row, strict=True)) for row in part])
        connection.exec_driver_sql(f"INSERT INTO {table.name} ({names}) {unfolding}", {"rows": values})
