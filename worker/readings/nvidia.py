"""Reading an NVIDIA GPU through NVML, where `nvidia-ml-py` is installed. Not yet seen on hardware."""

import logging
import os
from collections.abc import Container
from contextlib import suppress
from importlib import import_module
from typing import Any

from bench.surroundings import Gpu
from worker.readings.base import clean_name

log = logging.getLogger("benchbeat.worker")

#: bits of NVML's reasons for a lower clock that are no part of ordinary work (nvml.h, nvmlClocksEventReasons)
_SLOWING = {
    0x08: "hardware slowdown",
    0x20: "heat",
    0x40: "heat",
    0x80: "power brake",
}
#: the kernel's number of the first namespace of process ids (PROC_PID_INIT_INO), which the driver counts in
_FIRST_NAMESPACE = 0xEFFFFFFC


class NvidiaGpu:
    """One GPU, by its UUID as torch writes it. Where the library or the driver is missing it reads nothing."""

    def __init__(self, uuid: str, library: Any = None, *, first_namespace: bool | None = None) -> None:
        self._since = 0
        self._first_namespace = _in_first_namespace() if first_namespace is None else first_namespace
        self._nvml: Any = None
        try:
            nvml = import_module("pynvml") if library is None else library
            nvml.nvmlInit()
            self._handle = nvml.nvmlDeviceGetHandleByUUID(uuid if uuid.startswith(("GPU-", "MIG-")) else "GPU-" + uuid)
            self._nvml = nvml
        except Exception as error:  # noqa: BLE001  (the library has an exception for each of its error codes)
            log.info("the GPU's load is not read (%s)", error)

    def read(self, own: Container[int]) -> Gpu:
        """Return the GPU's load since the last call by processes other than `own`, and why it is slowed down."""
        if self._nvml is None:
            return Gpu()
        others, name = self._others(own)
        return Gpu(others, name, self._slowed_by(), self._ask("nvmlDeviceGetTemperature", 0))

    def _others(self, own: Container[int]) -> tuple[float | None, str | None]:
        """Return the share of others and the name of the greediest.

        In a container the driver may count processes by the host's ids, of which ours are none: where somebody uses
        the GPU and nobody is known for one of ours, nothing can be told there.
        """
        total = self._ask("nvmlDeviceGetUtilizationRates")
        if total is not None and total.gpu == 0:
            return 0.0, None
        samples = self._ask("nvmlDeviceGetProcessUtilization", self._since)
        if not samples:
            return None, None
        self._since = max(each.timeStamp for each in samples)
        if not self._first_namespace and not any(each.pid in own for each in samples):
            return None, None
        # Several samples of a process are of spans that follow each other.
        shares: dict[int, list[int]] = {}
        for each in samples:
            if each.pid not in own and 0 <= each.smUtil <= 100:
                shares.setdefault(each.pid, []).append(each.smUtil)
        by_pid = {pid: sum(found) / len(found) / 100 for pid, found in shares.items()}
        greediest = max(by_pid, key=by_pid.__getitem__, default=None)
        return min(1.0, sum(by_pid.values())), None if greediest is None else self._name(greediest)

    def _name(self, pid: int) -> str | None:
        """Return a program's name without its folder and its arguments."""
        told = self._ask("nvmlSystemGetProcessName", pid, of_device=False)
        if told is None:
            return None
        text = told.decode("utf-8", "replace") if isinstance(told, bytes) else str(told)
        return clean_name(text.split(" ")[0].rpartition("/")[2])

    def _slowed_by(self) -> str | None:
        bits = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons")
        if bits is None:
            return None
        return ", ".join(dict.fromkeys(word for bit, word in _SLOWING.items() if bits & bit))

    def _ask(self, function: str, *arguments: Any, of_device: bool = True) -> Any:
        """Return what the library says; None where the GPU can't tell, as with MIG or an old driver."""
        try:
            return getattr(self._nvml, function)(*([self._handle] if of_device else []), *arguments)
        except Exception:  # noqa: BLE001  (see above)
            return None


def _in_first_namespace() -> bool:
    with suppress(OSError):
        return os.stat("/proc/self/ns/pid").st_ino == _FIRST_NAMESPACE
    return False
