"""Reading a Linux machine: /proc and /sys, no process started, no root.

In a container /proc/stat tells of the host, and so it should: its processors are what is shared. Of these, the ones
count that this process may run on, so that a container or a `taskset` on some of them is disturbed by those alone.
"""

import os
import re
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from bench.surroundings import Gpu, PowerSource, Processors, State
from worker.readings.base import Process, clean_name
from worker.readings.nvidia import NvidiaGpu

#: more than the longest /proc/PID/stat
_STAT_BYTES = 4096
#: pages swapped in and out, in /proc/vmstat
_SWAPPED = re.compile(r"^pswp(?:in|out) (\d+)$", re.MULTILINE)
#: governors that scale by themselves are called `powersave` too where the processor decides (intel_pstate, amd_pstate)
_SELF_GOVERNED = ("intel_pstate", "amd-pstate", "amd-pstate-epp")


class LinuxReadings:
    """Reads /proc and /sys; with the UUID of a GPU also NVIDIA's library, where `nvidia-ml-py` is installed."""

    def __init__(
        self, root_pid: int, *, gpu_uuid: str | None = None, proc: Path = Path("/proc"), sys: Path = Path("/sys")
    ) -> None:
        self._root_pid = root_pid
        self._proc = proc
        self._sys = sys
        self._ticks = os.sysconf("SC_CLK_TCK")
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")
        self._allowed = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        #: kernels without CONFIG_PROC_CHILDREN don't
        self._lists_children = (proc / str(root_pid) / "task" / str(root_pid) / "children").exists()
        self._gpu = None if gpu_uuid is None else NvidiaGpu(gpu_uuid)
        self.cores: int | None = len(self._allowed)
        #: NVIDIA's library gives the load of some seconds past
        self.state_seconds = 10.0 if self._gpu is None else 2.0

    def processors(self) -> Processors | None:
        """Return the sums of the processors' time."""
        own = sum((stat.seconds for stat in self._own().values()), 0.0)
        try:
            text = (self._proc / "stat").read_text(encoding="ascii")
        except OSError:
            return None
        busy = stolen = 0
        for line in text.splitlines():
            name, _, rest = line.partition(" ")
            if not name.startswith("cpu"):
                break
            if name in self._allowed:
                user, nice, system, _, _, irq, softirq, steal, *_ = map(int, rest.split())  # a guest's is in user's
                busy += user + nice + system + irq + softirq + steal
                stolen += steal
        return Processors(time.monotonic(), busy / self._ticks, stolen / self._ticks, own)

    def state(self) -> State:
        """Return everything else."""
        slept, wall = _clocks()
        return State(
            at=time.monotonic(),
            gpu=Gpu() if self._gpu is None else self._gpu.read(self._own()),
            throttled_seconds=self._throttled_seconds(),
            memory_stalled_seconds=self._memory_stalled_seconds(),
            swapped_bytes=self._swapped_bytes(),
            power_source=self._power_source(),
            low_power=self._low_power(),
            slept_seconds=slept,
            wall_offset_seconds=wall,
        )

    def processes(self) -> Mapping[int, Process]:
        """Return the processes that are none of ours."""
        own = self._own()
        found = {}
        for pid in self._pids():
            if pid not in own and (stat := self._stat(pid)) is not None:
                found[pid] = Process(stat.started, clean_name(stat.name), stat.own_seconds)
        return found

    def _own(self) -> "dict[int, _Stat]":
        """Return our processes: the root and whatever descends from it."""
        children = self._listed_children if self._lists_children else self._children_by_parent().__getitem__
        found: dict[int, _Stat] = {}
        waiting = [self._root_pid]
        while waiting:
            pid = waiting.pop()
            stat = self._stat(pid)
            if stat is not None and pid not in found:
                found[pid] = stat
                waiting += children(pid)
        return found

    def _listed_children(self, pid: int) -> list[int]:
        found: list[int] = []
        with suppress(OSError):
            for thread in os.listdir(f"{self._proc}/{pid}/task"):
                # One that ends while it is looked at takes no other out of sight.
                with suppress(OSError), open(f"{self._proc}/{pid}/task/{thread}/children", "rb", buffering=0) as file:
                    found += map(int, file.read().split())
        return found

    def _children_by_parent(self) -> dict[int, list[int]]:
        """Return all processes by their parents: for a kernel that lists no children."""
        found: dict[int, list[int]] = defaultdict(list)
        for pid in self._pids():
            if (stat := self._stat(pid)) is not None:
                found[stat.parent].append(pid)
        return found

    def _pids(self) -> list[int]:
        try:
            return [int(name) for name in os.listdir(self._proc) if name.isdigit()]
        except OSError:
            return []

    def _stat(self, pid: int) -> "_Stat | None":
        try:  # the way that takes least: a machine may have a thousand processes
            file = os.open(f"{self._proc}/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
            try:
                text = os.read(file, _STAT_BYTES).decode("utf-8", "replace")
            finally:
                os.close(file)
        except OSError:  # it has ended
            return None
        # A program's name may hold blanks and brackets.
        head, _, rest = text.rpartition(")")
        fields = rest.split()
        times = [int(each) / self._ticks for each in fields[11:15]]
        name, parent, started = head.partition("(")[2], int(fields[1]), int(fields[19]) / self._ticks
        return _Stat(name, parent, started, times[0] + times[1], sum(times))

    @cached_property
    def _throttle_files(self) -> list[Path]:
        folders = [self._sys / f"devices/system/cpu/{cpu}/thermal_throttle" for cpu in self._allowed]
        files = [each / f"{kind}_throttle_total_time_ms" for each in folders for kind in ("core", "package")]
        return [file for file in files if file.exists()]

    def _throttled_seconds(self) -> float | None:
        """Return how long heat held down the processor that it held down longest (Intel)."""
        sums = [_number(file) for file in self._throttle_files]
        known = [each for each in sums if each is not None]
        return max(known) / 1000 if known else None

    def _memory_stalled_seconds(self) -> float | None:
        # "some avg10=0.00 avg60=0.00 avg300=0.00 total=1234", in microseconds
        first = (_read(self._proc / "pressure/memory") or "").partition("\n")[0]
        total = first.rpartition("total=")[2]
        return int(total) / 1e6 if first.startswith("some") and total.isdigit() else None

    def _swapped_bytes(self) -> int | None:
        pages = _SWAPPED.findall(_read(self._proc / "vmstat") or "")
        return sum(map(int, pages)) * self._page_bytes if pages else None

    def _power_source(self) -> PowerSource | None:
        """Return what the machine runs on; a mouse's battery is not the machine's."""
        folder = self._sys / "class/power_supply"
        mains, discharging = [], False
        with suppress(OSError):
            for supply in folder.iterdir():
                kind, scope = _word(supply / "type"), _word(supply / "scope")
                if scope == "Device":
                    continue
                if kind in ("Mains", "USB", "Wireless"):
                    mains.append(_word(supply / "online") == "1")
                elif kind == "Battery":
                    discharging = discharging or _word(supply / "status") == "Discharging"
        if any(mains):
            return "mains"
        if discharging:
            return "battery"
        return None

    def _low_power(self) -> bool | None:
        profile = _word(self._sys / "firmware/acpi/platform_profile")
        cpu = self._sys / "devices/system/cpu/cpu0/cpufreq"
        governor, driver = _word(cpu / "scaling_governor"), _word(cpu / "scaling_driver")
        preference = _word(cpu / "energy_performance_preference")
        if profile is None and governor is None:
            return None
        saves = governor == "powersave" and driver not in _SELF_GOVERNED
        return profile == "low-power" or preference == "power" or saves


class _Stat(NamedTuple):
    """A process's line in /proc."""

    name: str
    parent: int
    #: seconds after the machine's start
    started: float
    own_seconds: float
    #: with the children that it waited for
    seconds: float


def _clocks() -> tuple[float, float]:
    """Return the seconds that the machine slept since its start, and the wall clock's time less that of BOOTTIME.

    All of them are slewed alike by what keeps the time, so that only a step moves the latter.
    """
    with_sleep = time.clock_gettime(time.CLOCK_BOOTTIME)
    return with_sleep - time.clock_gettime(time.CLOCK_MONOTONIC), time.clock_gettime(time.CLOCK_REALTIME) - with_sleep


def _read(file: Path) -> str | None:
    try:
        with open(file, "rb", buffering=0) as opened:  # a file of the kernel's is read at once
            return opened.read().decode("utf-8", "replace")
    except OSError:
        return None


def _word(file: Path) -> str | None:
    text = _read(file)
    return None if text is None else text.strip()


def _number(file: Path) -> int | None:
    text = _word(file)
    return int(text) if text is not None and text.isdigit() else None
