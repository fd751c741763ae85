"""All devices are held to one contract: the CPU itself, CUDA and MPS by stand-ins for torch that record calls."""

import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bench.errors import InputError, UnavailableError
from bench.spec import Precision
from worker.bandwidth import apple_bandwidth, nvidia_bandwidth
from worker.device import PRECISIONS, CpuDevice, CudaDevice, Device, MpsDevice, is_out_of_memory, pick
from worker.facts import chip_name, system_memory_bytes

GIB = 2**30


class Recorder:
    """A function that notes its calls and returns a fixed value."""

    def __init__(self, calls: list[str], name: str, value: Any = None) -> None:
        self._calls, self._name, self._value = calls, name, value

    def __call__(self, *arguments: Any) -> Any:
        self._calls.append(" ".join([self._name, *map(str, arguments)]))
        return self._value


def functions(calls: list[str], **values: Any) -> Any:
    """Return a stand-in for a module, whose functions note their calls and return these values."""
    return SimpleNamespace(**{name: Recorder(calls, name, value) for name, value in values.items()})


def fake_accelerator(calls: list[str], peak: int) -> Any:
    """Return a stand-in for what torch has for every accelerator."""
    return functions(calls, synchronize=None, reset_peak_memory_stats=None, max_memory_allocated=peak)


def fake_cuda(calls: list[str], count: int = 2, major: int = 9) -> Any:
    """Return a stand-in for torch with NVIDIA GPUs."""
    properties = SimpleNamespace(uuid="11-22", total_memory=80 * GIB, major=major)
    cuda = functions(
        calls,
        is_available=count > 0,
        device_count=count,
        get_device_properties=properties,
        get_device_name="NVIDIA H100 80GB HBM3",
        set_device=None,
        set_per_process_memory_fraction=None,
        empty_cache=None,
    )
    return SimpleNamespace(
        cuda=cuda,
        accelerator=fake_accelerator(calls, 7 * GIB),
        version=SimpleNamespace(cuda="13.0"),
        __version__="2.13.0+cu130",
    )


def fake_mps(calls: list[str], version: str = "2.13.0", available: bool = True, macos_14: bool = True) -> Any:
    """Return a stand-in for torch on an Apple M4 with ten GPU cores."""
    mps = functions(calls, is_available=available, get_name="Apple M4", get_core_count=10, is_macos_or_newer=macos_14)
    return SimpleNamespace(
        __version__=version,
        backends=SimpleNamespace(mps=mps),
        mps=functions(calls, set_per_process_memory_fraction=None, recommended_max_memory=11 * GIB, empty_cache=None),
        accelerator=fake_accelerator(calls, 3 * GIB),
        set_warn_always=Recorder(calls, "set_warn_always"),
    )


MAKERS: dict[str, Callable[[list[str]], Device]] = {
    "cpu": lambda calls: CpuDevice(),
    "cuda": lambda calls: CudaDevice(1, fake_cuda(calls)),
    "mps": lambda calls: MpsDevice(fake_mps(calls)),
}


#: what each device asks of torch for each thing that is asked of it; the CPU asks nothing
ASKED: dict[str, dict[str, list[str]]] = {
    "cpu": {},
    "cuda": {
        "prepare": ["set_device 1", "set_per_process_memory_fraction 1.0 1"],
        "reset_peak": ["reset_peak_memory_stats 1"],
        "synchronize": ["synchronize 1"],
        "peak_bytes": ["max_memory_allocated 1"],
        "empty_cache": ["empty_cache"],
    },
    "mps": {
        "prepare": ["set_per_process_memory_fraction 1.0"],
        "reset_peak": ["reset_peak_memory_stats 0"],
        "synchronize": ["synchronize 0"],
        "peak_bytes": ["max_memory_allocated 0"],
        "empty_cache": ["empty_cache"],
    },
}


class Held:
    """A device that is held to the contract, with what it asked of torch."""

    def __init__(self, name: str) -> None:
        self.calls: list[str] = []
        self.device = MAKERS[name](self.calls)
        self.calls.clear()

    def asked(self, what: str) -> list[str]:
        """Return what torch was asked for when the device was asked for this."""
        self.calls.clear()
        getattr(self.device, what)()
        return list(self.calls)


@pytest.fixture(params=list(MAKERS))
def held(request: pytest.FixtureRequest) -> Held:
    """Give each of the devices in turn."""
    return Held(request.param)


def test_every_device_says_what_it_is(held: Held) -> None:
    device = held.device
    assert device.name in ("cpu", "cuda", "mps")
    assert device.torch_device.type == device.name
    assert device.torch_device.index in (None, device.index)
    assert len(device.device_name()) > 2
    assert device.memory_bytes() > 2**28
    assert device.lock_key.isascii()
    assert "/" not in device.lock_key
    assert (device.driver() is None) == (device.name == "cpu")
    assert device.has_float64 == (device.name != "mps")


@pytest.mark.parametrize("what", ["prepare", "reset_peak", "synchronize", "peak_bytes", "empty_cache"])
def test_every_device_asks_torch_for_what_it_is_asked_for(held: Held, what: str) -> None:
    assert held.asked(what) == ASKED[held.device.name].get(what, [])


def test_every_device_limits_its_memory_before_anything_is_computed(held: Held) -> None:
    limits = [call for call in held.asked("prepare") if call.startswith("set_per_process_memory_fraction 1.0")]
    # The CPU has no memory of its own to limit.
    assert len(limits) == (held.device.name != "cpu")


def test_every_device_tells_its_peak_if_it_has_memory_of_its_own(held: Held) -> None:
    held.device.reset_peak()
    assert (held.device.peak_bytes() is None) == (held.device.name == "cpu")


def test_every_device_notes_what_it_left_to_the_cpu(held: Held) -> None:
    with held.device.watch() as fallbacks:
        held.device.synchronize()
    assert fallbacks == []


def test_every_device_runs_every_precision(held: Held) -> None:
    assert held.device.precisions() == PRECISIONS
    for precision in PRECISIONS:
        held.device.check_precision(precision)


OLD: dict[str, tuple[Callable[[], Device], str]] = {
    "cuda": (
        lambda: CudaDevice(0, fake_cuda([], major=7)),
        r"NVIDIA H100 80GB HBM3 \(cuda\) can't run a model in WHAT: bfloat16, .* needs an Ampere GPU or a newer one; "
        r"it can in float32 and float16",
    ),
    "mps": (
        lambda: MpsDevice(fake_mps([], macos_14=False)),
        r"Apple M4 \(mps\) can't run a model in WHAT: bfloat16, .* needs macOS 14 or newer; "
        "it can in float32 and float16",
    ),
}


@pytest.mark.parametrize("name", list(OLD))
@pytest.mark.parametrize("precision", ["bfloat16", "int8", "int4"])
def test_a_precision_that_a_device_can_not_do_is_named_with_what_it_can(name: str, precision: Precision) -> None:
    make, said = OLD[name]
    device = make()
    with pytest.raises(InputError, match=said.replace("WHAT", precision)):
        device.check_precision(precision)
    for able in device.precisions():
        device.check_precision(able)


def test_the_cpu_leaves_a_part_of_the_memory_to_the_system() -> None:
    cpu = CpuDevice()
    assert cpu.memory_bytes() == int(system_memory_bytes() * 0.8)
    assert cpu.device_name() == chip_name()
    assert (cpu.peak_bytes(), cpu.bandwidth_bytes_per_second(), cpu.driver()) == (None, None, None)


def test_a_cuda_device_is_one_of_several() -> None:
    cuda = CudaDevice(1, fake_cuda([]))
    assert str(cuda.torch_device) == "cuda:1"
    assert cuda.peak_bytes() == 7 * GIB
    # Its index depends on what the process may see.
    assert cuda.lock_key == "cuda-11-22"
    assert cuda.bandwidth_bytes_per_second() == 3350e9
    assert str(cuda.driver()).startswith("CUDA 13.0")


def test_each_device_has_its_counter_of_energy(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    for name in ("apple", "rapl", "nvml"):
        monkeypatch.setattr(f"worker.energy.{name}", Recorder(asked, name))
    CudaDevice(1, fake_cuda([])).energy_counter()
    MpsDevice(fake_mps([])).energy_counter()
    for system in ("Linux", "Darwin"):
        monkeypatch.setattr("platform.system", lambda system=system: system)
        CpuDevice().energy_counter()
    assert asked == ["nvml GPU-11-22", "apple", "rapl", "apple"]


@pytest.mark.parametrize(("count", "found"), [(0, "sees none"), (2, "sees 2 of them")])
def test_a_cuda_device_that_is_not_there_is_refused(count: int, found: str) -> None:
    with pytest.raises(UnavailableError, match=f"there is no CUDA device 2: .* {found}"):
        CudaDevice(2, fake_cuda([], count))


def test_mps_is_the_machine_s_one_gpu() -> None:
    mps = MpsDevice(fake_mps([]))
    assert mps.memory_bytes() == 11 * GIB
    assert mps.peak_bytes() == 3 * GIB
    # It shares memory with the processor, so the two are never measured at once.
    assert mps.lock_key == CpuDevice().lock_key == "machine"
    assert mps.bandwidth_bytes_per_second() == 120e9
    assert "10 GPU cores" in str(mps.driver())


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
