"""A close look at a device, on the CPU and on devices that err."""

import json
import subprocess
import sys
from typing import Any

import pytest
import torch

from tests.commands import ROOT
from tests.worker import tiny_whisper
from tests.worker.fakes import FakeDevice
from worker import verify
from worker.device import CpuDevice
from worker.verify import checks


@pytest.fixture(autouse=True)
def _files_are_read() -> None:
    tiny_whisper.read_own_files()


def states(device: CpuDevice) -> dict[str, tuple[str, str]]:
    return {check.what: (check.state, check.found) for check in checks(device)}


def test_the_cpu_is_well() -> None:
    found = states(CpuDevice())
    assert {what: state for what, (state, _) in found.items()} == {
        "device": "ok",
        "versions": "ok",
        "logits float32": "ok",
        "logits float16": "ok",
        "logits bfloat16": "ok",
        "packed int8": "ok",
        "packed int4": "ok",
        "memory": "skipped",
        "clock": "ok",
        "whisper": "ok",
    }
    assert "off by 0 (0.001 is allowed), future tokens by 0" in found["logits float32"][1]


def test_a_device_that_computes_something_else_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "furthest", lambda left, right: 0.5)
    monkeypatch.setattr(verify, "future_leak", lambda model, tokens: 0.25)
    found = states(CpuDevice())
    assert found["logits float32"] == ("failed", "off by 0.5 (0.001 is allowed), future tokens by 0.25")
    assert found["logits float16"][0] == "failed"
    assert found["packed int4"] == ("failed", "off by 0.5 (0.001 is allowed)")


class Leaky(FakeDevice):
    """An allocator whose memory only grows."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0

    def peak_bytes(self) -> int:
        self.peak += 64 * 2**20
        return self.peak


class Broken(FakeDevice):
    """A device that can't wait."""

    def synchronize(self) -> None:
        raise RuntimeError("the driver is gone")


def test_memory_that_stays_fails() -> None:
    assert states(Leaky())["memory"] == ("failed", "64 MiB made the peak grow by 64 MiB; 128.0 MiB stayed")


def test_what_raises_has_failed_and_the_others_go_on() -> None:
    found = states(Broken())
    assert found["clock"] == ("failed", "the driver is gone")
    assert found["logits float32"][0] == "ok"


def test_what_is_left_to_the_cpu_is_said() -> None:
    assert states(FakeDevice(fallbacks=("aten::odd",)))["logits float32"] == (
        "ok",
        "off by 0 (0.001 is allowed), future tokens by 0; left to the CPU: aten::odd",
    )


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="has the device")
def test_the_process_says_what_is_not_there() -> None:
    command = [sys.executable, "-P", "-m", "worker.verify", "--device", "mps"]
    done: Any = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "there is no MPS device" in json.loads(done.stdout)["error"]
