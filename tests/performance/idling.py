"""What services cost that have nothing to do: processor time of a worker's main process and of a beat."""

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack

import psutil

from tests.performance.results import AtMost, Result
from tests.performance.serving import Site
from tests.performance.world import World

GOAL_PERCENT = 0.5


def idle_rows(world: World) -> Iterator[Result]:
    """A worker and a beat with the default settings, SQLite and an empty queue, once both have started."""
    world.flush_redis()
    site = Site(world, world.new_home(), world.new_database("sqlite"))
    with ExitStack() as stack:
        beat = stack.enter_context(site.service("beat"))
        worker = stack.enter_context(site.idle_service("worker"))
        # Starting is over with the first tick, for which a window as long as the others is enough.
        pids = (worker.pid, beat.pid)
        readings = [percents_of_a_core(pids, world.sizes.idle_seconds) for _ in range(world.sizes.idle_windows + 1)]
    for place, name in enumerate(("a worker's main process", "a beat")):
        yield Result(
            row="idle",
            what=f"processor time of {name} with nothing to do, {world.sizes.idle_seconds:g} s",
            unit="% of a core",
            ours=tuple(reading[place] for reading in readings[1:]),
            goal=AtMost(GOAL_PERCENT),
        )


def percents_of_a_core(pids: Iterable[int], seconds: float) -> list[float]:
    """Return the share of a core that each process used for so long, in percent."""
    processes = [psutil.Process(each) for each in pids]
    started = time.monotonic()
    before = [_cpu_seconds(each) for each in processes]
    time.sleep(seconds)  # the length of time is what is measured
    passed = time.monotonic() - started
    return [(_cpu_seconds(each) - used) / passed * 100 for each, used in zip(processes, before, strict=True)]


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
