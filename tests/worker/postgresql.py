"""A PostgreSQL that a test stops and starts again."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import psutil
import psycopg

from tests.services import PostgreSQLServer, stop_process
from tests.waiting import wait_until


class StoppablePostgreSQL:
    """A server of `running_postgresql`, to be stopped and started; left running, it is stopped at the end."""

    def __init__(self, server: PostgreSQLServer) -> None:
        self._server = server
        self._data = server.socket_folder / "data"
        self._command = psutil.Process(self._pid()).cmdline()
        self._again: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._again is not None:
            stop_process(self._again, signal.SIGINT)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Stop the server, at once and cutting off its clients; start it again at the end."""
        server = psutil.Process(self._pid())
        server.send_signal(signal.SIGINT)
        wait_until(lambda: not (self._data / "postmaster.pid").exists(), "PostgreSQL has stopped")
        if self._again is not None:
            self._again.wait()
        try:
            yield
        finally:
            self._start()

    def _start(self) -> None:
        folder = self._server.socket_folder
        with (folder / "log").open("ab") as log:
            self._again = subprocess.Popen(
                self._command,
                user="nobody" if os.geteuid() == 0 else None,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
            )
        wait_until(self._accepts, "PostgreSQL answers again")

    def _accepts(self) -> bool:
        try:
            self._server.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _pid(self) -> int:
        return int((self._data / "postmaster.pid").read_text().splitlines()[0])
