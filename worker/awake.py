"""Keeping the machine awake while jobs run: `caffeinate` on macOS, `systemd-inhibit` on Linux.

The helper is a process that ends with the worker, however that ends: caffeinate watches the worker's process id, and
what systemd-inhibit runs waits for the end of a pipe that the kernel closes.
"""

import logging
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock, Thread

log = logging.getLogger("benchbeat.worker")

#: the machine is kept awake for so long after a job, so that a row of jobs starts one helper
LINGER_SECONDS = 30.0
_END_SECONDS = 2.0


class Awake:
    """Keeps this machine awake while, and shortly after, `kept` is entered. Where that can't be had it says so once.

    Whoever holds it calls `release_idle` now and then: a timer for every job would take longer than a short one.
    It prevents the sleep of an idle machine; a closed lid or an empty battery still decide for themselves.
    """

    def __init__(self, *, linger_seconds: float = LINGER_SECONDS, system: str | None = None) -> None:
        self._linger_seconds = linger_seconds
        self._system = system or platform.system()
        self._lock = Lock()
        self._helper: _Helper | None = None
        self._users = 0
        self._idle_since = time.monotonic()
        self._given_up = False

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the machine awake. Never raises."""
        with self._lock:
            self._users += 1
            self._ensure_helper()
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                self._idle_since = time.monotonic()

    def release_idle(self) -> None:
        """Let the machine sleep again where nothing has run for a while."""
        with self._lock:
            if self._users or time.monotonic() - self._idle_since < self._linger_seconds:
                return
            helper, self._helper = self._helper, None
        if helper is not None:
            helper.stop()

    def close(self) -> None:
        """Let the machine sleep again."""
        with self._lock:
            helper, self._helper = self._helper, None
        if helper is not None:
            helper.stop()

    def _ensure_helper(self) -> None:
        if self._given_up or (self._helper is not None and self._helper.alive):
            return
        command = _command(self._system)
        if command is None or shutil.which(command[0]) is None:
            self._give_up(f"there is no {command[0]}" if command else f"nothing is known for {self._system}")
            return
        try:
            self._helper = _Helper(command, self._give_up)
        except (OSError, RuntimeError) as error:
            self._give_up(f"{command[0]} can't be started: {error}")

    def _give_up(self, reason: str) -> None:
        if not self._given_up:
            self._given_up = True
            log.info("this machine can't be kept awake while jobs run (%s)", reason)


class _Helper:
    """A process that keeps the machine awake, and the thread that hears when it fails."""

    def __init__(self, command: list[str], on_failure: Callable[[str], None]) -> None:
        self._name = command[0]
        self._on_failure = on_failure
        self._stopped = False
        # A group of its own: Ctrl-C is for the worker, which gives its job back first.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
            # Our settings, and the passwords in them, are no business of its.
            env={name: value for name, value in os.environ.items() if not name.startswith("BENCHBEAT_")},
        )
        self._watcher = Thread(target=self._watch, name="awake", daemon=True)
        self._watcher.start()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End the process and reap it."""
        self._stopped = True
        with suppress(OSError):
            self._process.terminate()
        self._close_stdin()
        self._watcher.join(_END_SECONDS)

    def _close_stdin(self) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()

    def _watch(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stderr:
            said = stderr.read().strip().splitlines()
        code = self._process.wait()
        self._close_stdin()
        if code > 0 and not self._stopped:  # one that was killed did not refuse: the next job starts another
            self._on_failure(f"{self._name}: {said[-1] if said else f'exit code {code}'}")


def _command(system: str) -> list[str] | None:
    if system == "Darwin":
        return ["caffeinate", "-i", "-w", str(os.getpid())]
    if system == "Linux":
        options = ["--what=sleep:idle", "--who=benchbeat", "--why=A benchmark is running", "--mode=block"]
        return ["systemd-inhibit", *options, "cat"]
    return None
