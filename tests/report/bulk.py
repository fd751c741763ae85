"""Writing many rows of many tables at once, with ids that are counted here."""

import json
from collections import defaultdict
from typing import Any

from sqlalchemy import Connection, Table, create_engine, func, select, text

from db.metadata import Json, metadata

Row = dict[str, Any]


class Bulk:
    """Collects rows, and writes them in the order that their references ask for."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: defaultdict[str, list[Row]] = defaultdict(list)
        self._last: dict[str, int] = {}

    def add(self, table: Table, *rows: Row) -> None:
        """Keep rows to be written; those of a table have the same columns."""
        self._rows[table.name] += rows

    def add_counted(self, table: Table, row: Row) -> int:
        """Keep a row under the table's next id, which is returned."""
        if table.name not in self._last:
            query = select(func.coalesce(func.max(table.c.id), 0))
            self._last[table.name] = self._connection.execute(query).scalar_one()
        self._last[table.name] += 1
        self.add(table, {"id": self._last[table.name]} | row)
        return self._last[table.name]

    def write(self) -> None:
        """Write what was kept."""
        for table in metadata.sorted_tables:
            rows = self._rows.pop(table.name, [])
            if rows:
                write_rows(self._connection, table, rows)

    def finish(self) -> None:
        """Write what was kept, and let the database count on from there."""
        self.write()
        count_on(self._connection)


def write_rows(connection: Connection, table: Table, rows: list[Row]) -> None:
    """Write rows; a column that only some of them have is NULL in the others."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    in_json = {name for name in names if isinstance(table.c[name].type, type(Json))}
    values = [
        tuple(json.dumps(row[name]) if name in in_json and row.get(name) else row.get(name) for name in names)
        for row in rows
    ]
    listed = ", ".join(f'"{name}"' for name in names)
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" for _ in names)
        connection.exec_driver_sql(f'INSERT INTO "{table.name}" ({listed}) VALUES ({marks})', values)
        return
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f'COPY "{table.name}" ({listed}) FROM STDIN') as copy:
        for row in values:
            copy.write_row(row)


def count_on(connection: Connection) -> None:
    """Let PostgreSQL give ids above those that were written; SQLite does so by itself."""
    if connection.dialect.name == "sqlite":
        return
    for table in metadata.sorted_tables:
        if "id" in table.c and table.c.id.type.python_type is int:
            counter = func.pg_get_serial_sequence(table.name, "id")
            last = select(func.max(table.c.id)).scalar_subquery()
            connection.execute(select(func.setval(counter, func.coalesce(last, 1), last.is_not(None))))


def look_after(database_url: str) -> None:
    """Let the database look at what it holds, as a server does by itself in time, and on PostgreSQL vacuum it."""
    engine = create_engine(database_url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text("ANALYZE" if engine.dialect.name == "sqlite" else "VACUUM (ANALYZE)"))
    finally:
        engine.dispose()
