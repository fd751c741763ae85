"""Reading a Mac: psutil for the processors, the system's own commands for the rest, none of which needs root.

Commands cost some 10 ms each, so they are started twice a minute, and around what is timed. Not yet seen on a Mac: the
tests hold it to outputs as these commands print them.
"""

import os
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

import psutil

from bench.surroundings import Gpu, MemoryPressure, PowerSource, Processors, State, Thermal
from worker.facts import output_of
from worker.readings.base import Process, clean_name

#: values of the notification `com.apple.system.thermalpressurelevel` (OSThermalNotification.h)
_THERMAL: tuple[Thermal, ...] = ("nominal", "moderate", "heavy", "trapping", "sleeping")
#: values of kern.memorystatus_vm_pressure_level
_MEMORY_PRESSURE: dict[str, MemoryPressure] = {"1": "normal", "2": "warning", "4": "critical"}
#: pause between two looks for new processes of ours
_TREE_SECONDS = 2.0

#: runs a command and returns what it prints, empty where it fails
Run = Callable[..., str]


class MacReadings:
    """Reads a Mac."""

    state_seconds = 30.0

    def __init__(self, root_pid: int, run: Run = output_of) -> None:
        self._root_pid = root_pid
        self._run = run
        self.cores: int | None = os.cpu_count()
        self._own: dict[int, psutil.Process] = {}
        self._own_seconds: dict[int, float] = {}
        #: time that processes of ours had used when they ended
        self._gone_seconds = 0.0
        self._looked: float | None = None
        self._gpu_before: tuple[float, dict[int, tuple[str, int]]] | None = None

    def processors(self) -> Processors | None:
        """Return the sums of the processors' time."""
        own = self._own_time()
        times = psutil.cpu_times()
        return Processors(time.monotonic(), times.user + times.nice + times.system, 0.0, own)

    def state(self) -> State:
        """Return everything else."""
        asleep, wall = _clocks()
        return State(
            at=time.monotonic(),
            gpu=self._gpu(),
            thermal=thermal(self._run("notifyutil", "-g", "com.apple.system.thermalpressurelevel")),
            memory_pressure=_MEMORY_PRESSURE.get(self._run("sysctl", "-n", "kern.memorystatus_vm_pressure_level")),
            swapped_bytes=swapped_bytes(self._run("vm_stat")),
            power_source=power_source(self._run("pmset", "-g", "batt")),
            low_power=low_power(self._run("pmset", "-g")),
            slept_seconds=asleep,
            wall_offset_seconds=wall,
        )

    def processes(self) -> Mapping[int, Process]:
        """Return the processes that are none of ours."""
        own = self._tree()
        found = processes(self._run("ps", "-A", "-c", "-o", "pid=,time=,comm="))
        return {pid: process for pid, process in found.items() if pid not in own}

    def _tree(self) -> set[int]:
        self._look()
        return set(self._own)

    def _look(self) -> None:
        with suppress(psutil.Error):
            root = psutil.Process(self._root_pid)
            found = {each.pid: each for each in (root, *root.children(recursive=True))}
            self._own = {pid: self._own.get(pid, each) for pid, each in found.items()} | {
                pid: each for pid, each in self._own.items() if pid not in found
            }
        self._looked = time.monotonic()

    def _own_time(self) -> float:
        """Return the time that our processes used, those that have ended too: macOS adds them to no parent."""
        if self._looked is None or time.monotonic() - self._looked >= _TREE_SECONDS:
            self._look()
        for pid, process in list(self._own.items()):
            try:
                times = process.cpu_times()
                self._own_seconds[pid] = times.user + times.system
            except psutil.Error:
                del self._own[pid]
                self._gone_seconds += self._own_seconds.pop(pid, 0.0)
        return self._gone_seconds + sum(self._own_seconds.values())

    def _gpu(self) -> Gpu:
        """Return the share of others in the GPU's time since the last call, by what the driver counts per process."""
        now = time.monotonic()
        clients = gpu_clients(self._run("ioreg", "-r", "-d", "1", "-w", "0", "-c", "AGXDeviceUserClient"))
        before, self._gpu_before = self._gpu_before, (now, clients) if clients else None
        if before is None or not clients or now <= before[0]:
            return Gpu()
        own = self._tree()
        used = {
            pid: max(0, spent - before[1].get(pid, (name, 0))[1])
            for pid, (name, spent) in clients.items()
            if pid not in own
        }
        greediest = max(used, key=used.__getitem__, default=None)
        share = min(1.0, sum(used.values()) / 1e9 / (now - before[0]))
        return Gpu(share, clean_name(clients[greediest][0]) if greediest is not None and used[greediest] else None)


def thermal(printed: str) -> Thermal | None:
    """Read what `notifyutil -g` prints: the notification's name and its value."""
    level = printed.split()[-1:]
    return _THERMAL[int(level[0])] if level and level[0].isdigit() and int(level[0]) < len(_THERMAL) else None


def swapped_bytes(printed: str) -> int | None:
    """Read what `vm_stat` prints: pages swapped in and out since the start, of the size that its head names."""
    size = re.search(r"page size of (\d+) bytes", printed)
    pages = re.findall(r"^Swap(?:ins|outs):\s+(\d+)\.", printed, re.MULTILINE)
    return sum(map(int, pages)) * int(size[1]) if size and len(pages) == 2 else None


def power_source(printed: str) -> PowerSource | None:
    """Read what `pmset -g batt` prints first: "Now drawing from 'AC Power'"; a UPS gives what the mains gave."""
    source = re.match(r"Now drawing from '(\w+) Power'", printed)
    if source is None:
        return None
    return "battery" if source[1] == "Battery" else "mains"


def low_power(printed: str) -> bool | None:
    """Read what `pmset -g` prints: a line "lowpowermode 1", or in newer systems "powermode 1"."""
    mode = re.search(r"^\s*(?:lowpowermode|powermode)\s+(\d)", printed, re.MULTILINE)
    return None if mode is None else mode[1] == "1"


def processes(printed: str) -> dict[int, Process]:
    """Read what `ps -o pid=,time=,comm=` prints: the time is [days-][hours:]minutes:seconds.hundredths."""
    found = {}
    for line in printed.splitlines():
        parts = line.split(None, 2)
        if len(parts) == 3 and parts[0].isdigit() and re.fullmatch(r"(\d+-)?(\d+:)*\d+([.,]\d+)?", parts[1]):
            # The name stands for its start: what has another one is another process.
            found[int(parts[0])] = Process(0.0, clean_name(parts[2]), _seconds(parts[1]))
    return found


def gpu_clients(printed: str) -> dict[int, tuple[str, int]]:
    """Read what `ioreg` prints of the GPU's clients: name and nanoseconds of GPU time of each process.

    A client's keys come sorted, so that its times stand before its creator: each is read as a block.
    """
    found: dict[int, tuple[str, int]] = {}
    for block in printed.split("+-o ")[1:]:
        creator = re.search(r'"IOUserClientCreator" = "pid (\d+), ([^"]*)"', block)
        if creator is not None:
            pid, spent = int(creator[1]), sum(map(int, re.findall(r'"accumulatedGPUTime"=(\d+)', block)))
            found[pid] = (creator[2], found.get(pid, ("", 0))[1] + spent)
    return found


def _seconds(text: str) -> float:
    days, _, rest = text.rpartition("-")
    seconds = 0.0
    for part in rest.replace(",", ".").split(":"):
        seconds = seconds * 60 + float(part)
    return seconds + 86_400 * int(days or 0)


def _clocks() -> tuple[float | None, float | None]:
    """Return the seconds that the machine slept since its start, and the wall clock's time less that of MONOTONIC.

    On macOS MONOTONIC goes on in sleep and is slewed with the wall clock, so that only a step parts them.
    """
    raw, uptime = getattr(time, "CLOCK_MONOTONIC_RAW", None), getattr(time, "CLOCK_UPTIME_RAW", None)
    asleep = None if raw is None or uptime is None else time.clock_gettime(raw) - time.clock_gettime(uptime)
    return asleep, time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
