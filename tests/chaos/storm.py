"""Faults at random over many jobs, ours and the naive worker's; the seed gives the faults and their order."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import psutil
from redis import Redis
from redis.exceptions import RedisError

from bench.errors import UnavailableError
from scheduler.broker import ensure_embedded, find_embedded, stop_embedded
from tests.chaos import faults, naive
from tests.chaos.counting import Counts, executions, overlapping, recomputed
from tests.chaos.faults import FAULTS
from tests.chaos.site import DRAIN_SECONDS, Site, site
from tests.commands import ROOT
from tests.services import stop_process
from tests.waiting import wait_until

_WORKERS = 2
#: a storm goes on after so long even where no job ended
_LULL_SECONDS = 3.0


def storm(folder: Path, url: str, away: Callable[[], Any], *, seed: int, jobs: int, strikes: int) -> Counts:
    """Run jobs while faults strike. Returns what became of them."""
    dice = Random(seed)
    drawn = [dice.choice(sorted(FAULTS)) for _ in range(strikes)]
    with site(folder, url, away) as it:
        it.keep(_WORKERS)
        parts = [jobs // 3, jobs // 3, jobs - 2 * (jobs // 3)]
        it.submit(parts[0])
        for number, name in enumerate(drawn):
            if number in (strikes // 3, 2 * strikes // 3):
                it.submit(parts[1 if number == strikes // 3 else 2])
            _wait_for_progress(it)
            with suppress(UnavailableError):
                FAULTS[name](it, dice)
            it.faults += 1
        it.keep(max(it.wanted, 1))
        it.drain()
        return it.counts()


def _wait_for_progress(it: Site) -> None:
    """Wait until another job has ended, so that faults strike while something is done."""
    before = it.ended()
    deadline = time.monotonic() + _LULL_SECONDS

    def moved() -> bool:
        it.tend()
        now = it.ended()
        return now > before or now == len(it.accepted) or time.monotonic() > deadline

    wait_until(moved, "another job has ended", DRAIN_SECONDS)


class NaiveSite:
    """As much of a site as the naive worker's faults need."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.results = folder / "results"
        for each in (self.home, self.results):
            each.mkdir(parents=True)
        self.folder = folder
        self.broker = ensure_embedded(self.home)
        self.workers: list[subprocess.Popen[bytes]] = []
        self.wanted = 0
        self.accepted: list[int] = []

    def tend(self) -> None:
        """Start again what ended."""
        self.workers = [each for each in self.workers if each.poll() is None]
        while len(self.workers) < self.wanted:
            arguments = [str(self.home), self.broker, str(self.results)]
            with (self.folder / "worker.log").open("ab") as log:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "tests.chaos.naive", *arguments],
                    env=os.environ | {"PYTHONPATH": str(ROOT)},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.folder,
                    start_new_session=True,
                )
            self.workers.append(process)
        if find_embedded(self.home) is None:
            with suppress(UnavailableError):
                ensure_embedded(self.home)

    def keep(self, workers: int) -> None:
        """Have so many workers run."""
        self.wanted = workers
        self.tend()

    def redis(self) -> "Redis":
        """Return a client of the broker."""
        return Redis.from_url(self.broker, decode_responses=True, socket_timeout=5)

    def redis_process(self) -> psutil.Process | None:
        """Return the server's process."""
        found = find_embedded(self.home)
        return psutil.Process(found.pid) if found is not None else None

    def session_of(self, process: "subprocess.Popen[bytes]") -> psutil.Process | None:
        """The worker is its own session."""
        with suppress(psutil.Error):
            return psutil.Process(process.pid)
        return None

    def stored(self) -> Counter[int]:
        """Return how many results each job has."""
        return Counter(int(each.name.partition(".")[0]) for each in self.results.iterdir())

    def close(self) -> None:
        """Stop everything."""
        self.wanted = 0
        for process in self.workers:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGCONT)
            stop_process(process, signal.SIGKILL)
        stop_embedded(self.home)


def _naive_message(site: NaiveSite, dice: Random) -> None:
    job = dice.choice(site.accepted)
    with suppress(Exception):  # as any other client, it may find Redis away
        naive.send(site.broker, [job] * 8)


#: the same faults, as far as there is something for them to strike
_NAIVE: dict[str, Callable[[Any, Random], None]] = FAULTS | {
    "kill it at a point": faults.kill_worker,
    "a message eight times": _naive_message,
    "database away": lambda site, dice: None,
    "cancel": lambda site, dice: None,
    "crash loop": lambda site, dice: None,
}


def naive_storm(folder: Path, *, seed: int, jobs: int, strikes: int) -> Counts:
    """Strike a naive worker with the faults of the same seed."""
    dice = Random(seed)
    drawn = [dice.choice(sorted(FAULTS)) for _ in range(strikes)]
    started = time.monotonic()
    it = NaiveSite(folder)
    try:
        it.keep(_WORKERS)
        it.accepted = list(range(1, jobs + 1))
        naive.send(it.broker, it.accepted)
        for name in drawn:
            _until_it_moves(it)
            with suppress(RedisError):
                _NAIVE[name](it, dice)
        it.keep(max(it.wanted, 1))
        _drain(it)
        found, stored = executions(it.home), it.stored()
        return Counts(
            jobs=jobs,
            faults=strikes,
            lost=sum(not stored[job] for job in it.accepted),
            doubled=sum(number - 1 for number in stored.values()),
            recomputed=recomputed(found),
            overlapping=overlapping(found),
            seconds=time.monotonic() - started,
        )
    finally:
        it.close()


def _until_it_moves(it: NaiveSite) -> None:
    before, deadline = len(it.stored()), time.monotonic() + _LULL_SECONDS

    def moved() -> bool:
        it.tend()
        now = len(it.stored())
        return now > before or now == len(it.accepted) or time.monotonic() > deadline

    wait_until(moved, "another job has ended", DRAIN_SECONDS)


def _drain(it: NaiveSite) -> None:
    """Wait until all are stored, or nothing has moved for several times the visibility timeout."""
    last, quiet_since = -1, time.monotonic()

    def ended() -> bool:
        nonlocal last, quiet_since
        it.tend()
        now = len(executions(it.home))
        if now != last:
            last, quiet_since = now, time.monotonic()
        return time.monotonic() - quiet_since > 4 * naive.VISIBILITY_SECONDS

    wait_until(ended, "nothing moves any more", DRAIN_SECONDS)
