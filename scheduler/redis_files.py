"""What the embedded Redis keeps in the home: its locks, its record `redis.json`, its configuration and its log.

Two locks keep it to one server a home, whoever calls, and whoever is killed while calling:

- `redis.lock` is held while somebody starts or stops the server.
- `redis/server.lock` is inherited by the server and held as long as it lives, since the kernel frees it at its death.
  So "does it run?" needs no pid, and a second server on the same files can't start.
"""

import fcntl
import json
import os
import string
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.errors import UnavailableError

#: How long to wait for another process that starts or stops the same server, in seconds.
LOCK_SECONDS = 30.0
#: How often to look again, in seconds.
POLL_SECONDS = 0.01

# Plain commands instead of the RDB preamble: any version of Redis and Valkey can read them, and the binary may change
# between two starts.
_CONFIGURATION = """\
bind 127.0.0.1
protected-mode yes
port {port}
requirepass {password}
daemonize yes
pidfile {pidfile}
dir {folder}
logfile {log}
save ""
appendonly yes
appendfsync everysec
aof-use-rdb-preamble no
maxmemory-policy noeviction
"""


@dataclass(frozen=True)
class Record:
    """The content of redis.json: how to reach the server. The pid serves only to end one that no longer answers."""

    #: The port on 127.0.0.1.
    port: int
    #: What a client must authenticate with.
    password: str
    #: None until the server has answered once.
    pid: int | None = None
    #: When the process `pid` was started, so that a recycled pid is told apart.
    started_seconds: float | None = None


@dataclass(frozen=True)
class RedisFiles:
    """The paths of one home (absolute), and what is done with them."""

    home: Path

    @property
    def folder(self) -> Path:
        """The server's data, configuration and lock."""
        return self.home / "redis"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.home / "logs" / "redis.log"

    @property
    def record(self) -> Path:
        """How to reach the server; readable by its owner only, since it holds the password."""
        return self.home / "redis.json"

    @property
    def configuration(self) -> Path:
        """The server's configuration; readable by its owner only, since it holds the password."""
        return self.folder / "redis.conf"

    @property
    def pidfile(self) -> Path:
        """Written by the server itself; for a person who looks for its process."""
        return self.folder / "redis.pid"

    @property
    def change_lock(self) -> Path:
        """Held by whoever starts or stops the server."""
        return self.home / "redis.lock"

    @property
    def server_lock(self) -> Path:
        """Held by the server for as long as it lives."""
        return self.folder / "server.lock"

    def make_folders(self) -> None:
        """Make the home and its folders; raises OSError."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.log.parent.mkdir(exist_ok=True)

    def read_record(self) -> Record | None:
        """Return the record, or None if there is none that can be read."""
        try:
            record = Record(**json.loads(self.record.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        return record if isinstance(record.port, int) and isinstance(record.password, str) else None

    def write_record(self, record: Record) -> None:
        """Replace the record; raises OSError."""
        _write_private(self.record, json.dumps(asdict(record)) + "\n")

    def write_configuration(self, record: Record) -> None:
        """Replace the server's configuration; raises OSError."""
        text = _CONFIGURATION.format(
            port=record.port,
            password=record.password,
            pidfile=_quoted(self.pidfile),
            folder=_quoted(self.folder),
            log=_quoted(self.log),
        )
        _write_private(self.configuration, text)

    def open_log(self) -> int:
        """Open the log for appending and return its descriptor; a new log is readable by its owner only."""
        return os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def read_log(self, start: int) -> str:
        """Return what stands in the log after its first `start` bytes."""
        with self.log.open("rb") as file:
            file.seek(start)
            return file.read().decode(errors="replace")

    def is_free(self) -> bool:
        """Return whether no process holds the server's lock, which is to say that no server runs."""
        try:
            descriptor = os.open(self.server_lock, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared, so that those who look don't meet
        except BlockingIOError:
            return False
        else:
            return True
        finally:
            os.close(descriptor)

    def wait_free(self, deadline: float) -> bool:
        """Wait until no server runs; return False if one still does at `deadline` (of time.monotonic)."""
        while not self.is_free():
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold the lock file `path` exclusively; give its descriptor, which a child may inherit to hold the lock on.

    Raises UnavailableError if somebody else holds it for 30 s.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + LOCK_SECONDS
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                raise UnavailableError(f"Another process has held {path} for {LOCK_SECONDS:g} s; end it and try again.")
            time.sleep(POLL_SECONDS)
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_private(path: Path, text: str) -> None:
    """Replace the file `path` in one step; only its owner may read it."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _quoted(path: Path) -> str:
    """Write a path the way Redis reads it in a configuration file, whatever bytes it has."""
    plain = frozenset(f"/._-{string.ascii_letters}{string.digits}".encode())
    return '"' + "".join(chr(b) if b in plain else f"\\x{b:02x}" for b in os.fsencode(path)) + '"'
