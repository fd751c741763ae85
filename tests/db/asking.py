"""Asking a history in the tests, and seeing that it stays as it was."""

from pathlib import Path

import pytest
from sqlalchemy import insert
from sqlalchemy import select as sa_select

from bench.errors import QueryError
from db.engine import Database
from db.readonly import select
from db.tables import batch, metadata

#: a statement that answers for ever, and one that never does
ENDLESS = "with recursive c(x) as (select 1 union all select x + 1 from c) select x from c"
LONG = "with recursive c(x) as (select 1 union all select x + 1 from c) select count(*) from c"

_CATALOG_SQLITE = ["SELECT * FROM sqlite_master"]
_CATALOG_POSTGRESQL = [
    "SELECT oid, relname, relacl::text FROM pg_class ORDER BY oid",
    "SELECT oid, rolname FROM pg_roles ORDER BY oid",
    "SELECT oid FROM pg_largeobject_metadata ORDER BY oid",
    "SELECT oid FROM pg_proc ORDER BY oid",
    "SELECT extname FROM pg_extension ORDER BY extname",
    "SELECT sequencename, last_value FROM pg_sequences ORDER BY sequencename",
]


def ask(url: str, statement: str, timeout_seconds: float = 20.0) -> list[tuple[object, ...]]:
    """Return every row of the answer."""
    with select(url, statement, timeout_seconds=timeout_seconds) as rows:
        return list(rows)


def refusal(url: str, statement: str, timeout_seconds: float = 20.0) -> str:
    """Return the sentence with which a statement is refused."""
    with pytest.raises(QueryError) as caught:
        ask(url, statement, timeout_seconds)
    return sentence(caught.value)


def sentence(error: QueryError) -> str:
    """Return an error's message, which must be one sentence."""
    message = str(error)
    assert message
    assert "\n" not in message
    assert len(message) < 400
    return message


def fill(url: str) -> None:
    """Write one batch."""
    database = Database(url)
    with database.write() as connection:
        connection.execute(insert(batch).values(name="first", sweep_hash="x", priority=5, created_at=1.5e9))
    database.dispose()


def everything(url: str) -> list[object]:
    """Return what must not change: every row of every table, what there is besides, and the files beside the file."""
    database = Database(url)
    with database.read() as connection:
        found: list[object] = [connection.execute(sa_select(table)).all() for table in metadata.sorted_tables]
        for query in _CATALOG_SQLITE if database.is_sqlite else _CATALOG_POSTGRESQL:
            found.append(connection.exec_driver_sql(query).all())
    database.dispose()
    if database.is_sqlite:
        folder = Path(url.removeprefix("sqlite:///")).parent
        found.append(sorted(path.name for path in folder.iterdir() if not path.name.endswith(("-wal", "-shm"))))
    return found
