"""Databases for trials, and how each is kept from everybody for a while."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Literal

from tests.services import running_postgresql
from tests.worker.postgresql import StoppablePostgreSQL

DatabaseKind = Literal["sqlite", "postgresql"]


class Databases:
    """Makes new databases; one PostgreSQL serves all trials."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._numbers = count(1)
        self._server: StoppablePostgreSQL | None = None

    def new(self, kind: DatabaseKind, folder: Path) -> tuple[str, Callable[[], Any]]:
        """Return the URL of an empty database, and a context in which nobody can write to it."""
        if kind == "sqlite":
            file = folder / "history.db"
            return f"sqlite:///{file}", lambda: _locked(file)
        if self._server is None:
            self._running = self._stack.enter_context(running_postgresql())
            self._server = self._stack.enter_context(StoppablePostgreSQL(self._running))
        name = f"chaos_{next(self._numbers)}"
        self._running.execute("CREATE DATABASE {name}", name=name)
        return self._running.url(name), self._server.away

    @contextmanager
    def read_only(self, url: str) -> Iterator[None]:
        """Let a PostgreSQL database be read only, as a standby or one with a full disk is."""
        name = url.rpartition("?")[0].rpartition("/")[2]
        self._running.execute("ALTER DATABASE {name} SET default_transaction_read_only = on", name=name)
        self._cut_off()
        try:
            yield
        finally:
            self._running.execute("ALTER DATABASE {name} SET default_transaction_read_only = off", name=name)
            self._cut_off()

    def _cut_off(self) -> None:
        self._running.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    other = sqlite3.connect(file, isolation_level=None, timeout=30)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.close()
