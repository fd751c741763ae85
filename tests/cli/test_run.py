"""`run`, as far as it goes without a model: whose worker works, what is said at the end and after Ctrl-C."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from db.engine import Database
from db.jobs import fail_job
from db.runs import store_measurement
from db.tables import batch
from tests.cli.conftest import Command
from tests.db.builders import add_worker, claimed_by, measurement

SMALL = ("--model", "smollm2-135m", "--workload", "facts", "--items", "2")


class FakeWorker:
    """Stands for the worker process that `run` starts: it acts on the database when it is looked at."""

    def __init__(self, database: Database, *, fails: bool = False, signalled: int = 0) -> None:
        self.database, self.fails, self.signalled = database, fails, signalled
        self.pid, self.stopped, self.returncode = 1, False, 0

    def poll(self) -> int | None:
        """Do the work, once."""
        if self.signalled:
            number, self.signalled = self.signalled, 0
            signal.raise_signal(number)
        job = claimed_by(self.database, add_worker(self.database, queues=("any.1",)))
        if self.fails:
            fail_job(self.database, job.id, job.attempt, error="the model is gone", max_attempts=1)
        else:
            store_measurement(self.database, job.id, job.attempt, "machine-a", measurement({"accuracy": 0.5}))
        return 0


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[FakeWorker]:
    """Let `run` start the first of this list; what it starts it also stops."""
    workers: list[FakeWorker] = []

    def start(*_: object) -> FakeWorker:
        return workers[0]

    def stop(worker: FakeWorker) -> None:
        worker.stopped = True

    monkeypatch.setattr("cli.run._start_worker", start)
    monkeypatch.setattr("cli.run.stop_service", stop)
    monkeypatch.setattr("cli.follow._LOOK_SECONDS", 0.0)
    return workers


def test_a_batch_is_run_by_a_worker_of_its_own_and_its_results_are_printed(
    benchbeat: Command, history: Database, redis: str, started: list[FakeWorker]
) -> None:
    started.append(FakeWorker(history))
    done = benchbeat("run", *SMALL, "-o", "csv")
    assert done.code == 0
    assert done.err.splitlines() == [
        "batch 1: options: 1 job (1 model, 1 workload)",
        "[1/1] job 1 done: smollm2-135m facts direct float32: accuracy 0.500",
    ]
    # Nothing but the results, so that they may go into a file.
    assert done.out.splitlines()[1].startswith("1,")
    assert started[0].stopped


def test_a_failed_job_is_named_with_its_reason_and_the_log(
    benchbeat: Command, history: Database, home: Path, redis: str, started: list[FakeWorker]
) -> None:
    started.append(FakeWorker(history, fails=True))
    done = benchbeat("run", *SMALL)
    assert done.code == 4
    assert "job 1 failed: smollm2-135m facts direct float32: the model is gone\n" in done.err
    assert done.err.endswith(f"Nothing was measured; the worker's log is {home}/logs/worker.log\n")
    assert "begin with" not in done.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_leaves_the_rest_queued_and_says_how_to_go_on(
    benchbeat: Command, history: Database, redis: str, started: list[FakeWorker], number: int, code: int
) -> None:
    started.append(FakeWorker(history, signalled=number))
    done = benchbeat("run", *SMALL)
    assert done.code == code
    assert done.err.endswith(
        "Stopping ...\nBatch 1 keeps 1 unfinished job. "
        "Go on with `benchbeat up`, or cancel with `benchbeat cancel --batch 1`.\n"
    )
    assert started[0].stopped


def test_a_worker_of_this_machine_that_runs_already_does_the_work(
    benchbeat: Command, history: Database, redis: str, started: list[FakeWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    add_worker(history, "resident", machine_id="test-machine", pid=os.getpid(), queues=("any.1",))
    monkeypatch.setattr("cli.run.follow", lambda database, batch_id, **_: _measured(database, batch_id))
    done = benchbeat("run", *SMALL)
    assert done.code == 0
    assert "worker resident runs on this machine and does the work\n" in done.err


def _measured(database: Database, batch_id: int) -> object:
    from cli.follow import snapshot

    FakeWorker(database).poll()
    return snapshot(database, batch_id)


def test_a_worker_whose_process_is_gone_does_not_count(
    benchbeat: Command, history: Database, redis: str, started: list[FakeWorker]
) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    add_worker(history, "resident", machine_id="test-machine", pid=gone.pid, queues=("any.1",))
    started.append(FakeWorker(history))
    assert benchbeat("run", *SMALL).code == 0
    assert started[0].stopped


def test_a_batch_that_was_run_before_with_this_key_is_only_printed(
    benchbeat: Command, history: Database, redis: str, started: list[FakeWorker]
) -> None:
    started.append(FakeWorker(history))
    benchbeat("run", *SMALL, "--key", "k")
    started[0] = FakeWorker(history)
    again = benchbeat("run", *SMALL, "--key", "k")
    assert again.code == 0
    assert again.err.startswith("batch 1: queued before with this key\n")
    assert not started[0].stopped


def test_without_redis_nothing_is_stored(benchbeat: Command, history: Database) -> None:
    done = benchbeat("run", *SMALL)
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "Error: Redis at redis://127.0.0.1:1/0 can't be reached (Connection refused). "
        "Start one with `redis-server`, or unset BENCHBEAT_BROKER_URL to use the embedded one.\n"
    )
    with history.read() as connection:
        assert connection.execute(select(batch)).all() == []
