"""Energy: what a device has used, by counters that are read without root. Needs no torch.

`rapl` reads the processor's counters of the Linux kernel, `nvml` the GPU's own, `apple` those of an Apple chip through
zeus-apple-silicon. All three have been tested with stand-ins only; none has been seen on hardware yet. Counters are
read between timed spans, never inside of one.
"""

import importlib
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

log = logging.getLogger("benchbeat.session")

#: where the Linux kernel shows the counters of energy
POWERCAP = Path("/sys/class/powercap")

#: no package, and no memory of one, takes more: the time in which a counter may go round twice follows from it
_MOST_PACKAGE_WATTS = 1000.0
_MOST_MEMORY_WATTS = 250.0


class Counter(Protocol):
    """A counter of energy that only grows."""

    #: `rapl`, `nvml` or `apple`
    source: str

    def joules(self) -> float:
        """Return the energy used since some fixed moment. Raises whatever goes wrong."""


class Meter:
    """Reads a counter during one job; where that fails, the job has no figure of energy, and goes on."""

    def __init__(self, find: Callable[[], Counter | None] = lambda: None) -> None:
        self._counter: Counter | None = None
        self._source = ""
        try:
            self._counter = find()
            self._source = self._counter.source if self._counter else ""
        except ImportError as error:
            log.debug("energy is not measured: %s", error)
        except Exception as error:  # noqa: BLE001  (libraries of drivers raise what they like)
            log.info("energy is not measured: %s", error)

    def read(self) -> float | None:
        """Return the joules used since some fixed moment; None where they are not known."""
        if self._counter is None:
            return None
        try:
            return self._counter.joules()
        except Exception as error:  # noqa: BLE001
            log.info("energy is not measured any longer: %s", error)
            self._counter = None
            return None

    def figures(self, began_joules: float | None, ended_joules: float | None, tokens: int) -> dict[str, float | str]:
        """Return the figures of energy between two readings, in which so many tokens were generated.

        There are none where the energy is not known, or too little to be counted.
        """
        if began_joules is None or ended_joules is None or ended_joules <= began_joules:
            return {}
        joules = ended_joules - began_joules
        per_token = {"energy_joules_per_token": joules / tokens} if tokens else {}
        return {"energy_joules": joules, "energy_source": self._source, **per_token}


class Rapl:
    """The counters of the processor's packages and, where they are counted apart, of their memory."""

    source = "rapl"

    def __init__(self, zones: Mapping[Path, float], clock: Callable[[], float] = time.monotonic) -> None:
        """Take the counters' folders, each with the watts that it may count. Raises OSError where one can't be read."""
        self._clock = clock
        self._most_watts = zones
        self._ranges = {zone: _number(zone / "max_energy_range_uj") for zone in zones}
        self._read()
        self._last: tuple[float, dict[Path, int]] | None = None
        self._microjoules = 0

    def joules(self) -> float:
        """Return the energy used since the first call. Raises OSError, and ValueError for too long a pause."""
        now = self._clock(), self._read()
        if self._last is not None:
            self._add(*self._last, *now)
        self._last = now
        return self._microjoules / 1e6

    def _add(self, then: float, before: Mapping[Path, int], now: float, after: Mapping[Path, int]) -> None:
        for zone, size in self._ranges.items():
            if (now - then) * self._most_watts[zone] * 1e6 >= size:
                raise ValueError(f"the counter {zone.name} may have gone round twice in {now - then:.0f} s")
            # A counter that has gone round begins at 0 again.
            self._microjoules += (after[zone] - before[zone]) % (size + 1)

    def _read(self) -> dict[Path, int]:
        return {zone: _number(zone / "energy_uj") for zone in self._ranges}


class Nvml:
    """The counter of an NVIDIA GPU, Volta or newer, of the whole board."""

    source = "nvml"

    def __init__(self, library: Any, uuid: str) -> None:
        self._library = library
        library.nvmlInit()
        self._handle = library.nvmlDeviceGetHandleByUUID(uuid)
        self.joules()

    def joules(self) -> float:
        """Return the energy used since the driver was loaded. Raises NVMLError where the GPU has no counter."""
        return float(self._library.nvmlDeviceGetTotalEnergyConsumption(self._handle)) / 1e3


class Apple:
    """The counters of an Apple chip: CPU, GPU, neural engine and memory, as the system estimates them."""

    source = "apple"
    #: taken as parts of a whole; memory and SRAM are not counted on every chip
    _PARTS = ("cpu_total_mj", "gpu_mj", "gpu_sram_mj", "ane_mj", "dram_mj")

    def __init__(self, library: Any) -> None:
        self._monitor = library.AppleEnergyMonitor()
        self.joules()

    def joules(self) -> float:
        """Return the energy used since the monitor's beginning. Raises ValueError where CPU or GPU is not counted."""
        found = self._monitor.get_cumulative_energy()
        parts = {name: getattr(found, name, None) for name in self._PARTS}
        for name in ("cpu_total_mj", "gpu_mj"):
            if parts[name] is None:
                raise ValueError(f"this chip has no {name}")
        return sum(float(part) for part in parts.values() if part is not None) / 1e3


def rapl(root: Path = POWERCAP) -> Counter | None:
    """Return the processor's counters, or None for a machine without. Raises OSError where they may not be read."""
    # intel-rapl-mmio shows the same package once more, and psys more than the processor.
    names = {zone: _name(zone) for zone in sorted(root.glob("intel-rapl:*"))}
    packages = {zone: _MOST_PACKAGE_WATTS for zone, name in names.items() if name.startswith("package")}
    memory = {zone: _MOST_MEMORY_WATTS for zone, name in names.items() if name == "dram"}
    return Rapl(packages | memory) if packages else None


def nvml(uuid: str) -> Counter:
    """Return the counter of a GPU. Raises ImportError without nvidia-ml-py, and NVMLError."""
    return Nvml(importlib.import_module("pynvml"), uuid)


def apple() -> Counter:
    """Return the counters of this Apple chip. Raises ImportError without zeus-apple-silicon, and RuntimeError."""
    return Apple(importlib.import_module("zeus_apple_silicon"))


def _name(zone: Path) -> str:
    return (zone / "name").read_text(encoding="ascii").strip()


def _number(file: Path) -> int:
    return int(file.read_text(encoding="ascii"))
