"""Reading a Mac, by outputs as its commands print them: no Mac was seen."""

import platform
import time
from typing import Any

import psutil
import pytest

from bench.surroundings import Gpu, Processors
from tests.waiting import wait_until
from tests.worker.hogs import hogging
from worker.readings import Process, macos
from worker.readings.macos import MacReadings

BATTERY = """Now drawing from 'Battery Power'
 -InternalBattery-0 (id=35324003)\t87%; discharging; 4:06 remaining present: true
"""
MAINS = """Now drawing from 'AC Power'
 -InternalBattery-0 (id=35324003)\t100%; charged; 0:00 remaining present: true
"""
PMSET = """System-wide power settings:
Currently in use:
 standby              1
 Sleep On Power Button 1
 hibernatefile        /var/vm/sleepimage
 powernap             1
 networkoversleep     0
 disksleep            10
 sleep                1 (sleep prevented by powerd)
 hibernatemode        3
 ttyskeepawake        1
 displaysleep         10
 tcpkeepalive         1
 lowpowermode         {0}
 womp                 0
"""
VM_STAT = """Mach Virtual Memory Statistics: (page size of 16384 bytes)
Pages free:                                    10069.
Pages active:                                 432859.
Pages throttled:                                   0.
"Translation faults":                     1935466161.
Pages stored in compressor:                  1108263.
Decompressions:                             18805352.
Compressions:                               34308412.
Pageins:                                    26406517.
Pageouts:                                     250125.
Swapins:                                        1200.
Swapouts:                                       1600.
"""
CLIENT = """+-o AGXDeviceUserClient  <class AGXDeviceUserClient, id 0x10000{0}, !registered, !matched, active, busy 0, retain 5>
    {{
      "AppUsage" = ({{"API"="Metal","lastSubmittedTime"=9166,"accumulatedGPUTime"={2}}},{{"API"="Metal","accumulatedGPUTime"=0}})
      "CommandQueueCount" = 1
      "IOUserClientCreator" = "pid {0}, {1}"
      "IOUserClientCrossEndianCompatible" = Yes
    }}

"""  # noqa: E501 - as it is printed
PS = """    1   2:17.35 launchd
  401  75:01.07 WindowServer
  502   1:03:20.50 Google Chrome Helper (Renderer)
  733 2-01:00:00.00 backupd
  nonsense
"""


class Commands:
    """A Mac's commands, which print what they are told to and count how often they are started."""

    def __init__(self) -> None:
        self.printed = {
            "notifyutil": "com.apple.system.thermalpressurelevel 0",
            "sysctl": "1",
            "vm_stat": VM_STAT,
            "pmset -g batt": MAINS,
            "pmset -g": PMSET.format(0),
            "ioreg": "",
            "ps": PS,
        }
        self.started: list[str] = []

    def __call__(self, *command: str) -> str:
        self.started.append(" ".join(command))
        fitting = [name for name in self.printed if " ".join(command).startswith(name)]
        return self.printed[max(fitting, key=len)].strip()


@pytest.fixture
def commands() -> Commands:
    return Commands()


def readings(commands: Commands, root_pid: int | None = None) -> MacReadings:
    return MacReadings(root_pid or psutil.Process().pid, commands)


def test_a_mac_at_rest(commands: Commands) -> None:
    state = readings(commands).state()
    assert (state.thermal, state.memory_pressure, state.power_source, state.low_power) == (
        *("nominal", "normal", "mains", False),
    )
    assert state.swapped_bytes == 2800 * 16384
    assert state.gpu == Gpu()
    assert state.memory_stalled_seconds is state.throttled_seconds is None


def test_a_mac_in_trouble(commands: Commands) -> None:
    commands.printed |= {"notifyutil": "com.apple.system.thermalpressurelevel 2", "sysctl": "4"}
    commands.printed |= {"pmset -g batt": BATTERY, "pmset -g": PMSET.format(1)}
    state = readings(commands).state()
    assert (state.thermal, state.memory_pressure, state.power_source, state.low_power) == (
        *("heavy", "critical", "battery", True),
    )


def test_a_mac_whose_commands_fail_tells_nothing(commands: Commands) -> None:
    commands.printed = dict.fromkeys(commands.printed, "")
    found = readings(commands)
    state = found.state()
    known = {name for name, value in state._asdict().items() if value is not None}
    assert known <= {"at", "gpu", "slept_seconds", "wall_offset_seconds"}
    assert found.processes() == {}


def test_no_command_needs_more_than_a_user_may(commands: Commands) -> None:
    found = readings(commands)
    found.state()
    found.processes()
    assert {command.split()[0] for command in commands.started} == {
        *("notifyutil", "sysctl", "vm_stat", "pmset", "ioreg", "ps"),
    }
    # Each takes some 10 ms: twice a minute that is a thousandth of a core.
    assert len(commands.started) <= 7
    assert found.state_seconds >= 30


@pytest.mark.parametrize(
    ("printed", "level"),
    [("com.apple.system.thermalpressurelevel 4", "sleeping"), ("", None), ("x 7", None), ("failed", None)],
)
def test_thermal_pressure(printed: str, level: str | None) -> None:
    assert macos.thermal(printed) == level


@pytest.mark.parametrize(
    ("printed", "source"),
    [(MAINS, "mains"), (BATTERY, "battery"), ("Now drawing from 'UPS Power'", "mains"), ("", None)],
)
def test_power(printed: str, source: str | None) -> None:
    assert macos.power_source(printed) == source


@pytest.mark.parametrize(
    ("printed", "low"),
    [(PMSET.format(0), False), (PMSET.format(1), True), (" powermode            2\n", False), (" sleep 1\n", None)],
)
def test_low_power(printed: str, low: bool | None) -> None:
    assert macos.low_power(printed) is low


def test_swapped_needs_both_figures_and_the_size_of_a_page() -> None:
    assert macos.swapped_bytes(VM_STAT.replace("16384", "4096")) == 2800 * 4096
    assert macos.swapped_bytes(VM_STAT.replace("Swapins", "Swap")) is None
    assert macos.swapped_bytes("Swapins: 1.\nSwapouts: 2.\n") is None


def test_processes_have_names_without_arguments(commands: Commands) -> None:
    assert readings(commands).processes() == {
        1: Process(0.0, "launchd", 137.35),
        401: Process(0.0, "WindowServer", 4501.07),
        502: Process(0.0, "Google Chrome Helper (Renderer)", 3800.5),
        733: Process(0.0, "backupd", 49 * 3600.0),
    }
    (command,) = (each for each in commands.started if each.startswith("ps"))
    assert "-c" in command.split()
    assert "command" not in command
    assert "args" not in command


def test_others_on_the_gpu_are_told_from_us(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    ours = psutil.Process().pid

    def clients(server: int, mine: int, browser: int | None = None) -> str:
        found = CLIENT.format(401, "WindowServer", server) + CLIENT.format(ours, "python3.12", mine)
        found += CLIENT.format(401, "WindowServer", 5)
        return found + ("" if browser is None else CLIENT.format(502, "Google Chrome He", browser))

    commands.printed["ioreg"] = clients(10**9, 10**9)
    found = readings(commands)
    assert found.state().gpu == Gpu(), "of one reading nothing follows"
    now[0] += 10
    commands.printed["ioreg"] = clients(3 * 10**9, 9 * 10**9, browser=10**9)
    gpu = found.state().gpu
    assert gpu.others == pytest.approx(0.3)
    assert gpu.greediest == "WindowServer"
    now[0] += 10
    gpu = found.state().gpu
    assert (gpu.others, gpu.greediest) == (0.0, None)


def test_a_clients_time_belongs_to_the_creator_of_its_own_block() -> None:
    printed = CLIENT.format(11, "a", 1) + CLIENT.format(12, "b, the second", 20) + CLIENT.format(11, "a", 300)
    assert macos.gpu_clients(printed) == {11: ("a", 301), 12: ("b, the second", 20)}


def test_clocks_are_named_as_macos_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"raw": 500.0, "uptime": 380.0, "realtime": 1_000_500.0, "monotonic": 500.0}
    clocks: dict[str, Any] = {"CLOCK_MONOTONIC_RAW": "raw", "CLOCK_UPTIME_RAW": "uptime"}
    clocks |= {"CLOCK_REALTIME": "realtime", "CLOCK_MONOTONIC": "monotonic", "clock_gettime": values.__getitem__}
    for name, value in clocks.items():
        monkeypatch.setattr(time, name, value, raising=False)
    assert macos._clocks() == (120.0, 1_000_000.0)


@pytest.mark.skipif(platform.system() != "Linux", reason="its hogs name themselves in /proc")
def test_psutil_tells_our_tree_from_others(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a Mac is asked through psutil is the same on Linux."""
    monkeypatch.setattr(macos, "_TREE_SECONDS", 0.0)
    with hogging("ours", by_a_child=True) as (ours,):
        found = readings(commands, ours)
        first = found.processors()
        assert isinstance(first, Processors)
        wait_until(lambda: _own(found) - first.own_seconds > 0.3, "our child has worked", 60)
        worked = _own(found)
    # What has ended keeps what it used.
    assert _own(found) >= worked
    assert _own(found) == _own(found)


def _own(found: MacReadings) -> float:
    now = found.processors()
    assert now is not None
    return now.own_seconds
