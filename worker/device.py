"""What a device is: cpu, cuda and mps behind one small interface. Only the session process and the probe use it.

The MPS device follows torch's sources and its issue tracker and is tested against a stand-in that records
calls: it was not yet seen on hardware. CUDA was not either.
"""

import platform
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import torch

from bench.errors import InputError, UnavailableError
from bench.spec import Precision
from worker import energy
from worker.bandwidth import apple_bandwidth, nvidia_bandwidth
from worker.facts import chip_name, system_memory_bytes

#: part of the system's memory that jobs on the CPU may use; the rest is for the system and its page cache
CPU_SHARE = 0.8
#: every precision that a job may name
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
#: those that need no bfloat16; packed weights are computed with in it on an accelerator
_WITHOUT_BFLOAT16: tuple[Precision, ...] = ("float32", "float16")
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


class Device(ABC):
    """Where a model runs. One process uses one device, from one thread."""

    #: `cpu`, `cuda` or `mps`
    name: str
    #: 0, 1 ... among devices of the same name
    index: int = 0
    #: whether it holds tensors of float64
    has_float64: bool = True
    #: what it lacks for every precision, for a sentence
    wanting: str = ""

    @property
    def torch_device(self) -> torch.device:
        """The device as torch knows it."""
        return torch.device(self.name)

    @property
    def lock_key(self) -> str:
        """Name of the lock that is held while measuring; devices that disturb each other share one."""
        return "machine"

    @abstractmethod
    def prepare(self) -> None:
        """Make the device ready, once a process, before anything is computed on it."""

    @abstractmethod
    def device_name(self) -> str:
        """Return the device's own name ("Apple M4")."""

    @abstractmethod
    def memory_bytes(self) -> int:
        """Return the memory that jobs may use."""

    @abstractmethod
    def synchronize(self) -> None:
        """Wait until everything that was started is done; before the start and the stop of every timed span."""

    @abstractmethod
    def reset_peak(self) -> None:
        """Begin a new span of `peak_bytes`."""

    @abstractmethod
    def peak_bytes(self) -> int | None:
        """Return the allocator's peak since `reset_peak`; None where the device has no memory of its own."""

    @abstractmethod
    def empty_cache(self) -> None:
        """Give memory that the allocator keeps back to the system."""

    def bandwidth_bytes_per_second(self) -> float | None:
        """Return the peak memory bandwidth; None where it is not known."""
        return None

    def energy_counter(self) -> energy.Counter | None:
        """Return a counter of the energy that it uses; None where it has none. Raises whatever a driver raises."""
        return None

    def driver(self) -> str | None:
        """Return driver and toolkit; None where there is none."""
        return None

    def uuid(self) -> str | None:
        """Return what tells it from every other device of the machine; None where there is but one."""
        return None

    def precisions(self) -> tuple[Precision, ...]:
        """Return the precisions that it computes in."""
        return PRECISIONS

    def check_precision(self, precision: Precision) -> None:
        """Raise InputError where the device can't run a model in a precision; it names those that it can."""
        able = self.precisions()
        if precision not in able:
            raise InputError(
                f"{self.device_name()} ({self.name}) can't run a model in {precision}: {self.wanting}; "
                f"it can in {' and '.join(able)}"
            )

    @contextmanager
    def watch(self) -> Iterator[list[str]]:
        """Collect what the device could not do itself and left to the CPU, in torch's words."""
        yield []


class CpuDevice(Device):
    """The processor."""

    name = "cpu"

    def device_name(self) -> str:
        return chip_name()

    def prepare(self) -> None:
        pass

    def memory_bytes(self) -> int:
        return int(system_memory_bytes() * CPU_SHARE)

    def synchronize(self) -> None:
        pass

    def reset_peak(self) -> None:
        pass

    def peak_bytes(self) -> int | None:
        return None

    def empty_cache(self) -> None:
        pass

    def energy_counter(self) -> energy.Counter | None:
        return energy.apple() if platform.system() == "Darwin" else energy.rapl()


class Accelerator(Device):
    """What CUDA and MPS have in common in torch."""

    def __init__(self, backend: Any) -> None:
        self._torch = backend

    def synchronize(self) -> None:
        self._torch.accelerator.synchronize(self.index)

    def reset_peak(self) -> None:
        self._torch.accelerator.reset_peak_memory_stats(self.index)

    def peak_bytes(self) -> int | None:
        return int(self._torch.accelerator.max_memory_allocated(self.index))

    def precisions(self) -> tuple[Precision, ...]:
        return PRECISIONS if self._has_bfloat16() else _WITHOUT_BFLOAT16

    @abstractmethod
    def _has_bfloat16(self) -> bool:
        """Return whether it computes in bfloat16 itself."""


class CudaDevice(Accelerator):
    """One NVIDIA GPU."""

    name = "cuda"
    wanting = "bfloat16, in which packed weights are computed with too, needs an Ampere GPU or a newer one"

    def __init__(self, index: int = 0, backend: Any = torch) -> None:
        super().__init__(backend)
        self.index = index
        self._cuda = backend.cuda
        count = self._cuda.device_count() if self._cuda.is_available() else 0
        if index >= count:
            found = f"sees {count} of them" if count else "sees none"
            raise UnavailableError(f"there is no CUDA device {index}: torch {backend.__version__} {found}")

    @property
    def torch_device(self) -> torch.device:
        return torch.device("cuda", self.index)

    @property
    def lock_key(self) -> str:
        # The index depends on CUDA_VISIBLE_DEVICES, the UUID does not.
        return f"cuda-{self.uuid()}"

    def uuid(self) -> str:
        return str(self._cuda.get_device_properties(self.index).uuid)

    def prepare(self) -> None:
        self._cuda.set_device(self.index)
        self._cuda.set_per_process_memory_fraction(1.0, self.index)

    def device_name(self) -> str:
        return str(self._cuda.get_device_name(self.index))

    def memory_bytes(self) -> int:
        return int(self._cuda.get_device_properties(self.index).total_memory)

    def empty_cache(self) -> None:
        self._cuda.empty_cache()

    def bandwidth_bytes_per_second(self) -> float | None:
        return nvidia_bandwidth(self.device_name())

    def energy_counter(self) -> energy.Counter | None:
        return energy.nvml(f"GPU-{self.uuid()}")

    def driver(self) -> str | None:
        said = f"CUDA {self._torch.version.cuda}"
        try:
            first = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8").splitlines()[0]
        except (OSError, IndexError):
            return said
        return f"{said}, {first.removeprefix('NVRM version:').strip()}"

    def _has_bfloat16(self) -> bool:
        # Older ones emulate it: what would be measured is the emulation.
        return int(self._cuda.get_device_properties(self.index).major) >= 8


class MpsDevice(Accelerator):
    """The GPU of an Apple chip. Not yet seen on hardware."""

    name = "mps"
    has_float64 = False
    wanting = "bfloat16, in which packed weights are computed with too, needs macOS 14 or newer"
    #: up to 2.12.1, causal attention in half precision silently read future tokens (pytorch #195910)
    required = (2, 13)

    def __init__(self, backend: Any = torch) -> None:
        super().__init__(backend)
        self._mps = backend.backends.mps
        version = str(backend.__version__)
        if not self._mps.is_available():
            raise UnavailableError(f"there is no MPS device: torch {version} finds no GPU of an Apple chip here")
        if tuple(int(part) for part in version.split("+")[0].split(".")[:2]) < self.required:
            raise UnavailableError(
                f"MPS needs torch 2.13 or newer, and this is {version}, in which attention in half precision "
                "reads future tokens (pytorch #195910): pip install --upgrade torch"
            )

    def prepare(self) -> None:
        # Else the allocator goes to 1.7 times the recommended size, and the Mac swaps instead of failing.
        self._torch.mps.set_per_process_memory_fraction(1.0)

    def device_name(self) -> str:
        return str(self._mps.get_name())

    def memory_bytes(self) -> int:
        return int(self._torch.mps.recommended_max_memory())

    def empty_cache(self) -> None:
        self._torch.mps.empty_cache()

    def bandwidth_bytes_per_second(self) -> float | None:
        return apple_bandwidth(self.device_name(), int(self._mps.get_core_count()))

    def energy_counter(self) -> energy.Counter | None:
        return energy.apple()

    def driver(self) -> str | None:
        return f"Metal of macOS {platform.mac_ver()[0]}, {self._mps.get_core_count()} GPU cores"

    @contextmanager
    def watch(self) -> Iterator[list[str]]:
        # torch says each fallback once a process unless it is told to say it always.
        found: list[str] = []
        self._torch.set_warn_always(True)
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                yield found
        finally:
            self._torch.set_warn_always(False)
        said = (str(warning.message).splitlines()[0] for warning in caught)
        found += dict.fromkeys(line for line in said if "fall back to run on the CPU" in line)

    def _has_bfloat16(self) -> bool:
        return bool(self._mps.is_macos_or_newer(14, 0))


def pick(name: str, index: int = 0) -> Device:
    """Return the device: `cpu`, `cuda`, `mps`, or `auto`, the first of cuda, mps and cpu that is there.

    Raises UnavailableError where it is not there.
    """
    match name:
        case "cpu":
            return CpuDevice()
        case "cuda":
            return CudaDevice(index)
        case "mps":
            return MpsDevice()
        case "auto":
            return _best(index)
    raise UnavailableError(f"there is no device {name!r}; there is cpu, cuda and mps")


def _best(index: int) -> Device:
    if torch.cuda.is_available():
        return CudaDevice(index)
    if torch.backends.mps.is_available():
        return MpsDevice()
    return CpuDevice()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory was not enough, on any device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # MPS and the CPU's allocator raise a bare RuntimeError.
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _OUT_OF_MEMORY)
