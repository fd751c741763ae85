"""All devices are held to one contract: the CPU itself, CUDA and MPS by stand-ins for torch that record calls."""

import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bench.errors import UnavailableError
from worker.bandwidth import apple_bandwidth, nvidia_bandwidth
from worker.device import CpuDevice, CudaDevice, Device, MpsDevice, is_out_of_memory, pick
from worker.facts import chip_name, system_memory_bytes

GIB = 2**30


class Recorder:
    """A function that notes its calls and returns a fixed value."""

    def __init__(self, calls: list[str], name: str, value: Any = None) -> None:
        self._calls, self._name, self._value = calls, name, value

    def __call__(self, *arguments: Any) -> Any:
        self._calls.append(" ".join([self._name, *map(str, arguments)]))
        return self._value


def fake_cuda(calls: list[str], count: int = 2) -> Any:
    """Return a stand-in for torch with NVIDIA GPUs."""
    properties = SimpleNamespace(uuid="11-22", total_memory=80 * GIB)
    values = {
        "is_available": count > 0,
        "device_count": count,
        "get_device_properties": properties,
        "get_device_name": "NVIDIA H100 80GB HBM3",
        "max_memory_allocated": 7 * GIB,
    }
    names = [*values, "set_device", "synchronize", "reset_peak_memory_stats", "empty_cache"]
    cuda = SimpleNamespace(**{name: Recorder(calls, name, values.get(name)) for name in names})
    return SimpleNamespace(cuda=cuda, version=SimpleNamespace(cuda="13.0"), __version__="2.13.0+cu130")


def fake_mps(calls: list[str], version: str = "2.13.0", available: bool = True) -> Any:
    """Return a stand-in for torch on an Apple M4 with ten GPU cores."""

    def functions(**values: Any) -> Any:
        return SimpleNamespace(**{name: Recorder(calls, name, value) for name, value in values.items()})

    return SimpleNamespace(
        __version__=version,
        backends=SimpleNamespace(mps=functions(is_available=available, get_name="Apple M4", get_core_count=10)),
        mps=functions(set_per_process_memory_fraction=None, recommended_max_memory=11 * GIB, empty_cache=None),
        accelerator=functions(synchronize=None, reset_peak_memory_stats=None, max_memory_allocated=3 * GIB),
        set_warn_always=Recorder(calls, "set_warn_always"),
    )


MAKERS: dict[str, Callable[[list[str]], Device]] = {
    "cpu": lambda calls: CpuDevice(),
    "cuda": lambda calls: CudaDevice(1, fake_cuda(calls)),
    "mps": lambda calls: MpsDevice(fake_mps(calls)),
}


@pytest.fixture(params=list(MAKERS))
def device(request: pytest.FixtureRequest) -> Device:
    """Give each of the devices in turn."""
    return MAKERS[request.param]([])


def test_every_device_says_what_it_is(device: Device) -> None:
    assert device.name in ("cpu", "cuda", "mps")
    assert device.torch_device.type == device.name
    assert device.torch_device.index in (None, device.index)
    assert len(device.device_name()) > 2
    assert device.memory_bytes() > 2**28
    assert device.lock_key.isascii()
    assert "/" not in device.lock_key


def test_every_device_is_ready_for_a_measurement(device: Device) -> None:
    device.prepare()
    device.reset_peak()
    device.synchronize()
    peak = device.peak_bytes()
    assert (peak is None) == (device.name == "cpu")
    device.empty_cache()
    with device.watch() as fallbacks:
        device.synchronize()
    assert fallbacks == []


def test_the_cpu_leaves_a_part_of_the_memory_to_the_system() -> None:
    cpu = CpuDevice()
    assert cpu.memory_bytes() == int(system_memory_bytes() * 0.8)
    assert cpu.device_name() == chip_name()
    assert (cpu.peak_bytes(), cpu.bandwidth_bytes_per_second(), cpu.driver()) == (None, None, None)


def test_cuda_asks_about_its_own_index() -> None:
    calls: list[str] = []
    cuda = CudaDevice(1, fake_cuda(calls))
    cuda.prepare()
    cuda.reset_peak()
    cuda.synchronize()
    assert cuda.peak_bytes() == 7 * GIB
    assert calls[-4:] == ["set_device 1", "reset_peak_memory_stats 1", "synchronize 1", "max_memory_allocated 1"]
    assert str(cuda.torch_device) == "cuda:1"
    assert cuda.lock_key == "cuda-11-22"
    assert cuda.bandwidth_bytes_per_second() == 3350e9
    assert str(cuda.driver()).startswith("CUDA 13.0")


@pytest.mark.parametrize(("count", "found"), [(0, "sees none"), (2, "sees 2 of them")])
def test_a_cuda_device_that_is_not_there_is_refused(count: int, found: str) -> None:
    with pytest.raises(UnavailableError, match=f"there is no CUDA device 2: .* {found}"):
        CudaDevice(2, fake_cuda([], count))


def test_mps_limits_its_memory_before_anything_else() -> None:
    calls: list[str] = []
    mps = MpsDevice(fake_mps(calls))
    mps.prepare()
    assert calls[-1] == "set_per_process_memory_fraction 1.0"
    assert mps.memory_bytes() == 11 * GIB
    assert mps.lock_key == CpuDevice().lock_key == "machine"
    assert mps.bandwidth_bytes_per_second() == 120e9
    assert "10 GPU cores" in str(mps.driver())


def test_mps_synchronises_through_the_accelerator() -> None:
    calls: list[str] = []
    mps = MpsDevice(fake_mps(calls))
    mps.reset_peak()
    mps.synchronize()
    assert mps.peak_bytes() == 3 * GIB
    assert calls[-3:] == ["reset_peak_memory_stats", "synchronize", "max_memory_allocated"]


@pytest.mark.parametrize("version", ["2.12.1", "2.9.0", "1.13.0"])
def test_mps_refuses_a_torch_whose_attention_reads_the_future(version: str) -> None:
    with pytest.raises(UnavailableError, match=rf"MPS needs torch 2\.13 or newer, and this is {version}.*#195910"):
        MpsDevice(fake_mps([], version))


@pytest.mark.parametrize("version", ["2.13.0", "2.14.0.dev20260101", "3.0.1"])
def test_mps_takes_newer_torches(version: str) -> None:
    assert MpsDevice(fake_mps([], version)).device_name() == "Apple M4"


def test_mps_is_refused_where_there_is_no_such_gpu() -> None:
    with pytest.raises(UnavailableError, match="there is no MPS device"):
        MpsDevice(fake_mps([], available=False))


def test_mps_notes_what_was_left_to_the_cpu_once_each() -> None:
    calls: list[str] = []
    mps = MpsDevice(fake_mps(calls))
    said = (
        "The operator 'aten::odd' is not currently supported on the MPS backend and will fall back to run on the CPU."
    )
    with mps.watch() as fallbacks:
        for _ in range(3):
            warnings.warn(said, UserWarning, stacklevel=1)
        warnings.warn("something else", UserWarning, stacklevel=1)
    assert fallbacks == [said]
    assert calls[-2:] == ["set_warn_always True", "set_warn_always False"]


def test_devices_are_picked_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pick("cpu").name == "cpu"
    with pytest.raises(UnavailableError, match="there is no device 'tpu'"):
        pick("tpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert pick("auto").name == "cpu"


@pytest.mark.parametrize(
    ("name", "cores", "gigabytes"),
    [
        ("Apple M1", 8, 68.25),
        ("Apple M4", 10, 120),
        ("Apple M4 Pro", 20, 273),
        ("Apple M4 Max", 32, 410),
        ("Apple M4 Max", 40, 546),
        ("Apple M3 Max", 30, 300),
        ("Apple M99", 10, None),
    ],
)
def test_the_bandwidth_of_apple_chips(name: str, cores: int, gigabytes: float | None) -> None:
    assert apple_bandwidth(name, cores) == (None if gigabytes is None else gigabytes * 1e9)


@pytest.mark.parametrize(
    ("name", "gigabytes"),
    [
        ("NVIDIA H100 80GB HBM3", 3350),
        ("NVIDIA H100 PCIe", 2039),
        ("NVIDIA H200", 4800),
        ("NVIDIA A100-SXM4-40GB", 1555),
        ("NVIDIA A10G", 600),
        ("NVIDIA GeForce RTX 4090", 1008),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None),
        ("NVIDIA L4", 300),
        ("NVIDIA L40S", 864),
        ("Quadro K600", None),
    ],
)
def test_the_bandwidth_of_nvidia_cards(name: str, gigabytes: float | None) -> None:
    assert nvidia_bandwidth(name) == (None if gigabytes is None else gigabytes * 1e9)


@pytest.mark.parametrize(
    ("error", "memory"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 11 GB)"), True),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"),
            True,
        ),
        (RuntimeError("shapes do not match"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_memory_that_was_not_enough_is_known_on_every_device(error: Exception, memory: bool) -> None:
    assert is_out_of_memory(error) == memory


def test_the_cpu_s_own_allocator_is_known() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert is_out_of_memory(caught.value)
