"""Services that `run` and `up` start: processes of their own, noted in the home so that `down` finds them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

from worker.facts import LAUNCH_VARIABLE, launch_context

_STOP_SECONDS = 15.0
#: a service that lived so long did not die of its start
_LONG_LIFE_SECONDS = 60.0
_MOST_QUICK_DEATHS = 5


def start_service(
    home: Path, *arguments: str, by: str = "up", output: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """Start `benchbeat ARGUMENTS` for the command `by`, in a process session of its own: Ctrl-C does not reach it."""
    command = [sys.executable, "-P", "-m", "cli.main", "--home", str(home), *arguments]
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output and subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, LAUNCH_VARIABLE: f"{by} ({launch_context()})"},
    )
    _note(home, child.pid, " ".join(arguments))
    return child


def open_log(file: Path) -> IO[bytes]:
    """Open a service's log to be gone on with; a large one is set aside, with the number that its service gives it."""
    from scheduler.logs import LOG_BYTES

    file.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        if file.stat().st_size >= LOG_BYTES:
            os.replace(file, file.with_name(f"{file.name}.1"))
    return file.open("ab")


class Kept:
    """A service that is started again when it dies. One that ended by itself, or was told to, stays ended."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self._home, self._arguments = home, arguments
        self._name = next(each for each in arguments if not each.startswith("-"))
        #: deaths with less than a minute of life between them
        self._quick_deaths = 0
        self._start_at = 0.0
        self.over = False
        self._start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    def look(self, say: Callable[[str], None]) -> bool:
        """Start it again where it died, after a pause that grows. False where it is over."""
        code = self._child.poll()
        if code is None:
            return True
        if self._start_at == 0.0:
            # Told to stop, by `down` perhaps; or what it was given is wrong, and would be again (2).
            lived = time.monotonic() - self._started
            self._quick_deaths = self._quick_deaths + 1 if lived < _LONG_LIFE_SECONDS else 1
            self.over = code in (0, 2, -signal.SIGTERM, -signal.SIGINT) or self._quick_deaths > _MOST_QUICK_DEATHS
            if self.over:
                return False
            pause = 2.0 ** (self._quick_deaths - 1)
            say(f"{self._name} died ({_death(code)}); it is started again in {pause:g} s")
            self._start_at = time.monotonic() + pause
        elif time.monotonic() >= self._start_at:
            self._start()
        return True

    def stop(self) -> None:
        """Ask it to stop, and wait."""
        stop_service(self._child)

    def _start(self) -> None:
        self._start_at, self._started = 0.0, time.monotonic()
        self._child = start_service(self._home, *self._arguments)


def _death(code: int) -> str:
    return f"exit code {code}" if code > 0 else signal.Signals(-code).name


def stop_service(child: subprocess.Popen[bytes]) -> None:
    """Ask a service to stop, and wait; it gives its job back to the queue."""
    if child.poll() is None:
        child.terminate()
    with suppress(subprocess.TimeoutExpired):
        child.wait(_STOP_SECONDS)
    if child.poll() is None:
        child.kill()
        child.wait()


def stop_noted(home: Path) -> list[str]:
    """Stop the services that earlier commands left running in this home. Returns what they were."""
    stopped = []
    for file in sorted(_folder(home).glob("*.json")):
        process, what = _alive(file)
        if process is not None:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGTERM)
                _wait(process)
            stopped.append(f"{what} (process {process.pid})")
        file.unlink(missing_ok=True)
    return stopped


def noted(home: Path) -> list[str]:
    """Return the services of this home that run."""
    found = ((_alive(file), file) for file in sorted(_folder(home).glob("*.json")))
    return [f"{what} (process {process.pid})" for (process, what), _ in found if process is not None]


def _wait(process: psutil.Process) -> None:
    try:
        process.wait(_STOP_SECONDS)
    except psutil.TimeoutExpired:
        process.kill()


def _folder(home: Path) -> Path:
    return home / "services"


def _note(home: Path, pid: int, what: str) -> None:
    # The start time tells a service from another program that got its process id later.
    with suppress(psutil.NoSuchProcess):
        folder = _folder(home)
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.json"):
            if _alive(old)[0] is None:
                old.unlink(missing_ok=True)
        text = json.dumps({"pid": pid, "started": psutil.Process(pid).create_time(), "what": what})
        (folder / f"{pid}.json").write_text(text, encoding="utf-8")


def _alive(file: Path) -> tuple[psutil.Process | None, str]:
    try:
        noted = json.loads(file.read_text(encoding="utf-8"))
        process = psutil.Process(noted["pid"])
        if abs(process.create_time() - noted["started"]) < 1 and process.status() != psutil.STATUS_ZOMBIE:
            return process, str(noted["what"])
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        pass  # a note that was cut off, or a process that ended
    return None, ""
