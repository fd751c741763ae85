"""Reading Linux: this machine for real, and others as their files say."""

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.disturbances import Limits
from bench.surroundings import Gpu, Used, Window, greediest, window
from tests.waiting import wait_until
from tests.worker.hogs import hogging
from worker.readings import Process, Readings, readings_of_this_machine
from worker.readings.linux import LinuxReadings

pytestmark = pytest.mark.skipif(platform.system() != "Linux", reason="reads /proc")

HOG = "benchbeat-hog"


def over(readings: Readings, seconds: float, until: Callable[[Window], bool]) -> Window:
    """Return a window of at least so many seconds in which something holds."""
    before = readings.processors()
    assert before is not None
    found: list[Window] = []

    def look() -> bool:
        after = readings.processors()
        assert after is not None
        found.append(window(before, after))
        return found[-1].seconds >= seconds and until(found[-1])

    wait_until(look, "the window is as expected", 60)
    return found[-1]


def used_since(before: "dict[int, Process]", readings: Readings) -> list[Used]:
    after = readings.processes()
    return [
        Used(each.name, each.seconds - (before[pid].seconds if pid in before else 0)) for pid, each in after.items()
    ]


# --- this machine


def test_a_hog_is_seen_with_its_name_however_busy_the_machine_is() -> None:
    cores = len(os.sched_getaffinity(0))
    with hogging(HOG, 2 * cores) as (ours, *others):
        readings = readings_of_this_machine(root_pid=ours)
        assert readings.cores == cores
        before = dict(readings.processes())
        assert {before[pid].name for pid in others} == {HOG}
        assert ours not in before
        passed = over(readings, 1.0, lambda passed: (passed.others_cores or 0) > Limits().others_cores(cores))
        assert passed.others_cores is not None
        assert passed.others_cores < cores + 0.5
        used = used_since(before, readings)
    hogs = sum(each.seconds for each in used if each.name == HOG)
    assert hogs > 0.2
    # Other tests may run beside this one: it need not be the greediest of all.
    assert greediest([each for each in used if each.name == HOG], Window(1.0, hogs, 0.0)) == HOG


def test_what_our_own_tree_does_is_nobody_elses() -> None:
    with hogging("ours", by_a_child=True) as (ours,), hogging("theirs") as (theirs,):
        readings = LinuxReadings(ours)
        names = {pid: each.name for pid, each in readings.processes().items()}
        assert names[theirs] == "theirs"
        assert "ours" not in names.values()
        before = readings.processors()
        assert before is not None
        # Its child alone works.
        wait_until(lambda: _used(readings, before.own_seconds) > 0.3, "our child has worked", 60)


def _used(readings: Readings, before: float) -> float:
    now = readings.processors()
    assert now is not None
    return now.own_seconds - before


def test_time_of_a_child_that_has_ended_stays_ours() -> None:
    readings = LinuxReadings(os.getpid())
    with hogging("ours"):
        before = readings.processors()
        assert before is not None
        # The kernel counts in ticks of 10 ms, and cuts off what is left of one: once it has ended, at another place.
        wait_until(lambda: _used(readings, before.own_seconds) > 0.3, "it has worked", 60)
    assert _used(readings, before.own_seconds) > 0.2


def test_a_kernel_that_lists_no_children_is_asked_for_parents() -> None:
    with hogging("ours-too", by_a_child=True) as (ours,):
        readings = LinuxReadings(ours)
        readings._lists_children = False
        found = readings.processes()
        assert os.getpid() in found
        assert ours not in found
        assert "ours-too" not in {each.name for each in found.values()}


def test_states_of_this_machine_are_as_typed() -> None:
    readings = readings_of_this_machine()
    state = readings.state()
    assert state.gpu == Gpu()
    assert abs(state.at - time.monotonic()) < 60
    assert state.slept_seconds is not None
    assert state.wall_offset_seconds is not None
    assert time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) == pytest.approx(state.wall_offset_seconds, abs=5)
    assert state.swapped_bytes is None or state.swapped_bytes >= 0
    assert state.memory_stalled_seconds is None or state.memory_stalled_seconds >= 0


# --- other machines


@pytest.fixture
def machine(tmp_path: Path) -> "Machine":
    return Machine(tmp_path)


class Machine:
    """A machine of files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("proc/1/stat", "1 (python) S 0 1 1 0 -1 4194560 1 0 0 0 10 5 3 2 20 0 1 0 50 0 0")
        self.write("proc/1/task/1/children", "")
        self.write("proc/stat", "cpu  1 1 1 1 1 1 1 1 0 0\n")

    def write(self, name: str, text: str) -> None:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def readings(self, cpus: set[int] | None = None) -> LinuxReadings:
        made = LinuxReadings(1, proc=self.folder / "proc", sys=self.folder / "sys")
        made._ticks, made._page_bytes = 100, 4096
        made._allowed = {f"cpu{number}" for number in cpus or {0}}
        return made


def test_a_machine_without_anything_tells_nothing(machine: Machine) -> None:
    state = machine.readings().state()
    known = {name for name, value in state._asdict().items() if value is not None}
    assert known == {"at", "gpu", "slept_seconds", "wall_offset_seconds"}
    assert state.gpu == Gpu()
    (machine.folder / "proc/stat").unlink()
    assert machine.readings().processors() is None


def test_the_processors_that_we_may_use_count_with_what_is_stolen(machine: Machine) -> None:
    #                    user nice system idle iowait irq softirq steal guest guest_nice
    machine.write(
        "proc/stat",
        "cpu  999 9 9 9 9 9 9 9 9 9\n"
        "cpu0 100 10 20 1000 70 3 4 5 50 0\n"
        "cpu1 200 0 0 1000 0 0 0 0 0 0\n"
        "cpu2 10000 0 0 0 0 0 0 0 0 0\nintr 1 2\n",
    )
    found = machine.readings({0, 1}).processors()
    assert found is not None
    # what a guest uses is in `user` already; waiting for a disk is no use of a processor
    assert found.busy_seconds == pytest.approx(3.42)
    assert found.stolen_seconds == 0.05
    assert found.own_seconds == pytest.approx(0.2)


def test_a_tree_is_followed_through_all_threads(machine: Machine) -> None:
    machine.write("proc/1/task/7/children", "20 21 ")
    machine.write("proc/20/stat", "20 (a (b) c) S 1 1 1 0 -1 4194560 1 0 0 0 100 0 0 0 20 0 1 0 60 0 0")
    machine.write("proc/20/task/20/children", "30 ")
    machine.write("proc/30/stat", "30 (reader) S 20 1 1 0 -1 4194560 1 0 0 0 7 0 0 0 20 0 1 0 70 0 0")
    machine.write("proc/40/stat", "40 (ffm\x07peg: x) R 2 1 1 0 -1 4194560 1 0 0 0 900 50 800 0 20 0 1 0 80 0 0")
    readings = machine.readings()
    found = readings.processors()
    assert found is not None
    assert found.own_seconds == pytest.approx(0.2 + 1.0 + 0.07)  # 21 has ended
    # by its name alone, and without what its children used, who have names of their own
    assert readings.processes() == {40: Process(0.8, "ffmpeg: x", 9.5)}


def test_memory_and_swap(machine: Machine) -> None:
    machine.write("proc/vmstat", "nr_free_pages 1\npswpin 10\npswpout 20\npswpin_zero 7\n")
    machine.write(
        "proc/pressure/memory",
        "some avg10=0.94 avg60=0.59 avg300=0.26 total=4252673\nfull avg10=0.89 avg60=0.53 avg300=0.23 total=3716508\n",
    )
    state = machine.readings().state()
    assert (state.swapped_bytes, state.memory_stalled_seconds) == (30 * 4096, 4.252673)


def test_heat_is_that_of_the_processor_it_held_down_longest(machine: Machine) -> None:
    for cpu, milliseconds in ((0, 1200), (1, 5300)):
        folder = f"sys/devices/system/cpu/cpu{cpu}/thermal_throttle"
        machine.write(f"{folder}/core_throttle_total_time_ms", f"{milliseconds}\n")
        machine.write(f"{folder}/package_throttle_total_time_ms", "900\n")
    assert machine.readings({0, 1}).state().throttled_seconds == 5.3
    assert machine.readings({0}).state().throttled_seconds == 1.2


@pytest.mark.parametrize(
    ("supplies", "source"),
    [
        ({}, None),
        ({"AC": {"type": "Mains", "online": "1"}, "BAT0": {"type": "Battery", "status": "Charging"}}, "mains"),
        ({"AC": {"type": "Mains", "online": "0"}, "BAT0": {"type": "Battery", "status": "Discharging"}}, "battery"),
        ({"BAT0": {"type": "Battery", "status": "Discharging"}}, "battery"),
        # weak power over USB: what the machine takes comes from there
        ({"C": {"type": "USB", "online": "1"}, "BAT0": {"type": "Battery", "status": "Discharging"}}, "mains"),
        ({"mouse": {"type": "Battery", "status": "Discharging", "scope": "Device"}}, None),
        ({"BAT0": {"type": "Battery", "status": "Full"}}, None),
    ],
)
def test_what_the_machine_runs_on(machine: Machine, supplies: dict[str, dict[str, str]], source: str | None) -> None:
    for name, files in supplies.items():
        for file, text in files.items():
            machine.write(f"sys/class/power_supply/{name}/{file}", text + "\n")
    assert machine.readings().state().power_source == source


@pytest.mark.parametrize(
    ("files", "low"),
    [
        ({}, None),
        ({"firmware/acpi/platform_profile": "low-power"}, True),
        ({"firmware/acpi/platform_profile": "balanced"}, False),
        ({"cpufreq/scaling_governor": "performance", "cpufreq/scaling_driver": "acpi-cpufreq"}, False),
        ({"cpufreq/scaling_governor": "powersave", "cpufreq/scaling_driver": "acpi-cpufreq"}, True),
        # where the processor governs itself, that is what its only other governor is called
        ({"cpufreq/scaling_governor": "powersave", "cpufreq/scaling_driver": "intel_pstate"}, False),
        (
            {
                "cpufreq/scaling_governor": "powersave",
                "cpufreq/scaling_driver": "amd-pstate-epp",
                "cpufreq/energy_performance_preference": "power",
            },
            True,
        ),
    ],
)
def test_low_power(machine: Machine, files: dict[str, str], low: bool | None) -> None:
    for name, text in files.items():
        folder = "sys/devices/system/cpu/cpu0" if name.startswith("cpufreq") else "sys"
        machine.write(f"{folder}/{name}", text + "\n")
    assert machine.readings().state().low_power is low
