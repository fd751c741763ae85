"""The benchbeat command as a process of its own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[1]

_TIMEOUT_SECONDS = 60.0

#: settings of a machine that is never quiet, such as one that runs tests: no job waits for it, no run is marked
UNWATCHED = {"BENCHBEAT_QUIET_WAIT_SECONDS": "0", "BENCHBEAT_MARK_DISTURBED": "false"}


def environment(**changes: str) -> dict[str, str]:
    """Return this process's environment, in which a child finds the packages of the working copy."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **changes}


def command(*arguments: str) -> list[str]:
    """Return the command line of `benchbeat ARGUMENTS`."""
    return [sys.executable, "-P", "-m", "cli.main", *arguments]


def run_command(*arguments: str, folder: Path | None = None, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run `benchbeat ARGUMENTS` to its end, with environment variables changed."""
    return subprocess.run(
        command(*arguments),
        env=environment(**changes),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
    )


def start_command(*arguments: str, log: IO[bytes], **changes: str) -> "subprocess.Popen[bytes]":
    """Start `benchbeat ARGUMENTS`, which writes to `log`."""
    return subprocess.Popen(
        command(*arguments), env=environment(**changes), stdin=subprocess.DEVNULL, stdout=log, stderr=log
    )


def run_python(code: str, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-P", "-c", code, *arguments],
        env=environment(**changes),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
    )
