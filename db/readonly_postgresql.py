"""PostgreSQL, asked so that nothing can be written: a login that may only read, a read-only transaction, one
statement within another one, always rolled back."""

import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from bench.errors import QueryError
from db.readonly import (
    BATCH_BYTES,
    BATCH_ROWS,
    behind_the_views,
    failed,
    size_of,
    too_slow,
    unknown_name,
    unknown_view,
)
from db.statement import Statement

if TYPE_CHECKING:
    import psycopg

_CURSOR = "benchbeat"
#: the line breaks keep a comment in the statement from reaching the parenthesis
_BEFORE, _AFTER = "SELECT * FROM (\n", "\n) q"
#: what the driver puts before it
_DECLARE = f'DECLARE "{_CURSOR}" CURSOR FOR '
#: texts and bytes that a FETCH is to bring, roughly
_FETCH_BYTES = 4 << 20
#: the server stops itself; the client cancels so much later, and after that again hangs up
_GRACE_SECONDS = 1.0

# Every role that this session could act as, with what makes it too powerful to be let in.
_MIGHT = """
SELECT r.rolname, r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolname IN (
    'pg_database_owner', 'pg_execute_server_program', 'pg_read_server_files', 'pg_write_all_data',
    'pg_write_server_files')
FROM pg_catalog.pg_roles r WHERE pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER')
"""
_WRITABLE = """
SELECT c.relname FROM pg_catalog.pg_class c, pg_catalog.pg_roles r
WHERE c.relnamespace::regnamespace::name = ANY (pg_catalog.current_schemas(false))
    AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER')
    AND (pg_catalog.has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
        OR pg_catalog.has_any_column_privilege(r.oid, c.oid, 'INSERT, UPDATE'))
ORDER BY 1 LIMIT 1
"""
_VIEWS = """
SELECT c.relname, a.attname, pg_catalog.has_table_privilege(c.oid, 'SELECT')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind = 'v' AND c.relnamespace::regnamespace::name = ANY (pg_catalog.current_schemas(false))
"""
_UNDEFINED_TABLE, _UNDEFINED_COLUMN, _FORBIDDEN, _SYNTAX = "42P01", "42703", "42501", "42601"
#: types that come as the server writes them, as they do from SQLite, so that no value is too large for Python's
_AS_TEXT = ("date", "interval", "json", "jsonb", "time", "timestamp", "timestamptz", "timetz", "uuid")


class PostgresqlReader:
    """One statement on a connection of its own, read through a server-side cursor."""

    def __init__(self, login_url: str, statement: Statement, timeout_seconds: float) -> None:
        self._statement = statement
        self._timeout_seconds = timeout_seconds
        self._left_seconds = timeout_seconds
        self._error = _driver_error()  # kept, since nothing can be imported while the interpreter ends
        self._connection = _connect(login_url)
        self._cursor = self._connection.cursor(_CURSOR)
        self._fetched: Any = None
        try:
            self._begin()
            with self._limited():
                self._cursor.execute((_BEFORE + statement.text + _AFTER).encode())
        except BaseException:
            self.close()
            raise
        self.columns = [column.name for column in self._cursor.description or ()]

    def batches(self) -> Iterator[list[tuple[Any, ...]]]:
        """Yield the rows, some at a time."""
        # The server gathers all rows of a FETCH before it sends the first one, so large rows are fetched a few
        # at a time; and they are read one by one, as the libpq would else hold all of them at once.
        wanted = found = 1
        while found == wanted:
            found = size = 0
            self._fetched = self._connection.cursor().stream(f'FETCH FORWARD {wanted} FROM "{_CURSOR}"'.encode())
            while batch := self._take(self._fetched):
                found += len(batch)
                size += sum(map(size_of, batch))
                yield batch
            if found == wanted:
                wanted = found = max(1, min(BATCH_ROWS, wanted * 10, _FETCH_BYTES * wanted // (size + 1)))

    def close(self) -> None:
        """Log out, which rolls back."""
        # In this order: a fetch that is under way holds the connection's lock, and would first be read to its end.
        self._connection.close()
        if self._fetched is not None:
            self._fetched.close()
        with suppress(self._error):
            self._cursor.close()

    def _begin(self) -> None:
        from psycopg import sql

        run = self._connection.execute
        with self._limited():
            self._refuse_power()
            run("BEGIN READ ONLY")
            run(sql.SQL("SET LOCAL statement_timeout = {}").format(max(1, round(self._timeout_seconds * 1000))))
            run("SET LOCAL timezone = 'UTC'")
            run("SET LOCAL cursor_tuple_fraction = 1")
            # After a first query the transaction can't be made a writing one any more.
            run("SELECT 1")

    def _refuse_power(self) -> None:
        for role, is_powerful in self._connection.execute(_MIGHT).fetchall():
            if is_powerful:
                raise _too_powerful(f"may act as {role!r}, which may do more than read")
        writable = self._connection.execute(_WRITABLE).fetchone()
        if writable:
            raise _too_powerful(f"may write to {writable[0]!r}")

    def _take(self, rows: Iterator[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        batch: list[tuple[Any, ...]] = []
        size = 0
        with self._limited():
            for row in rows:
                batch.append(row)
                size += size_of(row)
                if size >= BATCH_BYTES:
                    break
        return batch

    @contextmanager
    def _limited(self) -> Iterator[None]:
        """Bound what the server does within, and put its errors into words."""
        import psycopg

        if self._left_seconds <= 0:
            raise too_slow(self._timeout_seconds)
        started = time.monotonic()
        finished = threading.Event()
        watchdog = threading.Timer(self._left_seconds + _GRACE_SECONDS, self._give_up, [finished])
        watchdog.daemon = True
        watchdog.start()
        try:
            yield
        except (psycopg.Error, ValueError, OverflowError) as error:
            is_over = time.monotonic() - started >= self._left_seconds
            raise too_slow(self._timeout_seconds) if is_over else self._explain(error) from error
        finally:
            finished.set()
            watchdog.cancel()
            self._left_seconds -= time.monotonic() - started

    def _give_up(self, finished: threading.Event) -> None:
        import psycopg

        with suppress(psycopg.Error):
            self._connection.cancel_safe(timeout=_GRACE_SECONDS)
        if not finished.wait(_GRACE_SECONDS):
            with suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(self._connection.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)

    def _explain(self, error: Exception) -> QueryError:
        import psycopg

        if not isinstance(error, psycopg.Error) or error.diag.message_primary is None:
            return failed(str(error))
        message = error.diag.message_primary
        if error.sqlstate in (_UNDEFINED_TABLE, _UNDEFINED_COLUMN, _FORBIDDEN):
            return self._explain_name(error.sqlstate, message)
        if error.sqlstate == _SYNTAX:
            return failed(self._placed(message, error.diag.statement_position))
        return failed(message)

    def _explain_name(self, sqlstate: str, message: str) -> QueryError:
        views, readable = self._views()
        found = re.search(r'"([^"]+)"|(?:column|table|view|relation) (\S+)', message)
        name = (found[1] or found[2]) if found else ""
        if sqlstate == _UNDEFINED_TABLE:
            return unknown_view(message, name, set(views))
        if sqlstate == _UNDEFINED_COLUMN:
            named = self._statement.words & set(views) or set(views)
            return unknown_name(message, name, {column for view in named for column in views[view]})
        if name in views or not readable:
            return QueryError(f"The login may not read the views ({message}); run `benchbeat db upgrade`")
        if message.startswith("permission denied for table"):
            return behind_the_views(name, set(views))
        return failed(message)

    def _views(self) -> tuple[dict[str, set[str]], set[str]]:
        """Return the views with their columns, and which of them may be read."""
        import psycopg

        views: dict[str, set[str]] = {}
        readable = set()
        with suppress(psycopg.Error):
            self._connection.rollback()
            for view, column, may_read in self._connection.execute(_VIEWS).fetchall():
                views.setdefault(view, set()).add(column)
                if may_read:
                    readable.add(view)
        return views, readable

    def _placed(self, message: str, position: str | None) -> str:
        """Add where in the user's own text a syntax error is."""
        text = self._statement.text
        offset = int(position or 0) - 1 - len(_DECLARE) - len(_BEFORE)
        if offset >= len(text):
            return "syntax error at the end of the statement"
        if offset < 0:
            return message
        line = text.count("\n", 0, offset) + 1
        column = offset - (text.rfind("\n", 0, offset) + 1) + 1
        return f"{message} (line {line}, column {column})"


def _driver_error() -> type[Exception]:
    import psycopg

    return psycopg.Error


def _connect(login_url: str) -> "psycopg.Connection[tuple[Any, ...]]":
    import psycopg

    try:
        connection = psycopg.connect(
            login_url, autocommit=True, connect_timeout=10, prepare_threshold=None, application_name="benchbeat sql"
        )
    except psycopg.Error as error:
        message = str(error).strip().splitlines()[0].removeprefix("connection failed: ")
        # Only a server that answered says FATAL, or wants a password.
        remedy = (
            "run `benchbeat db upgrade`, or set BENCHBEAT_READER_URL to a login that may read the views"
            if "FATAL" in message or "password" in message
            else "start PostgreSQL there"
        )
        raise QueryError(f"PostgreSQL can't be asked as {_user(login_url)} ({message}); {remedy}") from None
    _load_as_text(connection)
    return connection


def _load_as_text(connection: "psycopg.Connection[tuple[Any, ...]]") -> None:
    from psycopg.types.string import TextLoader

    class UtcLoader(TextLoader):
        def load(self, data: Any) -> str | bytes:
            text = super().load(data)
            return text.removesuffix("+00") if isinstance(text, str) else text

    for name in _AS_TEXT:
        connection.adapters.register_loader(name, UtcLoader if name == "timestamptz" else TextLoader)


def _user(login_url: str) -> str:
    found = re.match(r"^postgresql://([^:@/?]+)", login_url)
    return repr(found[1]) if found else "the reader"


def _too_powerful(what: str) -> QueryError:
    return QueryError(
        f"The login for asking {what}; set BENCHBEAT_READER_URL to a login that may read the views and nothing else"
    )
