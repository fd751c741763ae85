"""Asking the history in SQL without being able to change it: `benchbeat sql`, on both databases."""

import math
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Protocol

from bench.errors import QueryError, suggest
from db.statement import read_statement

#: a batch of rows that is read ahead ends at so many rows or so many characters and bytes
BATCH_ROWS = 1000
BATCH_BYTES = 16 << 20
_SIZED = frozenset((str, bytes))


class Reader(Protocol):
    """A statement that is being answered by one of the databases."""

    #: names of the columns
    columns: list[str]

    def batches(self) -> Iterator[list[tuple[Any, ...]]]:
        """Yield the rows, some at a time. Raises QueryError."""

    def close(self) -> None:
        """End the statement, whether it is finished or not."""


class Rows:
    """The rows of an answer, read while they are iterated over, once. Use it in a `with` statement.

    Iterating raises QueryError where the database gives up or the time is over.
    """

    def __init__(self, reader: Reader) -> None:
        #: names of the columns, as the database gives them; two may be equal
        self.columns = reader.columns
        self._reader = reader

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        try:
            for batch in self._reader.batches():
                yield from batch
        finally:
            self.close()

    def close(self) -> None:
        """End the statement, whether it is finished or not. A second call does nothing."""
        self._reader.close()

    def __enter__(self) -> "Rows":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def select(database_url: str, statement: str, *, timeout_seconds: float = 60.0, reader_url: str | None = None) -> Rows:
    """Return the answer to one SELECT over the views; nothing can be written, whatever the statement says.

    `timeout_seconds` bounds the time that the database works for it; time in which the caller does something
    else with the rows does not count. On PostgreSQL the login is `reader_url`'s where one is given, else
    `benchbeat_reader`. Every fault is a QueryError in one sentence.
    """
    if not (math.isfinite(timeout_seconds) and timeout_seconds > 0):
        raise QueryError(f"The time for a query must be more than 0 seconds, not {timeout_seconds:g}")
    if database_url.startswith("sqlite"):
        from db.readonly_sqlite import SqliteReader

        return Rows(SqliteReader(database_url, read_statement(statement, "sqlite"), timeout_seconds))
    from db.reader_role import reader_login_url
    from db.readonly_postgresql import PostgresqlReader

    login = reader_login_url(database_url, reader_url)
    return Rows(PostgresqlReader(login, read_statement(statement, "postgresql"), timeout_seconds))


def too_slow(timeout_seconds: float) -> QueryError:
    """The error for a statement whose time is over."""
    return QueryError(
        f"The query was stopped after {timeout_seconds:g} seconds; ask for fewer rows, or give it more time"
    )


def unknown_view(message: str, name: str, views: set[str]) -> QueryError:
    """The error for a table or view that does not exist, with near matches, or else with all of them."""
    near = suggest(name.rpartition(".")[2], views) or f"; the views are {', '.join(sorted(views))}"
    return QueryError(f"The query fails: {_sentence(message)}{near}")


def unknown_name(message: str, name: str, known: set[str]) -> QueryError:
    """The error for a column that does not exist, with near matches."""
    return QueryError(f"The query fails: {_sentence(message)}{suggest(name.rpartition('.')[2], known)}")


def behind_the_views(table: str, views: set[str]) -> QueryError:
    """The error for a table that is asked directly."""
    return QueryError(
        f"{table!r} lies behind the views and may change with every version; ask the views: {', '.join(sorted(views))}"
    )


def failed(message: str) -> QueryError:
    """The error for everything else, with the database's own message."""
    return QueryError(f"The query fails: {_sentence(message)}")


def size_of(row: tuple[Any, ...]) -> int:
    """Characters and bytes in a row's texts, roughly what it takes in memory."""
    return sum([len(value) for value in row if type(value) in _SIZED])  # a third of isinstance's time


def _sentence(message: str) -> str:
    return " ".join(message.split()).rstrip(".")
