import json
import os
import subprocess
import sys
from typing import Any

import pytest

from worker import probe as module
from worker.facts import Probe, system_memory_bytes
from worker.probe import main, probe


def test_the_cpu_is_described_in_full() -> None:
    found = probe("cpu")
    assert (found.device, found.device_index, found.driver) == ("cpu", 0, None)
    assert found.system_memory_mib == system_memory_bytes() // 2**20
    assert 0.79 < found.memory_mib / found.system_memory_mib < 0.81
    assert found.threads >= 1
    assert found.torch_version[0].isdigit()
    assert found.transformers_version[0].isdigit()


def test_a_process_prints_one_json_object() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "worker.probe", "--device", "cpu"], capture_output=True, text=True, check=True
    )
    found = Probe.model_validate_json(done.stdout)
    assert found.model_dump(exclude={"threads"}) == probe("cpu").model_dump(exclude={"threads"})
    # Of its own process: in this one another test may have set torch's.
    assert found.threads == int(os.environ["OMP_NUM_THREADS"])


def _error(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 1
    answer: dict[str, str] = json.loads(capsys.readouterr().out)
    assert list(answer) == ["error"]
    return answer["error"]


def test_a_device_that_is_not_there_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no CUDA device 99" in _error(capsys, "--device", "cuda", "--device-index", "99")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ModuleNotFoundError("No module named 'torch'", name="torch"), "torch is not installed: pip install"),
        (RuntimeError("driver too old"), "could not be looked at: RuntimeError: driver too old"),
    ],
)
def test_whatever_fails_is_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    def fail(*arguments: Any) -> Probe:
        raise error

    monkeypatch.setattr(module, "probe", fail)
    assert sentence in _error(capsys)
