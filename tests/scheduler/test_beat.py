"""Beat, as a process: it ticks, outlives outages of Redis and of the database, and ends when it is told to."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from redis import Redis
from redis.exceptions import RedisError

from bench.schedules import read_cron
from db.engine import Database
from db.schedules import change_schedule, live_beats, schedule_by_name, seconds_now
from db.settings import Settings
from scheduler.app import make_app
from scheduler.beat import TickingScheduler
from scheduler.broker import find_server_binary
from scheduler.ring import Bell
from scheduler.schedules import add_schedule
from tests.commands import environment, run_command, start_command
from tests.db.builders import add_jobs, add_worker, claimed_by, let_lease_run_out, states
from tests.scheduler.test_submit import sweep
from tests.services import PostgreSQLServer, RedisServer, stop_process
from tests.waiting import wait_until

TICK_SECONDS = "0.1"


class Beat:
    """A beat process and what it wrote."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def said(self) -> str:
        """All that it wrote."""
        return self._log.read_text()

    def wait_for(self, text: str) -> None:
        """Wait until it wrote a text."""
        wait_until(lambda: text in self.said or self.process.poll() is not None, f"beat says {text!r}", 60)
        assert text in self.said, self.said


#: a beat that is told to stop in the middle of the destruction of an object, where Python drops what a handler raises
STOPPED_IN_A_DESTRUCTOR = """
import os, signal, sys
from db.settings import load_settings
from scheduler import beat

class Dying:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)

beat.watch = lambda database: Dying() and []
beat.run_beat(load_settings()[0], sys.argv[1])
"""


@contextmanager
def running_beat(folder: Path, database_url: str, broker_url: str) -> Iterator[Beat]:
    """Run `benchbeat beat`, once it ticks."""
    path = folder / "beat.log"
    settings = {
        "BENCHBEAT_DATABASE_URL": database_url,
        "BENCHBEAT_BROKER_URL": broker_url,
        "BENCHBEAT_TICK_SECONDS": TICK_SECONDS,
    }
    with path.open("wb") as log:
        process = start_command("beat", log=log, **settings)
    try:
        beat = Beat(process, path)
        beat.wait_for("beat looks after")
        yield beat
    finally:
        stop_process(process, signal.SIGKILL)


def rings(broker_url: str, queue: str = "any.4") -> int | None:
    """Return how many rings wait, or None where Redis does not answer."""
    with Redis.from_url(broker_url, socket_timeout=0.5) as client:
        try:
            return int(client.llen(queue))
        except RedisError:
            return None


@contextmanager
def redis_on(port: int, folder: Path) -> Iterator[None]:
    """Run a Redis on a port that another one had."""
    binary = find_server_binary()
    assert binary is not None
    arguments = [str(binary), "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: rings(f"redis://127.0.0.1:{port}/0") is not None, "Redis answers")
        yield
    finally:
        stop_process(process)


@contextmanager
def frozen(server: RedisServer) -> Iterator[None]:
    """Stop a server's process for a while."""
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


def test_beat_rings_and_takes_back_what_was_lost(
    home: Path, database: Database, broker_url: str, tmp_path: Path
) -> None:
    lost = add_jobs(database)
    claimed_by(database, add_worker(database))
    let_lease_run_out(database, lost[0])
    with running_beat(tmp_path, database.url, broker_url) as beat:
        wait_until(lambda: rings(broker_url) == 1, "the lost job is rung for")
        assert states(database, lost) == ["queued"]
        beat.wait_for(f"job {lost[0]}: its worker was lost; it is queued now")
        with Redis.from_url(broker_url) as client:
            client.flushall()
        wait_until(lambda: rings(broker_url) == 1, "an emptied Redis is filled again")
        add_jobs(database, 2)
        wait_until(lambda: rings(broker_url) == 3, "new jobs are rung for")


def test_beat_makes_a_batch_of_what_is_due_also_while_redis_is_away(
    home: Path, database: Database, own_redis: RedisServer, tmp_path: Path
) -> None:
    add_schedule(database, "nightly", sweep(), read_cron("@hourly", "UTC"), grace_seconds=3600.0)

    def due() -> None:
        with database.write() as connection:
            found = schedule_by_name(connection, "nightly")
            change_schedule(connection, found.id, next_due_at=seconds_now(connection) - 1)

    with running_beat(tmp_path, database.url, own_redis.url) as beat:
        due()
        beat.wait_for(": batch 1")
        wait_until(lambda: rings(own_redis.url, "any.1") == 3, "its jobs are rung for")
        with database.read() as connection:
            assert [each.pid for each in live_beats(connection)] == [beat.process.pid]
        psutil.Process(own_redis.pid).kill()
        beat.wait_for("does not answer")
        due()
        beat.wait_for("overlapped (batch 1 had not ended)")
        beat.process.terminate()
        assert beat.process.wait(timeout=20) == 0
    with database.read() as connection:
        assert live_beats(connection) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_beat_ends_soon_and_quietly(
    home: Path, sqlite_url: str, broker_url: str, tmp_path: Path, number: signal.Signals
) -> None:
    with running_beat(tmp_path, sqlite_url, broker_url) as beat:
        began = time.monotonic()
        beat.process.send_signal(number)
        assert beat.process.wait(timeout=20) == 0
        assert time.monotonic() - began < 5
        assert beat.said.endswith("INFO beat ends\n")
        assert len(beat.said.splitlines()) == 2


def test_told_to_stop_while_code_from_a_string_runs_it_ends_as_ever() -> None:
    code = """
import os, signal
from cli.services import _end
signal.signal(signal.SIGTERM, _end)
try:
    exec("os.kill(os.getpid(), signal.SIGTERM); [None for _ in range(10_000)]")
except SystemExit:
    print("ended")
"""
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "ended\n")


def test_beat_ends_soon_though_redis_is_frozen(
    home: Path, sqlite_url: str, own_redis: RedisServer, tmp_path: Path
) -> None:
    database = Database(sqlite_url)
    add_jobs(database)
    database.dispose()
    with running_beat(tmp_path, sqlite_url, own_redis.url) as beat:
        wait_until(lambda: rings(own_redis.url) == 1, "beat ticks")
        with frozen(own_redis):
            beat.wait_for("does not answer")
            began = time.monotonic()
            beat.process.terminate()
            assert beat.process.wait(timeout=20) == 0
            assert time.monotonic() - began < 8
            assert "Traceback" not in beat.said


def test_beat_outlives_a_redis_that_is_killed_and_says_so_once(
    home: Path, sqlite_url: str, own_redis: RedisServer, tmp_path: Path
) -> None:
    database = Database(sqlite_url)
    add_jobs(database)
    with running_beat(tmp_path, sqlite_url, own_redis.url) as beat:
        wait_until(lambda: rings(own_redis.url) == 1, "beat ticks")
        os.kill(own_redis.pid, signal.SIGKILL)
        beat.wait_for("does not answer (Connection refused); trying again every 0.1 s")
        with redis_on(own_redis.port, tmp_path):
            wait_until(lambda: rings(own_redis.url) == 1, "the new Redis is rung")
            beat.wait_for("Database and Redis answer again")
            assert beat.said.count("Connection refused") == 1
            assert "Traceback" not in beat.said
    database.dispose()


def test_beat_outlives_a_database_that_goes_away(
    home: Path, postgresql_server: PostgreSQLServer, postgresql_url: str, broker_url: str, tmp_path: Path
) -> None:
    name = postgresql_url.partition("?")[0].rpartition("/")[2]
    database = Database(postgresql_url)
    with running_beat(tmp_path, postgresql_url, broker_url) as beat:
        postgresql_server.execute("ALTER DATABASE {name} ALLOW_CONNECTIONS false", name=name)
        postgresql_server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'benchbeat\\_%'"
        )
        beat.wait_for("can't be used")
        postgresql_server.execute("ALTER DATABASE {name} ALLOW_CONNECTIONS true", name=name)
        beat.wait_for("Database and Redis answer again")
        add_jobs(database)
        wait_until(lambda: rings(broker_url) == 1, "a job is rung for")
        assert "Traceback" not in beat.said
    database.dispose()


def test_beat_refuses_to_start_without_redis(home: Path, sqlite_url: str, tmp_path: Path) -> None:
    done = run_command("beat", BENCHBEAT_DATABASE_URL=sqlite_url, BENCHBEAT_BROKER_URL="redis://:sesame@127.0.0.1:1/0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "Error: Redis at redis://127.0.0.1:1/0 can't be reached (Connection refused). "
        "Start one with `redis-server`, or unset BENCHBEAT_BROKER_URL to use the embedded one.\n"
    )


def test_a_tick_that_fails_for_a_reason_of_its_own_is_logged_and_beat_goes_on(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr("scheduler.beat.reconcile", fail)
    nowhere, settings = "redis://127.0.0.1:1/0", Settings(home=tmp_path, tick_seconds=7)
    database = Database(sqlite_url)
    scheduler = TickingScheduler(
        make_app(nowhere), database=database, bell=Bell(nowhere), settings=settings, beat_id="one"
    )
    assert scheduler.tick() == 7
    assert "a tick failed" in caplog.text


def test_beat_ends_wherever_the_signal_finds_it(home: Path, database: Database, own_redis: RedisServer) -> None:
    settings = {"BENCHBEAT_DATABASE_URL": database.url, "BENCHBEAT_TICK_SECONDS": TICK_SECONDS}
    done = subprocess.run(
        [sys.executable, "-c", STOPPED_IN_A_DESTRUCTOR, own_redis.url],
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "Exception ignored in" in done.stderr, "the test tests nothing otherwise"
