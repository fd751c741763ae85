import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.commands import environment
from worker import facts
from worker.facts import (
    LAUNCH_VARIABLE,
    Probe,
    cgroup_limits,
    chip_name,
    launch_context,
    os_build,
    source_state,
    system_memory_bytes,
)


def test_a_chip_and_a_system_have_names() -> None:
    assert len(chip_name()) > 2
    assert os.uname().release in os_build() or os_build().startswith("macOS ")


def test_memory_is_at_most_the_machine_s() -> None:
    assert 2**28 < system_memory_bytes() <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_the_source_state_is_this_checkout_s_or_nothing() -> None:
    state = source_state()
    assert (state.commit is None) == (state.dirty is None)
    assert state.commit is None or len(state.commit) == 40


def _group(root: Path, path: str, name: str, value: str) -> None:
    (root / path).mkdir(parents=True, exist_ok=True)
    (root / path / name).write_text(value)


def test_limits_of_control_groups_version_2_count_all_the_way_up(tmp_path: Path) -> None:
    _group(tmp_path, "a", "memory.max", "5000\n")
    _group(tmp_path, "a/b", "memory.max", "max\n")
    proc = tmp_path / "cgroup"
    proc.write_text("0::/a/b\n")
    assert cgroup_limits(proc, tmp_path) == [5000]


def test_limits_of_control_groups_version_1_are_those_of_the_memory_controller(tmp_path: Path) -> None:
    _group(tmp_path, "memory/box", "memory.limit_in_bytes", "7000")
    _group(tmp_path, "memory", "memory.limit_in_bytes", "9000")
    proc = tmp_path / "cgroup"
    proc.write_text("4:memory:/box\n3:cpuset:/\n0::/\n")
    assert sorted(cgroup_limits(proc, tmp_path)) == [7000, 9000]


def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert cgroup_limits(tmp_path / "none", tmp_path) == []


def test_a_probe_names_a_device_that_exists() -> None:
    fields = {
        "device_name": "Apple M4",
        "memory_mib": 12_000,
        "chip": "Apple M4",
        "os_build": "macOS 15.1 (24B83)",
        "system_memory_mib": 16_384,
        "python_version": "3.12.1",
        "torch_version": "2.13.0",
        "transformers_version": "5.23.0",
        "threads": 4,
    }
    assert Probe.model_validate({"device": "mps", **fields}).driver is None
    with pytest.raises(ValidationError, match="device"):
        Probe.model_validate({"device": "tpu", **fields})


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Take away what says how this process was started."""
    for name in (LAUNCH_VARIABLE, "SYSTEMD_EXEC_PID", "XPC_SERVICE_NAME", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(facts, "_has_terminal", lambda: False)
    monkeypatch.setattr(Path, "exists", lambda path: False)
    return monkeypatch


def test_a_process_that_nothing_is_known_of_says_so(nowhere: pytest.MonkeyPatch) -> None:
    assert launch_context() == "other"
    nowhere.setattr(facts, "_has_terminal", lambda: True)
    assert launch_context() == "terminal"


def test_who_started_a_process_is_seen(nowhere: pytest.MonkeyPatch) -> None:
    nowhere.setenv("SSH_CONNECTION", "192.0.2.1 50000 192.0.2.2 22")
    assert launch_context() == "ssh"
    nowhere.setattr(Path, "exists", lambda path: str(path) == "/.dockerenv")
    assert launch_context() == "container"
    nowhere.setattr(platform, "system", lambda: "Darwin")
    nowhere.setattr(os, "getppid", lambda: 1)
    nowhere.setenv("XPC_SERVICE_NAME", "0")
    assert launch_context() == "container"
    nowhere.setenv("XPC_SERVICE_NAME", "com.example.worker")
    assert launch_context() == "launchd"
    nowhere.setenv("SYSTEMD_EXEC_PID", str(os.getpid() + 1))
    assert launch_context() == "launchd"  # that unit started somebody above
    nowhere.setenv("SYSTEMD_EXEC_PID", str(os.getpid()))
    assert launch_context() == "systemd"
    nowhere.setenv(LAUNCH_VARIABLE, "up (ssh)")
    assert launch_context() == "up (ssh)"


def test_a_process_without_a_terminal_is_found_to_have_none() -> None:
    names = (LAUNCH_VARIABLE, "SYSTEMD_EXEC_PID", "SSH_CONNECTION")
    code = "from worker.facts import launch_context; print(launch_context())"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env=environment(**dict.fromkeys(names, "")),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
    )
    in_container = Path("/.dockerenv").exists() or Path("/run/.containerenv").exists()
    assert (done.stdout, done.stderr) == ("container\n" if in_container else "other\n", "")
