"""Named faults, one at a time, each at a moment at which it hurts. What must hold afterwards is checked in each."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import NamedTuple

from tests.chaos import faults
from tests.chaos.session import LET_GO, Behaviour
from tests.chaos.site import DRAIN_SECONDS, LEASE_SECONDS, Site
from tests.chaos.submitter import AXES
from tests.chaos.worker import CANCEL_LATE, FULL_DISK, arm
from tests.waiting import wait_until

#: longest time in which a submission succeeds or fails, whatever Redis does
SUBMIT_SECONDS = 10.0


class Scenario(NamedTuple):
    """A fault with its name."""

    name: str
    strike: Callable[[Site], None]
    #: the databases that it is about; all where empty
    only: tuple[str, ...] = ()


def _one_worker(it: Site, jobs: int = 4) -> list[int]:
    it.keep(1)
    return it.submit(jobs)


def _killed_at(point: str) -> Callable[[Site], None]:
    def strike(it: Site) -> None:
        arm(it.home, point)
        it.keep(1)
        first = it.workers[0]
        it.submit(4)
        wait_until(lambda: first.poll() is not None, f"the worker was killed at {point}", DRAIN_SECONDS)
        assert first.returncode == -signal.SIGKILL
        it.drain()
        if point in ("spool", "commit"):
            assert all(it.executed(job) == 1 for job in it.accepted), "computed again although it was spooled"

    return strike


def _killed_mid_run(it: Site) -> None:
    _one_worker(it)
    os.kill(it.working().pid, signal.SIGKILL)
    it.drain()


def _killed_session(it: Site) -> None:
    _one_worker(it)

    def killed() -> bool:
        session = it.session_of(it.working())
        if session is not None:
            session.kill()
        return session is not None

    wait_until(killed, "a session is killed", DRAIN_SECONDS)
    it.drain()


def _misbehaves(how: Behaviour, **axes: float) -> Callable[[Site], None]:
    def strike(it: Site) -> None:
        it.environment["BENCHBEAT_MAX_ATTEMPTS"] = "1"
        it.keep(1)
        [bad] = it.submit(0, how, **axes)
        good = it.submit(2)
        it.drain()
        assert it.row(bad).state == "failed"
        assert all(it.row(each).state == "done" for each in good)

    return strike


def _crash_loop(it: Site) -> None:
    it.keep(1)
    [bad] = it.submit(0, Behaviour.CRASH)
    it.submit(3)
    it.drain()
    row = it.row(bad)
    assert (row.state, row.attempt, row.failures) == ("failed", 3, 3)
    assert it.stderr_of(bad) == ["the driver is gone"] * 3


def _suspended(it: Site) -> None:
    it.keep(2)
    it.submit(8)
    worker = it.working()
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        faults.pause(LEASE_SECONDS * 2)
    finally:
        os.kill(worker.pid, signal.SIGCONT)
    it.drain()


def _told_to_stop(*numbers: signal.Signals) -> Callable[[Site], None]:
    def strike(it: Site) -> None:
        _one_worker(it, 6)
        worker = it.working()
        for number in numbers:
            with suppress(ProcessLookupError):
                os.kill(worker.pid, number)
            faults.pause(0.05)
        wait_until(lambda: worker.poll() is not None, "it has ended", 30)
        it.drain()
        assert all(it.row(each).state == "done" for each in it.accepted)

    return strike


def _redis(fault: faults.Fault) -> Callable[[Site], None]:
    def strike(it: Site) -> None:
        _one_worker(it, 12)
        it.working()
        fault(it, Random(1))
        it.submit(2)
        it.drain()

    return strike


def _frozen_redis(it: Site) -> None:
    _one_worker(it, 12)
    it.working()
    server = it.redis_process()
    assert server is not None
    server.suspend()
    try:
        began = time.monotonic()
        done = _submit_by_command(it, "while-frozen")
        assert time.monotonic() - began < SUBMIT_SECONDS
        assert done.returncode == 2, done.stderr
        faults.pause(6)
    finally:
        server.resume()
    it.drain()


def _submit_by_command(it: Site, key: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-P", "-m", "cli.main", "submit", *AXES, "--key", key],
        env=it.environment,
        cwd=it.folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


def _eight_messages_to_eight_workers(it: Site) -> None:
    it.keep(8)
    wait_until(lambda: len(it.registered()) == 8, "eight workers are there", DRAIN_SECONDS)
    jobs = it.submit(4)
    for job in jobs:
        it.redis().lpush("any.1", *[faults.message(f"[[{job}], {{}}, {{}}]".encode()) for _ in range(8)])
    it.drain()
    assert all(it.executed(job) == 1 for job in jobs)


def _poison(it: Site) -> None:
    _one_worker(it)
    for each in faults.POISON.values():
        it.redis().lpush("any.1", each)
    it.submit(2)
    it.drain()
    assert all(it.row(each).state == "done" for each in it.accepted)


def _one_held(it: Site) -> None:
    """Have a job measure until it is let go, with others behind it: whatever is struck now is struck at its finish."""
    it.keep(1)
    it.submit(3, Behaviour.HELD)
    wait_until(it.has_begun, "the job measures", DRAIN_SECONDS)


def _let_go(it: Site) -> None:
    (it.home / LET_GO).touch()
    wait_until(it.spooled, "a result waits in the spool", 30)


def _drained_without_computing_again(it: Site) -> None:
    it.drain()
    assert all(it.executed(job) == 1 for job in it.accepted), "computed again although it was spooled"


def _database_away(it: Site) -> None:
    _one_held(it)
    with it.away():
        _let_go(it)
        faults.pause(LEASE_SECONDS)
    _drained_without_computing_again(it)


def _database_away_and_worker_killed(it: Site) -> None:
    _one_held(it)
    worker = it.workers[0]
    with it.away():
        _let_go(it)
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
    _drained_without_computing_again(it)


def _read_only(it: Site) -> None:
    _one_held(it)
    with it.read_only():
        _let_go(it)
        wait_until(lambda: "read-only transaction" in it.log, "the database refused to be written", 30)
    _drained_without_computing_again(it)


def _full_disk(it: Site) -> None:
    (it.home / FULL_DISK).touch()
    _one_worker(it)
    wait_until(it.spooled, "a result waits in the spool", DRAIN_SECONDS)
    wait_until(lambda: "the disk's space; trying again" in it.log, "a tick can't be written either", DRAIN_SECONDS)
    (it.home / FULL_DISK).unlink()
    it.drain()


def _submitter_killed(it: Site) -> None:
    it.keep(1)
    killed = it.spawn("tests.chaos.submitter", "the key")
    killed.wait(60)
    assert killed.returncode == -signal.SIGKILL
    again = _submit_by_command(it, "the key")
    assert again.returncode == 0, again.stderr
    assert "batch 1: queued before with this key" in again.stdout
    it.accepted += it.jobs_of(1)
    it.drain()


def _cancelled(it: Site) -> None:
    it.keep(1)
    jobs = it.submit(12)
    it.cancel(jobs[-1])  # queued
    worker = it.working()
    running = [row.id for row in it.rows() if row.state == "running"]
    it.cancel(*running)
    (it.home / CANCEL_LATE).touch()  # finishing
    wait_until(lambda: it.ended() > len(running) + 2, "a job was cancelled while it finished", DRAIN_SECONDS)
    (it.home / CANCEL_LATE).unlink()
    it.drain()
    assert it.row(jobs[-1]).state == "cancelled"
    assert worker.poll() is None


_TERM, _INT, _QUIT = signal.SIGTERM, signal.SIGINT, signal.SIGQUIT

SCENARIOS = (
    Scenario("worker killed as it takes a ring", _killed_at("pop")),
    Scenario("worker killed after the claim", _killed_at("claim")),
    Scenario("worker killed mid-run", _killed_mid_run),
    Scenario("worker killed after the spool", _killed_at("spool")),
    Scenario("worker killed after the commit", _killed_at("commit")),
    Scenario("session killed", _killed_session),
    Scenario("session takes all memory", _misbehaves(Behaviour.OUT_OF_MEMORY)),
    Scenario("session ignores TERM", _misbehaves(Behaviour.STUBBORN, job_seconds=1.0)),
    Scenario("session holds the GIL", _misbehaves(Behaviour.FROZEN, job_seconds=1.0)),
    Scenario("job crashes every time", _crash_loop),
    Scenario("worker suspended past its lease", _suspended),
    Scenario("TERM", _told_to_stop(_TERM)),
    Scenario("TERM twice", _told_to_stop(_TERM, _TERM)),
    Scenario("INT twice", _told_to_stop(_INT, _INT)),
    Scenario("QUIT", _told_to_stop(_QUIT)),
    Scenario("QUIT twice", _told_to_stop(_QUIT, _QUIT)),
    Scenario("Redis killed", _redis(faults.kill_redis)),
    Scenario("Redis frozen", _frozen_redis),
    Scenario("FLUSHALL", _redis(faults.flush_redis)),
    Scenario("CLIENT KILL", _redis(faults.kill_clients)),
    Scenario("Redis full", _redis(faults.fill_redis)),
    Scenario("a message x 8 to 8 workers", _eight_messages_to_eight_workers),
    Scenario("garbage, pickle, unknown task", _poison),
    Scenario("database away at the finish", _database_away),
    Scenario("the same, and the worker killed", _database_away_and_worker_killed),
    Scenario("database read-only at the finish", _read_only, ("postgresql",)),
    Scenario("disk full at the finish", _full_disk, ("sqlite",)),
    Scenario("submitter killed before it rings", _submitter_killed),
    Scenario("cancelled queued, running, finishing", _cancelled),
)
