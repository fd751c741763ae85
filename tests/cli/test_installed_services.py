"""What `benchbeat service` installed runs, logs, ends and starts again."""

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.cli.pretended import System
from tests.commands import ROOT
from tests.services import stop_process
from tests.waiting import wait_until


@pytest.fixture
def start(system: System) -> Iterator[Callable[[str], "subprocess.Popen[bytes]"]]:
    """Start an installed service as its supervisor would: with its command line and little environment."""
    started: list[subprocess.Popen[bytes]] = []

    def one(kind: str) -> "subprocess.Popen[bytes]":
        command, environment = system.described(kind)
        process = subprocess.Popen(
            command,
            env={"HOME": str(system.user_home), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield one
    for process in started:
        if process.poll() is None:
            stop_process(process, signal.SIGKILL)
        if process.stdout is not None:
            process.stdout.close()


def text(log: Path) -> str:
    """Return what stands in a log."""
    return log.read_text() if log.exists() else ""


def begun_or_ended(log: Path, words: str, times: int, process: "subprocess.Popen[bytes]") -> bool:
    """Whether a service has said so often that it works, or will not any more."""
    return text(log).count(words) >= times or process.poll() is not None


def test_what_was_installed_runs_logs_ends_and_starts_again(
    benchbeat: Command,
    home: Path,
    redis: str,
    monkeypatch: pytest.MonkeyPatch,
    system: System,
    start: Callable[[str], "subprocess.Popen[bytes]"],
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("BENCHBEAT_LOG_FORMAT", "json")
    assert benchbeat("service", "install", "beat").code == 0
    log = home / "logs" / "beat.log"
    for number in (1, 2):
        process = start("beat")
        wait_until(partial(begun_or_ended, log, "beat looks after", number, process), "beat ticks", 60)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert process.stdout is not None
        assert process.stdout.read() == b""  # all it says is in its log
    assert {json.loads(line)["level"] for line in log.read_text().splitlines()} == {"info"}


def test_a_service_that_can_t_start_says_why_in_its_log(
    benchbeat: Command,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    linux: System,
    secrets: None,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("BENCHBEAT_DATABASE_URL", f"sqlite:///{home}/history.db")
    monkeypatch.setenv("BENCHBEAT_BROKER_URL", "redis://:broker-word@127.0.0.1:1/0")
    assert benchbeat("service", "install", "beat").code == 0
    command, environment = linux.described("beat")
    done = subprocess.run(command, env={"HOME": str(home), **environment}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    log = (home / "logs" / "beat.log").read_text()
    assert "CRITICAL Redis at redis://127.0.0.1:1/0 can't be reached" in log
    assert "broker-word" not in log + done.stderr
    assert "can't be reached" in done.stderr


def test_what_launchd_collects_does_not_grow_without_end(
    benchbeat: Command, home: Path, mac: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = home / "logs" / "beat.err"
    errors.parent.mkdir()
    errors.write_bytes(b"x" * 2**20)
    benchbeat("service", "run", "beat")
    assert errors.stat().st_size == 2**20
    errors.write_bytes(b"x" * (2**20 + 1))
    benchbeat("service", "run", "beat")
    assert errors.stat().st_size == 0


def test_an_installed_worker_runs(
    benchbeat: Command, home: Path, redis: str, linux: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    assert benchbeat("service", "install", "worker", "--device", "cpu").code == 0
    command, environment = linux.described("worker")
    log = home / "logs" / "worker.log"
    with subprocess.Popen(command, env={"HOME": str(linux.user_home), **environment}) as process:
        try:
            wait_until(partial(begun_or_ended, log, "worker test-machine-cpu-", 1, process), "it works", 120)
            process.terminate()
            assert process.wait(30) == 0, text(log)
        finally:
            process.kill()
