"""The peak of this process's memory over a span.

Linux keeps the peak itself and can reset it (`clear_refs`, proc(5)). Elsewhere, and where that is not
permitted, a thread samples: on macOS the physical footprint, which is what the system charges a process
for, else the resident size. Weights that are already resident count.
"""

import ctypes
import os
import platform
import threading
from collections.abc import Callable
from pathlib import Path

SAMPLING_SECONDS = 0.02


class ProcessMemory:
    """Measures the peak between `reset` and `peak_bytes`. Used by one thread."""

    def __init__(self) -> None:
        self._sampler: _Sampler | None = None
        self._kernel = False

    def reset(self) -> None:
        """Begin a span."""
        self.close()
        self._kernel = reset_kernel_peak()
        if not self._kernel:
            self._sampler = _Sampler(current_bytes)

    def peak_bytes(self) -> int | None:
        """Return the highest memory of the process since `reset`, in bytes; None where it can't be read."""
        if self._kernel:
            return kernel_peak_bytes()
        return self._sampler.peak() if self._sampler else None

    def close(self) -> None:
        """End the span."""
        if self._sampler is not None:
            self._sampler.stop()
            self._sampler = None


class _Sampler:
    """A thread that keeps the highest reading."""

    def __init__(self, read: Callable[[], int | None]) -> None:
        self._read = read
        self._highest = read()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory sampler", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(SAMPLING_SECONDS):
            self._take()

    def _take(self) -> None:
        now = self._read()
        if now is not None:
            self._highest = max(now, self._highest or 0)

    def peak(self) -> int | None:
        self._take()
        return self._highest

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def reset_kernel_peak(proc: Path = Path("/proc/self")) -> bool:
    """Set Linux's peak of the resident size to the present size; False where that can't be done."""
    try:
        (proc / "clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return kernel_peak_bytes(proc) is not None


def kernel_peak_bytes(proc: Path = Path("/proc/self")) -> int | None:
    """Return Linux's peak of the resident size (VmHWM), in bytes."""
    try:
        lines = (proc / "status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)


def current_bytes() -> int | None:
    """Return the process's memory now, in bytes: macOS's physical footprint, Linux's resident size."""
    if platform.system() == "Darwin":
        return _footprint_bytes()
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


class _Usage(ctypes.Structure):
    """`rusage_info_v0` of macOS's <sys/resource.h>."""

    _fields_ = [
        ("uuid", ctypes.c_uint8 * 16),
        ("user_time", ctypes.c_uint64),
        ("system_time", ctypes.c_uint64),
        ("package_idle_wakeups", ctypes.c_uint64),
        ("interrupt_wakeups", ctypes.c_uint64),
        ("page_ins", ctypes.c_uint64),
        ("wired_size", ctypes.c_uint64),
        ("resident_size", ctypes.c_uint64),
        ("physical_footprint", ctypes.c_uint64),
        ("start_time", ctypes.c_uint64),
        ("exit_time", ctypes.c_uint64),
    ]


def _footprint_bytes() -> int | None:
    """Return macOS's physical footprint of this process. Not yet seen on hardware."""
    usage = _Usage()
    library = ctypes.CDLL("/usr/lib/libproc.dylib", use_errno=True)
    if library.proc_pid_rusage(os.getpid(), 0, ctypes.byref(usage)) != 0:
        return None
    return int(usage.physical_footprint)
