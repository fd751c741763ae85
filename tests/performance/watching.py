"""The live screen: what `benchbeat watch` takes of a core beside a long queue, in a terminal of its own."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from bench.library import builtin_library
from bench.sweep import read_sweep
from db.claims import claim
from db.engine import Database
from db.jobs import extend_lease
from db.workers import mark_seen
from scheduler.submit import submit
from tests.performance.idling import percents_of_a_core
from tests.performance.results import AtMost, Result
from tests.performance.sessions import registered
from tests.performance.submitting import write_sweep
from tests.performance.world import DatabaseKind, World
from tests.waiting import wait_until
from worker.protocol import Progress

GOAL_PERCENT = 2.0

_LINES, _COLUMNS = 50, 160
_LEASE_SECONDS = 600.0
#: what a worker stores at most so often
_PROGRESS_SECONDS = 1.0
_START_SECONDS = 60.0
#: the first looks, the estimates and what Python compiles by the way
_SETTLE_SECONDS = 5.0


def watch_rows(world: World, kind: DatabaseKind) -> Iterator[Result]:
    """Processor time by wall time of the whole process, which looks once a second."""
    url = world.new_database(kind)
    database = Database(url)
    submit(database, read_sweep(write_sweep(world, world.sizes.seeds), builtin_library()))
    jobs = world.sizes.seeds * 40
    claimant = registered(world.probe, database)
    job = claim(database, claimant, lease_seconds=_LEASE_SECONDS)
    assert job is not None

    def tell(done: int) -> None:
        progress = Progress(phase="measuring", done=done % 30, total=30, median_seconds=0.5 + done % 7 / 100)
        extend_lease(database, job.id, job.attempt, _LEASE_SECONDS, progress.model_dump_json(exclude={"event"}))
        mark_seen(database, claimant.worker_id, job_id=job.id, loaded=None)

    seconds = world.sizes.watched_seconds / world.sizes.watches
    what = f"`benchbeat watch` beside {jobs:,} queued jobs"
    for said, working in ((what, None), ("the same, a job tells of its progress every second", tell)):
        with _at_work(working), _shown(world, url) as pid:
            yield Result(
                row=f"watch-{kind}",
                what=said,
                unit="% of a core",
                ours=tuple(percents_of_a_core([pid], seconds)[0] for _ in range(world.sizes.watches)),
                goal=AtMost(GOAL_PERCENT),
            )
    database.dispose()


@contextmanager
def _at_work(tell: Callable[[int], None] | None) -> Iterator[None]:
    """Let a job tell of its progress, as a worker does."""
    ended = Event()

    def work() -> None:
        told = 0
        while tell is not None and not ended.wait(_PROGRESS_SECONDS):
            tell(told := told + 1)

    thread = Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def _shown(world: World, url: str) -> Iterator[int]:
    """Show the screen in a terminal that is read, and end it; gives its process' id."""
    own, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", _LINES, _COLUMNS, 0, 0))
    settings = {"BENCHBEAT_DATABASE_URL": url, "BENCHBEAT_BROKER_URL": world.redis.url, "TERM": "xterm-256color"}
    environment = {name: value for name, value in world.environment.items() if name not in ("COLUMNS", "LINES")}
    command = world.command(world.new_home(), "watch")
    written = bytearray()
    process = subprocess.Popen(
        command, cwd=world.folder, env={**environment, **settings}, stdin=other, stdout=other, stderr=other
    )
    reader = Thread(target=_read, args=[own, written], daemon=True)
    reader.start()
    try:
        wait_until(lambda: b"jobs left" in written or process.poll() is not None, "the screen is there", _START_SECONDS)
        assert process.poll() is None, written.decode(errors="replace")
        time.sleep(min(_SETTLE_SECONDS, world.sizes.watched_seconds))  # no event says that it has settled
        yield process.pid
        os.write(own, b"q")
        process.wait(_START_SECONDS)
    finally:
        process.kill()
        process.wait()
        os.close(other)
        reader.join(_START_SECONDS)
        os.close(own)


def _read(terminal: int, written: bytearray) -> None:
    while True:
        try:
            part = os.read(terminal, 65_536)
        except OSError:  # nobody has it open any more
            return
        written.extend(part)
