"""Rows as SQL: a table and its INSERTs, as SQLite and PostgreSQL both take them."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

_TYPES = {
    "text": "text",
    "integer": "bigint",
    "number": "double precision",
    "boolean": "boolean",
    "time": "timestamp",
    "json": "text",
}


def write_inserts(
    table: str, columns: Sequence[str], kinds: Sequence[str], rows: Iterable[Sequence[Any]], stream: TextIO
) -> int:
    """Write a table of these columns and a row an INSERT, in one transaction; return how many rows there were.

    `kinds` says what each column holds (see `db.columns`). Times are UTC.
    """
    definitions = ", ".join(f"{_name(c)} {_TYPES[kind]}" for c, kind in zip(columns, kinds, strict=True))
    stream.write(f"BEGIN;\nCREATE TABLE IF NOT EXISTS {_name(table)} ({definitions});\n")
    head = f"INSERT INTO {_name(table)} ({', '.join(map(_name, columns))}) VALUES ("
    count = 0
    for row in rows:
        stream.write(f"{head}{', '.join(map(_literal, row))});\n")
        count += 1
    stream.write("COMMIT;\n")
    return count


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: Any) -> str:
    match value:
        case None:
            return "NULL"
        case bool():
            return "TRUE" if value else "FALSE"
        case int():
            return str(value)
        case float():
            return repr(value) if math.isfinite(value) else "NULL"
    return "'" + str(value).replace("'", "''") + "'"
