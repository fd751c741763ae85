import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from worker.facts import Probe, cgroup_limits, chip_name, os_build, source_state, system_memory_bytes


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
