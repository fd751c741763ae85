"""Reading for the pages: the views alone, in transactions that can't write and end after a while.

On PostgreSQL the login is the reader's, as for `benchbeat sql`. What people write themselves goes through
`db.readonly`.
"""

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, exc, text
from sqlalchemy.pool import QueuePool

from bench.errors import QueryError, UnavailableError
from db.columns import KINDS, plain_rows
from db.engine import sqlite_path
from db.reader_role import reader_login_url
from db.readonly import Rows, select

#: what a page may take of the database's time
PAGE_SECONDS = 5.0
#: ... a statement of one's own, and a file
SQL_SECONDS = 20.0
FILE_SECONDS = 60.0

#: PostgreSQL's code for a statement that was stopped
_STOPPED = "57014"
#: SQLite's steps, about 1 ms of them, between two looks at the clock: each waits for Python's lock, which a report or
#: another page may hold
_STEPS = 20_000
_POOL = {"poolclass": QueuePool, "pool_size": 8, "max_overflow": 8, "pool_timeout": 5}


class TooSlowError(QueryError):
    """The database was stopped before it had found the rows of a page."""


class Reading:
    """The history, open for reading."""

    def __init__(self, database_url: str, reader_url: str | None = None) -> None:
        self._database_url = database_url
        self.is_sqlite = database_url.startswith("sqlite")
        # Derived once: the password's derivation takes longer than a page.
        self._login = None if self.is_sqlite else reader_login_url(database_url, reader_url)
        self._engine = _sqlite(database_url) if self._login is None else _postgresql(self._login)

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return "sqlite" if self.is_sqlite else "postgresql"

    @contextmanager
    def open(self, seconds: float = PAGE_SECONDS) -> Iterator[Connection]:
        """Open a transaction that reads for so long at most. Raises TooSlowError and UnavailableError."""
        try:
            with self._engine.connect() as connection, connection.begin():
                self._limit(connection, seconds)
                yield connection
        except exc.TimeoutError as error:
            raise UnavailableError("Too many pages are being read at once; try again in a moment") from error
        except exc.DBAPIError as error:
            if _was_stopped(error):
                raise TooSlowError(
                    f"Nothing was found within {seconds:g} seconds; filter by batch or run_id, or take look=all away"
                ) from error
            if isinstance(error, exc.OperationalError | exc.InterfaceError):
                raise UnavailableError(f"The database can't be read ({_reason(error)})") from error
            raise

    def ask(self, statement: str, seconds: float = SQL_SECONDS) -> Rows:
        """Return the answer to a statement of somebody's own. Raises QueryError."""
        return select(self._database_url, statement, timeout_seconds=seconds, reader_url=self._login)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _limit(self, connection: Connection, seconds: float) -> None:
        if not self.is_sqlite:
            connection.execute(text(f"SET LOCAL statement_timeout = {round(seconds * 1000)}"))
            return
        deadline = time.monotonic() + seconds
        driver: Any = connection.connection.driver_connection
        driver.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)


def rows_of(
    connection: Connection, view: str, columns: Sequence[str], rest: str, values: Mapping[str, Any]
) -> list[tuple[Any, ...]]:
    """Return columns of a view's rows; `rest` follows FROM. Booleans, times and JSON come alike from both databases."""
    listed = ", ".join(f'"{name}"' for name in columns)
    kinds = [KINDS[view][name] for name in columns]
    found = connection.execute(text(f'SELECT {listed} FROM "{view}" {rest}'), values)
    return plain_rows(found, kinds)


def _sqlite(database_url: str) -> Engine:
    path = sqlite_path(database_url)

    def connect() -> sqlite3.Connection:
        uri = f"file:{quote(str(path))}?mode=ro"
        return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=5.0)

    engine = create_engine("sqlite://", creator=connect, **_POOL)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def _postgresql(login: str) -> Engine:
    def connect() -> Any:
        import psycopg

        options = "-c default_transaction_read_only=on -c timezone=UTC -c idle_in_transaction_session_timeout=60s"
        return psycopg.connect(
            login, connect_timeout=5, prepare_threshold=None, application_name="benchbeat web", options=options
        )

    return create_engine("postgresql+psycopg://", creator=connect, pool_pre_ping=True, **_POOL)


def _was_stopped(error: exc.DBAPIError) -> bool:
    return str(error.orig) == "interrupted" or getattr(error.orig, "sqlstate", None) == _STOPPED


def _reason(error: exc.DBAPIError) -> str:
    lines = str(error.orig).strip().splitlines()
    return lines[0].removeprefix("connection failed: ") if lines else type(error.orig).__name__
