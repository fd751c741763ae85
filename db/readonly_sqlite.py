"""SQLite, opened so that it can only be read: the file read-only, every access judged by an authorizer."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar
from urllib.parse import quote, unquote

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

#: longest text or blob in bytes, and most columns: together with the heap they bound what one row may take
MAX_VALUE_BYTES = 32 << 20
MAX_COLUMNS = 1000
MAX_HEAP_BYTES = 1 << 30
#: a sort that would leave less than this of the disk for temporary files is stopped
MIN_FREE_BYTES = 1 << 30
#: how long a step that SQLite can't interrupt (instr over two long texts) is waited for after the time is over
GRACE_SECONDS = 1.0

_BUILT_IN_TABLES = frozenset(
    {"json_each", "json_tree", "sqlite_master", "sqlite_schema", "sqlite_temp_master", "sqlite_temp_schema"}
)
_FORBIDDEN_FUNCTIONS = frozenset({"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"})
_T = TypeVar("_T")


class SqliteReader:
    """One statement on a connection of its own, in a thread of its own.

    Some of SQLite's functions can't be interrupted and run for hours on the right input; so the caller waits
    for the thread, with a limit, and leaves it alone if it does not answer.
    """

    def __init__(self, database_url: str, statement: Statement, timeout_seconds: float) -> None:
        self._path = _path(database_url)
        self._statement = statement
        self._timeout_seconds = timeout_seconds
        self._left_seconds = timeout_seconds
        self._deadline = 0.0
        self._connection: sqlite3.Connection | None = None
        self._gate = _Gate(statement)
        self._disk = _DiskWatch()
        self._calls: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="sql", daemon=True)
        self._thread.start()
        try:
            self._cursor = self._ask(self._open)
        except BaseException:
            self.close()
            raise
        self.columns = [str(column[0]) for column in self._cursor.description]

    def batches(self) -> Iterator[list[tuple[Any, ...]]]:
        """Yield the rows, some at a time."""
        while batch := self._ask(self._fetch):
            yield batch

    def close(self) -> None:
        """End the statement and the thread."""
        if self._connection is not None:
            with suppress(sqlite3.ProgrammingError):  # closed already
                self._connection.interrupt()
        self._calls.put(None)
        self._thread.join(GRACE_SECONDS)

    def _ask(self, call: Callable[[], _T]) -> _T:
        """Let the thread do `call` within the time that is left."""
        started = time.monotonic()
        self._deadline = started + self._left_seconds
        answer: Future[_T] = Future()
        self._calls.put((call, answer))
        try:
            result = answer.result(max(self._left_seconds, 0) + GRACE_SECONDS)
            # A single step can't be interrupted, and may end as if there had been time.
            if time.monotonic() > self._deadline:
                raise too_slow(self._timeout_seconds)
            return result
        except TimeoutError:
            raise too_slow(self._timeout_seconds) from None
        except (sqlite3.Error, sqlite3.Warning, MemoryError) as error:
            raise self._explain(error) from error
        finally:
            self._left_seconds -= time.monotonic() - started

    def _serve(self) -> None:
        while (asked := self._calls.get()) is not None:
            call, answer = asked
            try:
                answer.set_result(call())
            except BaseException as error:  # noqa: BLE001 - the caller's thread raises it
                answer.set_exception(error)
        if self._connection is not None:
            self._connection.close()

    def _open(self) -> sqlite3.Cursor:
        if not self._path.is_file():
            raise QueryError(f"There is no database {self._path} yet; run `benchbeat db upgrade` or a batch first")
        self._connection = connection = sqlite3.connect(
            f"file:{quote(str(self._path))}?mode=ro", uri=True, isolation_level=None, timeout=5.0
        )
        connection.text_factory = _text
        _bound(connection)
        self._gate.learn(connection)
        if not self._gate.views:
            raise QueryError(f"The database {self._path} holds no views yet; run `benchbeat db upgrade`")
        self._gate.check_bindings()
        connection.set_progress_handler(self._is_over, 1000)
        connection.set_authorizer(self._gate.authorize)
        cursor = connection.execute(self._statement.text)
        if cursor.description is None:
            raise QueryError("The statement answers nothing; begin with SELECT, WITH or VALUES")
        return cursor

    def _fetch(self) -> list[tuple[Any, ...]]:
        batch: list[tuple[Any, ...]] = []
        size = 0
        for row in self._cursor:
            batch.append(row)
            size += size_of(row)
            if len(batch) >= BATCH_ROWS or size >= BATCH_BYTES:
                break
        return batch

    def _is_over(self) -> bool:
        return time.monotonic() > self._deadline or self._disk.is_low()

    def _explain(self, error: Exception) -> QueryError:
        message = str(error)
        if self._gate.refusal is not None:
            return self._gate.refusal
        if message == "interrupted":
            return _disk_full() if self._disk.was_low else too_slow(self._timeout_seconds)
        if isinstance(error, MemoryError):
            return failed(f"it needs more than {MAX_HEAP_BYTES >> 20} MiB of memory")
        if message.startswith("no such table: "):
            return unknown_view(message, message.removeprefix("no such table: "), set(self._gate.views))
        if message.startswith("no such column: "):
            return unknown_name(message, message.removeprefix("no such column: "), self._gate.columns())
        if "number of bindings" in message:
            return failed("it has a parameter, such as ? or :name, and there is no value for it")
        if self._gate.views:
            return failed(message)
        return QueryError(f"The database {self._path} can't be read ({message}); check the file and its rights")


class _Gate:
    """Decides what a statement may touch: the views, and through them what is behind them."""

    def __init__(self, statement: Statement) -> None:
        self._statement = statement
        #: every view with its columns
        self.views: dict[str, list[str]] = {}
        #: why the last access was refused
        self.refusal: QueryError | None = None
        self._tables: set[str] = set()
        self._contexts: set[str] = set()
        self._is_inside_view = False

    def learn(self, connection: sqlite3.Connection) -> None:
        """Take down from which contexts (a view's name, or that of a WITH within it) SQLite reads which tables."""

        def note(action: int, table: str | None, _: str | None, __: str | None, context: str | None) -> int:
            if action == sqlite3.SQLITE_READ and context and table:
                self._contexts.add(context.lower())
                self._tables.add(table.lower())
            return sqlite3.SQLITE_OK

        # Before the authorizer, as the first use of these "updates" SQLite's schema, though only in memory.
        connection.execute("SELECT 1 FROM json_each('[]'), json_tree('[]')").close()
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'view'")]
        connection.set_authorizer(note)
        for name in names:
            quoted = '"' + name.replace('"', '""') + '"'
            described = connection.execute(f"SELECT * FROM {quoted} LIMIT 0").description
            self.views[name.lower()] = [column[0] for column in described]
        connection.set_authorizer(None)
        self._contexts |= set(self.views)

    def check_bindings(self) -> None:
        """Refuse a WITH that has a view's name: to the authorizer the two look the same."""
        taken = self._statement.bindings & self._contexts
        if taken:
            raise QueryError(f"The name {min(taken)!r} is taken by a view; give the WITH clause another name")

    def columns(self) -> set[str]:
        """Return the columns of the views that the statement names, or of all."""
        named = self._statement.words & set(self.views) or set(self.views)
        return {column for view in named for column in self.views[view]}

    def authorize(self, action: int, first: str | None, second: str | None, _: str | None, context: str | None) -> int:
        """SQLite's question about one access; the meaning of `first` and `second` depends on `action`."""
        if action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE):
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_READ:
            return self._authorize_read((first or "").lower(), second or "", (context or "").lower())
        if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() not in _FORBIDDEN_FUNCTIONS:
            return sqlite3.SQLITE_OK
        what = f"The function {second}" if action == sqlite3.SQLITE_FUNCTION else "What this statement does"
        return self._refuse(QueryError(f"{what} is not allowed here; the history can only be read"))

    def _authorize_read(self, table: str, column: str, context: str) -> int:
        if context in self._contexts:
            self._is_inside_view = True
            return sqlite3.SQLITE_OK
        if table in self.views or table in _BUILT_IN_TABLES:
            return sqlite3.SQLITE_OK
        # Something of which no column is asked for: the WITH clause in `SELECT count(*) FROM c`, or once more the
        # tables of a view that was merged into the statement.
        if column == "" and (self._is_inside_view if table in self._tables else table in self._statement.bindings):
            return sqlite3.SQLITE_OK
        return self._refuse(behind_the_views(table, set(self.views)))

    def _refuse(self, refusal: QueryError) -> int:
        self.refusal = refusal
        return sqlite3.SQLITE_DENY


class _DiskWatch:
    """Sees to it that a large sort does not fill the disk on which SQLite keeps its temporary files."""

    def __init__(self) -> None:
        #: whether the statement was stopped for it
        self.was_low = False
        self._folder = _temporary_folder()
        self._floor = min(MIN_FREE_BYTES, self._free() // 2)
        self._next_look = 0.0

    def is_low(self) -> bool:
        """Look at the disk, ten times a second at most."""
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + 0.1
            self.was_low = self._free() < self._floor
        return self.was_low

    def _free(self) -> int:
        found = os.statvfs(self._folder)
        return found.f_bavail * found.f_frsize


def _disk_full() -> QueryError:
    return QueryError("The query was stopped before its temporary files filled the disk; ask for fewer rows")


def _temporary_folder() -> str:
    """Return the folder that SQLite would take for temporary files."""
    wanted = [os.environ.get("SQLITE_TMPDIR"), os.environ.get("TMPDIR"), "/var/tmp", "/usr/tmp", "/tmp"]
    usable = (folder for folder in wanted if folder and os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK))
    return next(usable, ".")


def _bound(connection: sqlite3.Connection) -> None:
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
    connection.setlimit(sqlite3.SQLITE_LIMIT_COLUMN, MAX_COLUMNS)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    # This bound holds for every connection of the process; benchbeat's others stay far below it.
    connection.execute(f"PRAGMA hard_heap_limit = {MAX_HEAP_BYTES}").close()


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


def _path(database_url: str) -> Path:
    """Return the file of a SQLAlchemy URL (sqlite:///PATH)."""
    _, _, place = database_url.partition("://")
    path = unquote(place.partition("?")[0].removeprefix("/"))
    if not path or path == ":memory:":
        raise QueryError("A database in memory can't be asked; set BENCHBEAT_DATABASE_URL to sqlite:///PATH")
    return Path(path).absolute()
