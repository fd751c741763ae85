"""Reading an NVIDIA GPU, by a stand-in for its library: no GPU was seen."""

import inspect
from types import SimpleNamespace
from typing import Any

import pytest

from bench.surroundings import Gpu
from tests.worker.test_supervise import PROBE
from worker.facts import Probe
from worker.readings import nvidia, readings_of_this_machine
from worker.readings.nvidia import NvidiaGpu

OURS = {100, 101}


def sample(pid: int, share: int, at: int = 1) -> SimpleNamespace:
    return SimpleNamespace(pid=pid, smUtil=share, timeStamp=at)


class Library:
    """NVML, as `nvidia-ml-py` calls it; records what is asked."""

    def __init__(self, samples: list[SimpleNamespace] | None = None, total: int = 90, reasons: int = 0) -> None:
        self.samples, self.total, self.reasons = samples, total, reasons
        self.asked: list[tuple[str, Any]] = []

    def nvmlInit(self) -> None:  # noqa: N802
        self.asked.append(("init", None))

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        self.asked.append(("uuid", uuid))
        return "handle"

    def nvmlDeviceGetUtilizationRates(self, handle: str) -> SimpleNamespace:  # noqa: N802
        assert handle == "handle"
        return SimpleNamespace(gpu=self.total, memory=1)

    def nvmlDeviceGetProcessUtilization(self, handle: str, since: int) -> list[SimpleNamespace]:  # noqa: N802
        self.asked.append(("since", since))
        if self.samples is None:
            raise RuntimeError("Not Found")
        return self.samples

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: str) -> int:  # noqa: N802
        return self.reasons

    def nvmlDeviceGetTemperature(self, handle: str, sensor: int) -> int:  # noqa: N802
        assert sensor == 0
        return 71

    def nvmlSystemGetProcessName(self, pid: int) -> bytes:  # noqa: N802
        return b"/opt/bin/train --token secret"


def gpu(library: Library, *, first: bool = True) -> NvidiaGpu:
    return NvidiaGpu("abc", library, first_namespace=first)


def test_others_are_told_from_us_and_named_without_arguments() -> None:
    library = Library([sample(100, 60, 5), sample(7, 20, 6), sample(7, 40, 9), sample(8, 10, 7), sample(9, 4711, 8)])
    found = gpu(library)
    read = found.read(OURS)
    assert read.others == pytest.approx(0.4)
    assert read[1:] == ("train", "", 71)
    library.total = 50
    found.read(OURS)
    assert [value for name, value in library.asked if name == "since"] == [0, 9]
    assert ("uuid", "GPU-abc") in library.asked


def test_a_gpu_that_nobody_uses() -> None:
    assert gpu(Library(None, total=0)).read(OURS).others == 0.0


def test_ours_alone() -> None:
    assert gpu(Library([sample(100, 90)])).read(OURS)[:2] == (0.0, None)


def test_in_a_container_the_driver_may_count_processes_otherwise() -> None:
    theirs = [sample(64_000, 90)]
    assert gpu(Library(theirs), first=False).read(OURS).others is None
    assert gpu(Library(theirs), first=True).read(OURS).others == 0.9
    assert gpu(Library([*theirs, sample(101, 5)]), first=False).read(OURS).others == 0.9


def test_what_the_gpu_can_not_tell_is_none() -> None:
    assert gpu(Library(None)).read(OURS).others is None
    empty = SimpleNamespace(nvmlInit=lambda: None, nvmlDeviceGetHandleByUUID=lambda uuid: uuid)
    assert NvidiaGpu("MIG-1", empty).read(OURS) == Gpu()


@pytest.mark.parametrize(
    ("reasons", "words"),
    [(0, ""), (0x1 | 0x4, ""), (0x20, "heat"), (0x20 | 0x40, "heat"), (0x88, "hardware slowdown, power brake")],
)
def test_why_the_clock_is_held_down(reasons: int, words: str) -> None:
    """An idle GPU, or one at the power it was built for, is at its ordinary work."""
    assert gpu(Library([], reasons=reasons)).read(OURS).slowed_by == words


def test_without_the_library_or_the_driver_nothing_is_read(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "benchbeat.worker")

    def fail() -> None:
        raise RuntimeError("NVML Shared Library Not Found")

    assert NvidiaGpu("abc", SimpleNamespace(nvmlInit=fail)).read(OURS) == Gpu()
    assert "the GPU's load is not read (NVML Shared Library Not Found)" in caplog.text


def test_the_gpu_is_read_for_a_worker_that_measures_on_it() -> None:
    on_gpu: Probe = PROBE.model_copy(update={"device": "cuda", "device_uuid": "abc"})
    for probe, pace in ((PROBE, 10.0), (None, 10.0), (on_gpu, 2.0)):
        readings = readings_of_this_machine(probe)
        assert readings.state_seconds == pace
        assert readings.state().gpu == Gpu()  # there is none here


def test_the_real_library_has_what_is_asked_of_it() -> None:
    real = pytest.importorskip("pynvml")
    for name in (name for name in vars(Library) if name.startswith("nvml")):
        asked = inspect.signature(getattr(Library, name)).parameters
        assert len(inspect.signature(getattr(real, name)).parameters) == len(asked) - 1, name
    bits = {
        real.nvmlClocksThrottleReasonHwSlowdown,
        real.nvmlClocksThrottleReasonSwThermalSlowdown,
        real.nvmlClocksThrottleReasonHwThermalSlowdown,
        real.nvmlClocksThrottleReasonHwPowerBrakeSlowdown,
    }
    assert bits == set(nvidia._SLOWING)
    assert NvidiaGpu("abc").read(OURS) == Gpu(), "there is no such GPU"
