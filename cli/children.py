"""Services that `run` and `up` start: processes of their own, noted in the home so that `down` finds them."""

import json
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

_STOP_SECONDS = 15.0


def start_service(home: Path, *arguments: str, output: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
    """Start `benchbeat ARGUMENTS` in a process session of its own, so that Ctrl-C here does not reach it."""
    command = [sys.executable, "-P", "-m", "cli.main", "--home", str(home), *arguments]
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=output and subprocess.STDOUT, start_new_session=True
    )
    _note(home, child.pid, " ".join(arguments))
    return child


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
