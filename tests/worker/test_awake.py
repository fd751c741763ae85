"""The machine stays awake while jobs run, and falls asleep again however the worker ends."""

import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.commands import environment
from tests.services import stop_process
from tests.waiting import wait_until
from worker import awake
from worker.awake import Awake

#: as the real one: it runs a command and ends with it
INHIBIT = '#!/bin/sh\necho $$ "$@" >> {calls}\nshift 4\n"$@"\n'
#: as the real one: it ends with the process that it is told to watch
CAFFEINATE = '#!/bin/sh\necho $$ "$@" >> {calls}\nwhile kill -0 "$3" 2>/dev/null; do sleep 0.02; done\n'
OPTIONS = "--what=sleep:idle --who=benchbeat --why=A benchmark is running --mode=block cat"

HOLDER = """
import sys
from worker.awake import Awake

with Awake(system=sys.argv[1]).kept():
    print("kept", flush=True)
    sys.stdin.read()
"""


class Programs:
    """A folder in front of PATH with helpers that note how they are called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = folder / "calls"

    def put(self, name: str, text: str) -> None:
        """Write a program."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / name).write_text(text.format(calls=self.calls))
        (self.folder / name).chmod(0o755)

    def called(self) -> list[tuple[int, str]]:
        """Return the process and the arguments of every call."""
        if not self.calls.exists():
            return []
        found = (line.split(" ", 1) for line in self.calls.read_text().splitlines())
        return [(int(pid), arguments) for pid, arguments in found]

    def wait_call(self, number: int = 1) -> tuple[int, str]:
        """Wait until a helper has been called so often; return its last call."""
        return wait_until(lambda: self.called()[number - 1 : number], "the helper runs")[0]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Give stand-ins for the systems' helpers."""
    made = Programs(tmp_path / "programs")
    made.put("systemd-inhibit", INHIBIT)
    made.put("caffeinate", CAFFEINATE)
    monkeypatch.setenv("PATH", f"{made.folder}{os.pathsep}{os.environ['PATH']}")
    return made


@pytest.fixture
def make() -> Iterator[Callable[..., Awake]]:
    """Make what is closed at the end of the test."""
    made: list[Awake] = []

    def one(system: str = "Linux", **options: float) -> Awake:
        made.append(Awake(system=system, **options))
        return made[-1]

    yield one
    for each in made:
        each.close()


def alive(pid: int) -> bool:
    """Whether a process runs."""
    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


def helpers_left(pid: int) -> list[psutil.Process]:
    """Return what a helper runs."""
    with suppress(psutil.NoSuchProcess):
        return list(psutil.Process(pid).children())
    return []


def fail_with(words: str) -> None:
    """Fail as a job may."""
    raise ValueError(words)


def test_linux_is_kept_awake_until_it_is_closed(programs: Programs, make: Callable[..., Awake]) -> None:
    it = make()
    with it.kept():
        pid, arguments = programs.wait_call()
        assert arguments == OPTIONS
        [waits] = wait_until(lambda: helpers_left(pid), "the helper runs its command")
        # Ctrl-C in the worker's terminal must not end it before the job has gone back.
        assert os.getsid(pid) == pid != os.getsid(0)
    assert alive(pid)
    it.close()
    assert not alive(pid)
    wait_until(lambda: not alive(waits.pid), "its command has ended too")


def test_a_mac_is_kept_awake_until_it_is_closed(programs: Programs, make: Callable[..., Awake]) -> None:
    it = make("Darwin")
    with it.kept():
        pid, arguments = programs.wait_call()
        assert arguments == f"-i -w {os.getpid()}"
    it.close()
    assert not alive(pid)


def test_a_row_of_jobs_starts_one_helper(programs: Programs, make: Callable[..., Awake]) -> None:
    it = make()
    for _ in range(5):
        with it.kept():
            pid, _ = programs.wait_call()
    assert len(programs.called()) == 1
    assert alive(pid)


def test_a_worker_that_is_idle_for_a_moment_keeps_the_machine_awake(
    programs: Programs, make: Callable[..., Awake]
) -> None:
    it = make()
    with it.kept():
        pid, _ = programs.wait_call()
    it.release_idle()
    assert alive(pid)


def test_an_idle_worker_lets_the_machine_sleep(programs: Programs, make: Callable[..., Awake]) -> None:
    it = make(linger_seconds=0.0)
    with it.kept():
        pid, _ = programs.wait_call()
        it.release_idle()
        assert alive(pid), "a job runs"
    it.release_idle()
    assert not alive(pid)
    with it.kept():
        second, _ = programs.wait_call(2)
        assert alive(second)


def test_a_helper_that_was_killed_is_replaced(programs: Programs, make: Callable[..., Awake]) -> None:
    it = make("Darwin")
    with it.kept():
        pid, _ = programs.wait_call()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not alive(pid), "it is dead")
    with it.kept():
        assert alive(programs.wait_call(2)[0])


@pytest.mark.parametrize("system", ["Linux", "Darwin"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_the_worker(programs: Programs, system: str, number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-P", "-c", HOLDER, system],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"kept\n"
        pid, _ = programs.wait_call()
        stop_process(holder, number)
    wait_until(lambda: not alive(pid), "the helper has ended")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("#!/bin/sh\necho Failed to connect to bus >&2\nexit 1\n", "systemd-inhibit: Failed to connect to bus"),
        ("#!/bin/sh\nexit 3\n", "systemd-inhibit: exit code 3"),
        ("no program\x00", "systemd-inhibit can't be started: "),
    ],
)
def test_a_refusal_is_said_once(
    programs: Programs,
    make: Callable[..., Awake],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    text: str,
    said: str,
) -> None:
    programs.put("systemd-inhibit", text)
    monkeypatch.setenv("PATH", str(programs.folder))
    caplog.set_level(logging.INFO, "benchbeat.worker")
    it = make()
    with it.kept():
        wait_until(lambda: caplog.messages, "it is said")
    for _ in range(3):
        with it.kept():
            pass
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"this machine can't be kept awake while jobs run ({said}")


@pytest.mark.parametrize(
    ("system", "said"),
    [("Linux", "there is no systemd-inhibit"), ("Darwin", "there is no caffeinate"), ("FreeBSD", "nothing is known")],
)
def test_a_machine_that_can_t_be_kept_awake_says_so(
    make: Callable[..., Awake],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    system: str,
    said: str,
) -> None:
    monkeypatch.setenv("PATH", "")
    caplog.set_level(logging.INFO, "benchbeat.worker")
    for _ in range(2):
        with make(system).kept():
            pass
    assert [said in message for message in caplog.messages] == [True, True]


def test_what_runs_inside_may_fail(programs: Programs, make: Callable[..., Awake]) -> None:
    it = make()
    with pytest.raises(ValueError, match="the job"), it.kept():
        fail_with(f"the job failed beside {programs.wait_call()[0]}")
    it.close()
    assert not alive(programs.called()[0][0])


def test_this_machine_s_own_helper_is_asked_as_it_wants_to_be(make: Callable[..., Awake]) -> None:
    command = awake._command("Darwin" if sys.platform == "darwin" else "Linux")
    assert command is not None
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]} here")
    done = subprocess.run([command[0], "--help"], capture_output=True, text=True)
    known = done.stdout + done.stderr
    for option in command[1:]:
        if option.startswith("--"):
            assert option.split("=")[0] in known
