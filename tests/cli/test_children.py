"""Services that `run` and `up` start: they are found again, and only they are stopped."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cli.children import Kept, noted, open_log, start_service, stop_noted, stop_service
from tests.cli.conftest import Command
from tests.commands import ROOT
from tests.services import stop_process
from tests.waiting import wait_until


@pytest.fixture
def stranger() -> Iterator["subprocess.Popen[bytes]"]:
    """Give a process that is no service."""
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as process:
        yield process
        stop_process(process)


@pytest.fixture
def beat(
    home: Path, broker_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start beat as a service of the home."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("BENCHBEAT_BROKER_URL", broker_url)
    log = tmp_path / "beat.log"
    with log.open("wb") as output:
        process = start_service(home, "beat", output=output)
    wait_until(lambda: "beat looks after" in log.read_text(), "beat ticks", 60)
    yield process
    stop_process(process, signal.SIGKILL)


def note(home: Path, pid: int, started: float, what: str = "worker") -> Path:
    """Write a note as a service leaves it."""
    file = home / "services" / f"{pid}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"pid": pid, "started": started, "what": what}))
    return file


def test_a_home_without_services_has_none(home: Path) -> None:
    assert noted(home) == []
    assert stop_noted(home) == []


def test_a_service_is_noted_and_stopped(home: Path, beat: "subprocess.Popen[bytes]") -> None:
    assert noted(home) == [f"beat (process {beat.pid})"]
    # Ctrl-C here must not reach it.
    assert os.getsid(beat.pid) == beat.pid != os.getsid(0)
    stop_service(beat)
    assert beat.returncode == 0
    assert noted(home) == []
    stop_service(beat)


def test_a_service_that_dies_is_started_again_and_one_that_is_stopped_stays_so(
    home: Path, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("BENCHBEAT_BROKER_URL", broker_url)
    said: list[str] = []
    kept = Kept(home, "--quiet", "beat")
    try:
        first = kept.pid
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: kept.look(said.append) and kept.pid != first, "it is started again", 60)
        assert said == ["beat died (SIGKILL); it is started again in 1 s"]
        assert noted(home) == [f"--quiet beat (process {kept.pid})"]
    finally:
        kept.stop()
    assert not kept.look(said.append)
    assert kept.over
    assert len(said) == 1


def test_a_service_that_is_given_what_is_wrong_is_not_started_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("BENCHBEAT_BROKER_URL", "redis://127.0.0.1:1/0")
    said: list[str] = []
    kept = Kept(home, "beat")
    wait_until(lambda: not kept.look(said.append), "it is given up", 60)
    assert (kept.over, said) == (True, [])


def test_a_service_of_an_earlier_command_is_stopped(
    benchbeat: Command, home: Path, beat: "subprocess.Popen[bytes]"
) -> None:
    assert benchbeat("down").out == f"stopped beat (process {beat.pid})\n"
    assert beat.wait(timeout=10) == 0
    assert benchbeat("down").out == "nothing was running\n"


def test_up_refuses_to_start_a_second_time(benchbeat: Command, home: Path, beat: "subprocess.Popen[bytes]") -> None:
    done = benchbeat("up")
    assert (done.code, done.out) == (1, "")
    assert done.err == f"Error: benchbeat is up already: beat (process {beat.pid}). Stop it with `benchbeat down`.\n"


def test_a_process_that_got_a_services_number_later_is_left_alone(
    home: Path, stranger: "subprocess.Popen[bytes]"
) -> None:
    file = note(home, stranger.pid, psutil.Process(stranger.pid).create_time() - 60)
    assert noted(home) == []
    assert stop_noted(home) == []
    assert stranger.poll() is None
    assert not file.exists()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"pid": "x"}', "null"])
def test_a_note_that_says_nothing_is_passed_over(home: Path, text: str) -> None:
    file = note(home, 1, 0.0)
    file.write_text(text)
    assert noted(home) == []
    assert stop_noted(home) == []
    assert not file.exists()


def test_a_service_that_ended_by_itself_is_forgotten(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with (tmp_path / "log").open("wb") as output:
        process = start_service(home, "--version", output=output)
    assert process.wait(timeout=30) == 0
    assert (tmp_path / "log").read_text().startswith("benchbeat ")
    assert noted(home) == []


def test_a_log_is_set_aside_before_it_gets_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler.logs.LOG_BYTES", 6)
    file = tmp_path / "logs" / "worker.log"
    for words in (b"one", b"two", b"three"):
        with open_log(file) as log:
            log.write(words)
    assert (file.read_bytes(), file.with_name("worker.log.1").read_bytes()) == (b"three", b"onetwo")


def test_what_up_starts_knows_it(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_BENCHBEAT_LAUNCH", "ssh")
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\necho "$_BENCHBEAT_LAUNCH"\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    for by in ("up", "run"):
        with (tmp_path / by).open("wb") as output:
            start_service(home, "worker", by=by, output=output).wait(timeout=30)
        assert (tmp_path / by).read_text() == f"{by} (ssh)\n"


def test_up_starts_beside_a_worker_of_one_batch(benchbeat: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.children.noted", lambda home: ["worker --batch 3 (process 1)"])
    # It goes on to the broker, which the test's home has not got.
    assert "127.0.0.1:1" in benchbeat("up").err
