import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.errors import UnavailableError
from tests.worker.processes import Stack, stack
from worker import service
from worker.service import probe_device


@pytest.fixture(scope="module")
def it(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    file = folder / "history.db"
    file.write_bytes(sqlite_template.read_bytes())
    with stack(folder, f"sqlite:///{file}", {}) as made:
        yield made


def test_a_worker_that_starts_and_stops(it: Stack) -> None:
    worker = it.worker()
    [row] = it.workers()
    assert row.id.startswith("test-machine-cpu-")
    assert (row.machine_id, row.device, row.batch_id, row.pid) == ("test-machine", "cpu", None, worker.pid)
    assert {"any.1", "cpu.1", "machine.test-machine", "machine.test-machine.cpu"} <= set(json.loads(row.queues))
    assert (row.job_id, row.loaded, row.stopped_at) == (None, None, None)
    worker.send_signal(signal.SIGINT)
    assert worker.wait(30) == 0
    assert it.workers()[0].stopped_at is not None
    assert it.processes() == []


def test_a_worker_without_redis_says_so(it: Stack) -> None:
    it.environment["BENCHBEAT_BROKER_URL"] = "redis://:secret@127.0.0.1:1/0"
    try:
        done = it.call("worker")
    finally:
        del it.environment["BENCHBEAT_BROKER_URL"]
    assert done.returncode == 2
    assert done.stderr.startswith("Error: Redis at redis://127.0.0.1:1/0 can't be reached (Connection refused).")
    assert len(done.stderr.splitlines()) == 1


def test_a_device_that_is_not_there_is_told() -> None:
    missing = "CUDA" if sys.platform == "darwin" else "MPS"
    with pytest.raises(UnavailableError, match=f"no {missing} device"):
        probe_device(missing.lower())


def test_a_probe_that_breaks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'Illegal instruction' >&2\nexit 132\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(UnavailableError, match="The device can't be looked at: Illegal instruction"):
        probe_device("cpu")
    broken.write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(service, "_PROBE_SECONDS", 0.2)
    with pytest.raises(UnavailableError, match=r"The device did not answer within 0\.2 s"):
        probe_device("cpu")
