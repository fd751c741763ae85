import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bench.errors import UnavailableError
from tests.waiting import wait_until
from tests.worker.processes import Stack, stack
from worker import service
from worker.service import probe_device

#: what a worker's main process may hold in memory
RESIDENT_MIB = 120


@pytest.fixture(scope="module")
def it(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path, tiny_qwen: Path) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    file = folder / "history.db"
    file.write_bytes(sqlite_template.read_bytes())
    with stack(folder, f"sqlite:///{file}", {"tiny": tiny_qwen}) as made:
        yield made


def test_a_worker_for_one_batch(it: Stack) -> None:
    """It leaves the other batches alone, costs next to nothing while it measures, and ends with its batch."""
    backlog = it.submit_speed(2)
    batch_id = it.submit_speed(2, seconds=2.5)
    worker = it.start("worker", "--batch", str(batch_id))
    worker_id = it.wait_registered(worker)
    job = it.wait_measuring(batch_id)
    _is_small_and_idle(it, worker, batch_id)
    [row] = it.workers()
    assert (row.id, row.machine_id, row.device, row.batch_id) == (worker_id, "test-machine", "cpu", batch_id)
    assert {"any.1", "cpu.1", "machine.test-machine", "machine.test-machine.cpu"} <= set(json.loads(row.queues))
    assert (row.job_id, row.loaded, row.stopped_at) == (job.id, job.session_key, None)
    assert worker.wait(60) == 0
    it.assert_nothing_lost(batch_id)
    assert [each.state for each in it.jobs(backlog)] == ["queued", "queued"]
    [row] = it.workers()
    assert (row.job_id, row.stopped_at is None) == (None, False)
    assert it.redis().keys("batch.*") == []
    assert it.redis().llen("any.1") == 4, "the rings of the shared queue are left to others"
    assert it.processes() == []


def _is_small_and_idle(it: Stack, worker: "subprocess.Popen[bytes]", batch_id: int) -> None:
    main = psutil.Process(worker.pid)
    assert main.memory_info().rss < RESIDENT_MIB * 2**20
    maps = Path(f"/proc/{worker.pid}/maps")
    if maps.exists():  # on Linux
        files = maps.read_text()
        assert "_sqlite3" in files
        assert "torch" not in files
        assert "tokenizers" not in files
    before = _seconds(main)
    began = it.jobs(batch_id)[0].started_at
    wait_until(lambda: it.workers()[0].seen_at > began + 1.5, "a few ticks have passed")
    assert _seconds(main) - before < 0.3


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


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
