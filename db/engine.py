"""The connection to the database: one writing and one reading engine, errors in words."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, exc, make_url
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement
from sqlalchemy.types import Double

from bench.errors import UnavailableError

#: how long a writer waits for another one's lock
BUSY_TIMEOUT_SECONDS = 30

#: PostgreSQL's code for writing to a server that only reads: a standby, or one whose disk is full
_READ_ONLY = "25006"
#: ... and for what a login may not do
_DENIED = "42501"


#: the SQL of `now`, by dialect
CLOCKS = {
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
    "postgresql": "extract(epoch from clock_timestamp())::double precision",
}


class now(FunctionElement[float]):  # noqa: N801 - reads as the SQL function that it is
    """The database's clock, in seconds since the epoch. Leases are judged by it, never by a worker's clock."""

    type = Double()
    inherit_cache = True


@compiles(now, "sqlite")
def _now_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return CLOCKS["sqlite"]


@compiles(now, "postgresql")
def _now_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    return CLOCKS["postgresql"]


class Database:
    """The history's database. Opening one connects to nothing yet.

    Without `foreign_keys` SQLite does not check references: a migration that rebuilds a table has to drop it.
    """

    def __init__(self, url: str, *, foreign_keys: bool = True) -> None:
        self.url = url
        self._parsed = make_url(url)
        self.is_sqlite = self._parsed.get_backend_name() == "sqlite"
        self._foreign_keys = foreign_keys
        #: when it last could not be had, by this process's monotonic clock; None where it always could
        self.away_at: float | None = None
        self._writer = self._engine(read_only=False)
        # Readers of SQLite must not queue for the write lock that BEGIN IMMEDIATE takes.
        self._reader = self._engine(read_only=True) if self.is_sqlite else self._writer
        # PostgreSQL outlived by its workers would forget what they hold: there every commit waits for the disk.
        self._hasty_writer = self._engine(read_only=False, durable=False) if self.is_sqlite else self._writer

    @property
    def safe_url(self) -> str:
        """The URL without its passwords, also those among its query parameters."""
        secret = [name for name in self._parsed.query if "pass" in name.lower()]
        return self._parsed.difference_update_query(secret).render_as_string(hide_password=True)

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Connection]:
        """Open a transaction that commits at the end. Raises UnavailableError where the database can't be had.

        One that need not be `durable` may be forgotten in a power cut, by SQLite and together with this process; the
        next durable commit, whoever's, puts it on the disk.
        """
        engine = self._writer if durable else self._hasty_writer
        with self._wrapped(), engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction for reading. Raises UnavailableError where the database can't be had."""
        with self._wrapped(), self._reader.begin() as connection:
            yield connection

    def dispose(self) -> None:
        """Close every connection."""
        for engine in (self._writer, self._hasty_writer, self._reader):
            engine.dispose()

    @contextmanager
    def _wrapped(self) -> Iterator[None]:
        try:
            yield
        except exc.DBAPIError as error:
            if _is_away(error):
                self.away_at = time.monotonic()
                raise UnavailableError(self._explain(error)) from error
            raise

    def _explain(self, error: exc.DBAPIError) -> str:
        reason = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
        if self.is_sqlite:
            path = self._parsed.database
            if isinstance(error.orig, sqlite3.OperationalError) and "no such table" in reason:
                return f"The database {path} has no benchbeat tables ({reason}); run `benchbeat db upgrade`"
            return f"The database {path} can't be used ({reason}); check the folder, its rights and the disk's space"
        if _sqlstate(error) == _DENIED:
            return (
                f"The login {self._parsed.username} may not do this ({reason}) in {self.safe_url}; "
                "put the login that owns the tables into BENCHBEAT_DATABASE_URL"
            )
        return (
            f"The database {self.safe_url} can't be used ({reason}); start PostgreSQL there, "
            "or unset BENCHBEAT_DATABASE_URL to use SQLite"
        )

    def _engine(self, *, read_only: bool, durable: bool = True) -> Engine:
        if self.is_sqlite:
            url = self._parsed.render_as_string(hide_password=False)
            return _sqlite_engine(url, read_only=read_only, durable=durable, foreign_keys=self._foreign_keys)
        return create_engine(
            self._parsed,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": 5,
                # A generic plan made the claim's second probe take 110 ms instead of 1.
                "prepare_threshold": None,
                "application_name": "benchbeat",
                "options": "-c lock_timeout=30s -c idle_in_transaction_session_timeout=120s -c timezone=UTC",
            },
        )


def _is_away(error: exc.DBAPIError) -> bool:
    """Whether the database can't be had, as against a fault of the statement."""
    if isinstance(error, exc.OperationalError | exc.InterfaceError):
        return True
    # SQLite says with a plain DatabaseError that a file is damaged or none of its own.
    return type(error) is exc.DatabaseError or _sqlstate(error) in (_READ_ONLY, _DENIED)


def _sqlstate(error: exc.DBAPIError) -> str | None:
    """Return PostgreSQL's code of a failure."""
    return getattr(error.orig, "sqlstate", None)


def sqlite_path(url: str) -> Path | None:
    """Return the file of a SQLite URL, or None for another database."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return None
    return Path(parsed.database)


def _write_ahead(cursor: sqlite3.Cursor) -> None:
    """Turn on the write-ahead log. SQLite refuses, instead of queueing, those who do so at once on a new file."""
    deadline = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            # the low byte: what follows it says only which lock was busy
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def _sqlite_engine(url: str, *, read_only: bool, durable: bool, foreign_keys: bool) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_SECONDS, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, record: Any) -> None:
        # The driver's own BEGIN comes too late: 2,086 of 2,400 updates from 8 processes were lost with it.
        connection.isolation_level = None
        cursor = connection.cursor()
        _write_ahead(cursor)
        cursor.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        cursor.execute("PRAGMA fullfsync=ON")
        cursor.execute(f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}")
        cursor.close()

    def _begin(connection: Any) -> None:
        connection.execute("BEGIN" if read_only else "BEGIN IMMEDIATE")

    # Not by the event `begin`, where only a statement of SQLAlchemy's own has its errors wrapped: that takes a tenth
    # of a claim.
    engine.dialect.do_begin = _begin  # type: ignore[assignment, method-assign]
    return engine
