"""The witness: what its thread takes of a core while a job runs, on a quiet machine and beside others at work."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from bench.disturbances import Limits
from tests.performance.results import AtMost, Result
from tests.performance.world import World
from worker.readings import readings_of_this_machine
from worker.witness import Witness

GOAL_PERCENT = 0.5


def witness_rows(world: World) -> Iterator[Result]:
    """Watch a process that works: with no limit for others, and beside as many hogs as there are processors.

    The second looks at every process as often as it ever does, to name the greediest.
    """
    sizes = world.sizes
    with _at_work(1) as (ours,), _at_work(os.cpu_count() or 1):
        for limits, what in (
            (Limits(max_others_cpu=1), "the witness, nobody else busy"),
            (Limits(), "the witness beside hogs"),
        ):
            yield Result(
                row="witness",
                what=what,
                unit="% of a core",
                ours=tuple(_percent(ours, limits, sizes.watched_seconds) for _ in range(sizes.watches)),
                goal=AtMost(GOAL_PERCENT),
                note=f"{len(psutil.pids())} processes",
            )


@contextmanager
def _at_work(count: int) -> Iterator[list[int]]:
    """Run processes that use a processor each, as far as there is one."""
    started = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield [each.pid for each in started]
    finally:
        for each in started:
            each.kill()
            each.wait()


def _percent(ours: int, limits: Limits, seconds: float) -> float:
    """Return processor time by wall time, from the begin of a span to its end, of whatever thread it was taken in."""
    witness = Witness(readings_of_this_machine(root_pid=ours), limits)
    with witness.watching():
        witness.begin()
        began = time.monotonic()
        time.sleep(seconds)
        seen = witness.end()
        passed = time.monotonic() - began
    witness.close()
    assert seen is not None
    assert seen.witness_cpu_seconds is not None
    return 100 * seen.witness_cpu_seconds / passed
