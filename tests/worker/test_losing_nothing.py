"""Faults against real processes: every accepted job is done, by one run, and its attempts explain how.

One worker serves the tests of a database, one after the other, except where it is what gets killed.
"""

import base64
import json
import os
import pickle
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import psutil
import pytest

from db.schema import upgrade
from scheduler.app import RUN_JOB
from tests.services import running_postgresql
from tests.waiting import wait_until
from tests.worker.postgresql import StoppablePostgreSQL
from tests.worker.processes import START_SECONDS, Stack, stack

pytestmark = pytest.mark.alone

#: for what is the same with both: starting workers and sessions takes its time
sqlite_only = pytest.mark.parametrize("ground", ["sqlite"], indirect=True)


class Ground(NamedTuple):
    """A stack, and a context in which nobody else can write to its database."""

    stack: Stack
    away: Callable[[], AbstractContextManager[None]]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def ground(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_qwen: Path
) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("stack")
    if request.param == "sqlite":
        file = folder / "history.db"
        upgrade(f"sqlite:///{file}")
        with stack(folder, f"sqlite:///{file}", {"tiny": tiny_qwen}) as made:
            yield Ground(made, lambda: _locked(file))
    else:
        with running_postgresql() as running, StoppablePostgreSQL(running) as server:
            running.execute("CREATE DATABASE {name}", name="benchbeat")
            upgrade(running.url("benchbeat"))
            with stack(folder, running.url("benchbeat"), {"tiny": tiny_qwen}) as made:
                yield Ground(made, server.away)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.close()


def kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill a worker, and wait until its session has followed it."""
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    wait_until(lambda: not any(child.is_running() for child in children), "the session has ended with its worker")


def outcomes(ground: Stack, batch_id: int) -> Counter[str]:
    return Counter(each.outcome for each in ground.attempts(batch_id))


def test_a_flushed_redis_loses_no_job(ground: Ground) -> None:
    it = ground.stack
    worker = it.worker()
    batch_id = it.submit_speed(6, seconds=0.3)
    it.wait_running(batch_id, done=1)
    it.redis().flushall()
    it.wait_ended(batch_id)
    it.assert_nothing_lost(batch_id)
    assert outcomes(it, batch_id) == {"done": 6}
    # What is submitted afterwards rings as ever.
    after = it.submit_speed(2)
    it.wait_ended(after)
    assert worker.poll() is None


@sqlite_only
def test_a_redis_that_is_killed_and_started_again_loses_no_job(ground: Ground) -> None:
    it = ground.stack
    worker = it.worker()
    for _ in range(2):
        batch_id = it.submit_speed(4, seconds=0.5)
        it.wait_running(batch_id, done=1)
        server = psutil.Process(int(it.redis().info("server")["process_id"]))
        server.kill()
        wait_until(lambda: not server.is_running(), "Redis is gone")  # noqa: B023
        assert it.broker, "started again"
        it.wait_ended(batch_id)
        it.assert_nothing_lost(batch_id)
        assert outcomes(it, batch_id) == {"done": 4}
    assert worker.poll() is None


@sqlite_only
def test_a_redis_that_is_full_or_drops_its_clients_loses_no_job(ground: Ground) -> None:
    it = ground.stack
    worker = it.worker()
    it.wait_ended(it.submit_speed(1))
    batch_id = it.submit_speed(4, seconds=0.5)
    it.wait_running(batch_id, done=1)
    failed = it.log("worker").count("the consumer failed")
    it.redis().config_set("maxmemory", 1000)
    try:
        wait_until(lambda: it.log("worker").count("the consumer failed") > failed, "the worker has met the full Redis")
    finally:
        it.redis().config_set("maxmemory", 0)
    it.redis().client_kill_filter(_type="normal", skipme=True)
    it.wait_ended(batch_id)
    it.assert_nothing_lost(batch_id)
    assert worker.poll() is None


def _message(body: str, content_type: str = "application/json", **headers: str) -> str:
    """Return a message as kombu writes it, with a body that need not be one."""
    delivery = {"exchange": "", "routing_key": "any.1"}
    properties = {"body_encoding": "base64", "delivery_tag": uuid4().hex, "delivery_info": delivery}
    parts = {"body": body, "content-encoding": "utf-8", "content-type": content_type}
    return json.dumps({**parts, "headers": {"lang": "py", "id": uuid4().hex, **headers}, "properties": properties})


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


POISON: dict[str, str | bytes] = {
    "no JSON": "garbage{",
    "no text": b"\xff\xfe\x00",
    "a number": "7",
    "a list": "[1, 2]",
    "no properties": "{}",
    "no base64": _message("!!!", task=RUN_JOB),
    "a pickle": _message(_encoded(pickle.dumps([1])), "application/x-python-serialize", task=RUN_JOB),
    "an unknown task": _message(_encoded(b'[["ls"], {}, {}]'), task="os.system"),
    "no task": _message(_encoded(b'{"a": 1}')),
    "wrong arguments": _message(_encoded(b'[["x", 2, 3], {}, {}]'), task=RUN_JOB),
    "a job that is not there": _message(_encoded(b"[[999999], {}, {}]"), task=RUN_JOB),
}


@sqlite_only
def test_a_message_that_is_none_keeps_no_job_from_running(ground: Ground) -> None:
    it = ground.stack
    worker = it.worker()
    left = it.redis().hlen("unacked")
    for what, message in POISON.items():
        it.redis().lpush("any.1", message)
        batch_id = it.submit_speed(2)
        # What it lets through at once would be rung for by the next tick in any case.
        it.wait_ended(batch_id)
        it.assert_nothing_lost(batch_id)
        assert worker.poll() is None, what
    # It lies in the queue no more: it would come back for ever.
    wait_until(lambda: (it.redis().llen("any.1"), it.redis().hlen("unacked")) == (0, left), "the queue is empty")


@sqlite_only
def test_the_jobs_of_a_killed_session_are_tried_again_at_once(ground: Ground) -> None:
    it = ground.stack
    worker = it.worker()
    batch_id = it.submit_speed(3, seconds=1.0)
    job = it.wait_running(batch_id)
    session = it.wait_session(worker)
    os.kill(session, signal.SIGKILL)
    it.wait_ended(batch_id)
    it.assert_nothing_lost(batch_id)
    failed, again = [each for each in it.attempts(batch_id) if each.job_id == job.id]
    assert failed.outcome == "failed"  # not `lost`, which is what a lease that runs out leaves
    assert failed.error == "The session process was killed; the machine may have run out of memory"
    assert again.started_at - failed.finished_at < 1.0
    assert outcomes(it, batch_id) == {"done": 3, "failed": 1}


def test_a_killed_worker_loses_no_job(ground: Ground) -> None:
    it = ground.stack
    batch_id = it.submit_speed(6, seconds=0.5)
    worker = it.worker()
    it.wait_running(batch_id, done=2)
    kill(worker)
    held = it.batch(batch_id)
    assert (held.running, held.failed) == (1, 0)
    assert it.worker().pid != worker.pid
    it.wait_ended(batch_id)
    it.assert_nothing_lost(batch_id)
    assert outcomes(it, batch_id) == {"done": 6, "lost": 1}
    assert len({each.worker_id for each in it.attempts(batch_id)}) == 2


def test_a_result_is_stored_once_when_the_database_comes_back(ground: Ground) -> None:
    it = ground.stack
    it.worker()
    batch_id = it.submit_speed(3, seconds=1.0)
    it.wait_running(batch_id)
    with ground.away():
        wait_until(lambda: list((it.home / "spool").glob("*.json")), "a result waits in the spool", START_SECONDS)
    it.wait_ended(batch_id)
    it.assert_nothing_lost(batch_id)
    assert list((it.home / "spool").iterdir()) == []


@sqlite_only
def test_two_workers_on_a_device_never_measure_at_once(ground: Ground) -> None:
    it = ground.stack
    workers = [it.worker(), it.another_worker()]
    it.wait_ended(it.submit_speed(2, seconds=1.0))  # one each, so that both have loaded the model
    batch_id = it.submit_speed(8, seconds=0.3)
    it.wait_ended(batch_id)
    it.assert_nothing_lost(batch_id)
    assert len({each.worker_id for each in it.attempts(batch_id)}) == 2, "both took part"
    assert [each.poll() for each in workers] == [None, None]


@sqlite_only
def test_a_worker_that_is_suspended_past_its_lease_is_fenced(ground: Ground) -> None:
    it = ground.stack
    workers = [it.worker(), it.another_worker()]
    batch_id = it.submit_speed(1, seconds=3.0)
    job = it.wait_running(batch_id)
    suspended = psutil.Process(it.process_of(job.worker_id).pid)
    suspended.suspend()
    try:
        # It waits for the device now, which the suspended worker's session still holds.
        wait_until(lambda: it.jobs(batch_id)[0].worker_id != job.worker_id, "the other worker has taken the job")
    finally:
        suspended.resume()
    it.wait_ended(batch_id)
    it.assert_nothing_lost(batch_id)
    # What the first one measured was too late, where it came to that.
    assert [each.outcome for each in it.attempts(batch_id)] in (["lost", "done"], ["superseded", "done"])
    assert [each.poll() for each in workers] == [None, None]


@sqlite_only
def test_a_worker_that_is_told_to_stop_gives_its_job_to_the_other(ground: Ground) -> None:
    it = ground.stack
    _, _ = it.worker(), it.another_worker()
    batch_id = it.submit_speed(1, seconds=2.0)
    job = it.wait_running(batch_id)
    worker = it.process_of(job.worker_id)
    session = it.wait_session(worker)
    began = time.monotonic()
    worker.terminate()
    assert worker.wait(30) == 0
    assert time.monotonic() - began < 10
    assert not psutil.pid_exists(session)
    assert next(each.stopped_at for each in it.workers() if each.id == job.worker_id) is not None
    it.wait_ended(batch_id)
    it.assert_nothing_lost(batch_id)
    assert outcomes(it, batch_id) == {"returned": 1, "done": 1}
    assert it.jobs(batch_id)[0].failures == 0


def test_a_spooled_result_outlives_its_worker(ground: Ground) -> None:
    it = ground.stack
    worker = it.worker()
    batch_id = it.submit_speed(1, seconds=1.0)
    it.wait_running(batch_id)
    with ground.away():
        wait_until(lambda: list((it.home / "spool").glob("*.json")), "a result waits in the spool", START_SECONDS)
        kill(worker)
    assert it.batch(batch_id).done == 0
    it.worker()
    it.wait_ended(batch_id)
    it.assert_nothing_lost(batch_id)
    # Nothing was computed again.
    assert outcomes(it, batch_id) == {"done": 1}
    assert list((it.home / "spool").iterdir()) == []
