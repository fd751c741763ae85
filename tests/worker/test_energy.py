"""Energy by its three sources, each behind a stand-in of what it reads."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.worker.fakes import FakeClock
from worker.energy import Apple, Meter, Nvml, Rapl, apple, nvml, rapl

#: what a processor of today has: 262 kJ, after which the counter begins anew
RANGE = 262_143_328_850


class Powercap:
    """A tree as the kernel shows it, of one package with its parts."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for zone, name in {
            "intel-rapl": None,
            "intel-rapl:0": "package-0",
            "intel-rapl:0:0": "core",
            "intel-rapl:0:1": "dram",
            "intel-rapl:1": "psys",
            "intel-rapl-mmio:0": "package-0",
        }.items():
            self.zone(zone, name)

    def zone(self, zone: str, name: str | None, microjoules: int = 0) -> None:
        folder = self.root / zone
        folder.mkdir(parents=True)
        (folder / "enabled").write_text("1\n")
        if name is not None:
            (folder / "name").write_text(f"{name}\n")
            (folder / "max_energy_range_uj").write_text(f"{RANGE}\n")
            (folder / "energy_uj").write_text(f"{microjoules}\n")

    def set(self, zone: str, microjoules: int) -> None:
        (self.root / zone / "energy_uj").write_text(f"{microjoules}\n")


@pytest.fixture
def powercap(tmp_path: Path) -> Powercap:
    return Powercap(tmp_path / "powercap")


def counter_of(powercap: Powercap, clock: Callable[[], float] = lambda: 0.0) -> Rapl:
    """Return the counter of the package and its memory, on a clock of ours."""
    zones = {powercap.root / "intel-rapl:0": 1000.0, powercap.root / "intel-rapl:0:1": 250.0}
    return Rapl(zones, clock)


# ---- rapl


def test_package_and_memory_are_added_and_nothing_twice(powercap: Powercap) -> None:
    counter = rapl(powercap.root)
    assert counter is not None
    assert counter.source == "rapl"
    before = counter.joules()
    for zone, joules in {"intel-rapl:0": 30, "intel-rapl:0:0": 20, "intel-rapl:0:1": 4, "intel-rapl:1": 60}.items():
        powercap.set(zone, joules * 10**6)
    powercap.set("intel-rapl-mmio:0", 30 * 10**6)
    assert counter.joules() - before == 34


def test_two_packages_are_added(powercap: Powercap) -> None:
    powercap.zone("intel-rapl:2", "package-1-die-0")
    counter = rapl(powercap.root)
    assert counter is not None
    before = counter.joules()
    powercap.set("intel-rapl:0", 3 * 10**6)
    powercap.set("intel-rapl:2", 4 * 10**6)
    assert counter.joules() - before == 7


def test_a_counter_that_went_round_goes_on(powercap: Powercap) -> None:
    powercap.set("intel-rapl:0", RANGE - 10**6)
    counter = counter_of(powercap)
    assert counter.joules() == 0
    powercap.set("intel-rapl:0", 2 * 10**6 - 1)
    assert counter.joules() == pytest.approx(3)
    powercap.set("intel-rapl:0", 5 * 10**6 - 1)
    assert counter.joules() == pytest.approx(6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(st.lists(st.integers(0, RANGE), max_size=12), st.integers(0, RANGE))
def test_however_often_it_went_round_between_readings_nothing_is_lost(
    powercap: Powercap, used: list[int], start: int
) -> None:
    powercap.set("intel-rapl:0", start)
    counter = counter_of(powercap)
    counter.joules()
    total = 0
    for microjoules in used:
        total += microjoules
        powercap.set("intel-rapl:0", (start + total) % (RANGE + 1))
        assert counter.joules() == pytest.approx(total / 1e6)


def test_a_pause_in_which_it_may_have_gone_round_twice_is_not_guessed_at(powercap: Powercap) -> None:
    clock = FakeClock()
    counter = counter_of(powercap, clock)
    clock.pass_(10_000)  # before the first reading it does not matter
    counter.joules()
    clock.pass_(250)
    counter.joules()
    clock.pass_(263)
    with pytest.raises(ValueError, match="intel-rapl:0 may have gone round twice in 263 s"):
        counter.joules()


def test_a_machine_without_counters_has_none(tmp_path: Path) -> None:
    assert rapl(tmp_path / "nothing") is None
    Powercap(tmp_path / "powercap")
    for name in ("intel-rapl:0", "intel-rapl-mmio:0"):
        (tmp_path / "powercap" / name / "name").write_text("another\n")
    assert rapl(tmp_path / "powercap") is None


@pytest.mark.parametrize("file", ["energy_uj", "max_energy_range_uj"])
def test_counters_that_only_root_may_read_are_no_figure(powercap: Powercap, file: str) -> None:
    # A folder can't be read as a file, by root neither.
    (powercap.root / "intel-rapl:0" / file).unlink()
    (powercap.root / "intel-rapl:0" / file).mkdir()
    meter = Meter(lambda: rapl(powercap.root))
    assert meter.read() is None
    assert meter.figures(meter.read(), meter.read(), 10) == {}


# ---- nvml


class FakeNvml:
    """NVIDIA's library with one GPU; it fails where it is told to."""

    class NVMLError(Exception):
        """As the library raises it."""

    def __init__(self, failing: str | None = None) -> None:
        self.millijoules = 5_000
        self.calls: list[str] = []
        self.failing = failing

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name == self.failing:
            raise self.NVMLError("Not Supported")

    def nvmlInit(self) -> None:  # noqa: N802
        self._call("nvmlInit")

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        self._call("nvmlDeviceGetHandleByUUID")
        return f"handle of {uuid}"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:  # noqa: N802
        self._call("nvmlDeviceGetTotalEnergyConsumption")
        assert handle == "handle of GPU-1"
        return self.millijoules


def test_a_gpu_counts_millijoules(monkeypatch: pytest.MonkeyPatch) -> None:
    library = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", library)
    meter = Meter(lambda: nvml("GPU-1"))
    began = meter.read()
    library.millijoules += 12_500
    assert meter.figures(began, meter.read(), 25) == {
        "energy_joules": 12.5,
        "energy_joules_per_token": 0.5,
        "energy_source": "nvml",
    }
    assert library.calls[:2] == ["nvmlInit", "nvmlDeviceGetHandleByUUID"]


@pytest.mark.parametrize("failing", ["nvmlInit", "nvmlDeviceGetHandleByUUID", "nvmlDeviceGetTotalEnergyConsumption"])
def test_a_gpu_without_a_counter_is_no_figure(failing: str) -> None:
    with pytest.raises(FakeNvml.NVMLError):
        Nvml(FakeNvml(failing), "GPU-1")
    assert Meter(lambda: Nvml(FakeNvml(failing), "GPU-1")).read() is None


# ---- apple


def chip(**millijoules: int | None) -> Any:
    """Return zeus-apple-silicon with a chip that has used so much."""
    names = ("cpu_total_mj", "gpu_mj", "gpu_sram_mj", "ane_mj", "dram_mj", "efficiency_cores_mj")
    used = SimpleNamespace(**(dict.fromkeys(names) | millijoules))
    monitor = SimpleNamespace(get_cumulative_energy=lambda: used)
    return SimpleNamespace(AppleEnergyMonitor=lambda: monitor, used=used)


def test_an_apple_chip_counts_its_parts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    library = chip(cpu_total_mj=10_000, gpu_mj=20_000, ane_mj=0, dram_mj=3_000, efficiency_cores_mj=4_000)
    monkeypatch.setitem(sys.modules, "zeus_apple_silicon", library)
    meter = Meter(apple)
    began = meter.read()
    assert began == 33
    library.used.gpu_mj += 5_000
    library.used.dram_mj += 500
    assert meter.figures(began, meter.read(), 0) == {"energy_joules": 5.5, "energy_source": "apple"}


@pytest.mark.parametrize("missing", ["cpu_total_mj", "gpu_mj"])
def test_a_chip_whose_main_parts_are_not_counted_is_no_figure(missing: str) -> None:
    with pytest.raises(ValueError, match=f"this chip has no {missing}"):
        Apple(chip(**({"cpu_total_mj": 1, "gpu_mj": 1} | {missing: None})))


# ---- the meter


@pytest.mark.parametrize("find", [lambda: nvml("GPU-1"), apple, lambda: None])
def test_without_the_library_there_is_no_figure(monkeypatch: pytest.MonkeyPatch, find: Callable[[], Any]) -> None:
    for name in ("pynvml", "zeus_apple_silicon"):
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    meter = Meter(find)
    assert meter.read() is None
    assert meter.figures(None, None, 5) == {}


class Scripted:
    """A counter that reads what a test says, and raises an exception where that says so."""

    source = "rapl"

    def __init__(self, *readings: float | Exception) -> None:
        self.readings = list(readings)

    def joules(self) -> float:
        reading = self.readings.pop(0)
        if isinstance(reading, Exception):
            raise reading
        return reading


@pytest.mark.parametrize(
    "readings",
    [
        (10.0, 10.0),
        (10.0, 3.0),
        (10.0, OSError("gone")),
        (RuntimeError("away"), 10.0),
    ],
)
def test_what_was_not_measured_is_no_figure(readings: tuple[float | Exception, ...]) -> None:
    counter = Scripted(*readings)
    meter = Meter(lambda: counter)
    assert meter.figures(meter.read(), meter.read(), 5) == {}


def test_a_counter_that_failed_once_is_not_asked_again() -> None:
    counter = Scripted(1.0, OSError("gone"), 5.0)
    meter = Meter(lambda: counter)
    assert [meter.read() for _ in range(4)] == [1.0, None, None, None]
    assert counter.readings == [5.0]
