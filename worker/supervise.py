"""The session process seen from outside: started by exec, watched, killed with its whole group."""

import os
import queue
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import IO

from pydantic import TypeAdapter, ValidationError

from db.settings import SECRET_VARIABLES
from worker.facts import Probe
from worker.gate import Watch
from worker.protocol import Event, Failed, Finished, Go, Locked, Order, Progress, Released

#: bytes of the session's last output that are kept with a failed attempt
STDERR_TAIL_BYTES = 4096
#: a log that grew beyond this is set aside when the next session starts
_LOG_BYTES = 10 * 2**20
#: an order that is no longer fits into the pipe whatever the session does
_SHORT_ORDER_BYTES = 4096
#: pause between two looks at the lease and the clock
_LOOK_SECONDS = 0.25

_EVENTS: TypeAdapter[Event] = TypeAdapter(Event)


@dataclass(frozen=True)
class Crashed:
    """The session ended by itself."""

    #: as in subprocess: negative for a signal
    returncode: int


@dataclass(frozen=True)
class Stopped:
    """The session was killed: `cancelled`, `lost` (the lease), `shutdown` or `timeout`."""

    reason: str


Outcome = Finished | Failed | Crashed | Stopped

#: called every _LOOK_SECONDS with the last progress; returns a reason to stop, or None
Check = Callable[[Progress | None], str | None]


def oom_kills(proc: Path = Path("/proc")) -> int:
    """Return how often Linux has killed a process for want of memory since it started; 0 where nobody tells."""
    with suppress(OSError):
        if found := re.search(rb"^oom_kill (\d+)$", (proc / "vmstat").read_bytes(), re.MULTILINE):
            return int(found[1])
    return 0


class SessionProcess:
    """A child process that holds a loaded model and measures one job after the other."""

    def __init__(
        self,
        probe: Probe,
        *,
        home: Path,
        logs: Path,
        weights_root: Path | None = None,
        lock_dir: Path | None = None,
        allow_task_code: bool = False,
        module: str = "worker.session",
    ) -> None:
        self.id = uuid.uuid4().hex[:12]
        self._log = logs / "session.log"
        self._events: queue.Queue[Event | None] = queue.Queue()
        self._sending: Thread | None = None
        self._oom_kills = 0
        self._stopped = False
        logs.mkdir(parents=True, exist_ok=True)
        home.mkdir(parents=True, exist_ok=True)
        _rotate(self._log)
        reading, writing = os.pipe()
        command = [sys.executable, "-P", "-m", module, "--events", str(writing), "--device", probe.device]
        command += ["--device-index", str(probe.device_index), "--home", str(home)]
        if weights_root is not None:
            command += ["--models-dir", str(weights_root)]
        if lock_dir is not None:
            command += ["--lock-dir", str(lock_dir)]
        if allow_task_code:
            command += ["--allow-task-code"]
        try:
            with self._log.open("ab") as log:
                # Never a fork: Metal does not survive one. A group of its own, so that no child of it outlives it.
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    pass_fds=(writing,),
                    start_new_session=True,
                    cwd=home,
                    # It runs others' code: weights of any origin, task files where they are allowed.
                    env={name: value for name, value in os.environ.items() if name not in SECRET_VARIABLES},
                )
        finally:
            os.close(writing)
        self._log_offset = self._log.stat().st_size
        Thread(target=self._read_events, args=(reading,), name="session-events", daemon=True).start()

    @property
    def pid(self) -> int:
        """The session's process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def measure(self, order: Order, *, job_seconds: float, check: Check, watch: Watch | None = None) -> Outcome:
        """Send an order and wait for its end, watching the machine meanwhile.

        The time limit counts from the moment the device is locked, for a gated order from that in which it may begin.
        """
        self._log_offset = self._log.stat().st_size if self._log.exists() else 0
        line = order.model_dump_json().encode() + b"\n"
        if len(line) <= _SHORT_ORDER_BYTES:
            self._send(line)
        else:
            # In a thread: a session that hangs, or still imports torch, reads nothing, and an order may fill the pipe.
            self._sending = Thread(target=self._send, args=(line,), name="session-order", daemon=True)
            self._sending.start()
        self._oom_kills = oom_kills()
        try:
            return self._follow(_Following(order, job_seconds, watch), check)
        finally:
            if watch is not None:
                watch.released()

    def stderr_tail(self) -> str:
        """Return the last that the session wrote during the current job."""
        with suppress(OSError), self._log.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_offset if self._log_offset <= end else 0, end - STDERR_TAIL_BYTES))
            return log.read().decode("utf-8", "replace").strip()
        return ""

    def stop(self, grace_seconds: float = 2.0) -> None:
        """End the process: TERM to its group, KILL to what is left after the grace."""
        if self._stopped:
            return  # the group's number may be another one's by now
        if self.alive:
            self._close_stdin()
            self._signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(grace_seconds)
        self._signal(signal.SIGKILL)
        self._process.wait()
        if self._sending is not None:
            self._sending.join(1.0)
        self._close_stdin()
        self._stopped = True

    def kill(self) -> None:
        """Kill the process at once, whatever it does; `stop` still has to be called."""
        if not self._stopped:
            self._signal(signal.SIGKILL)

    def _follow(self, job: "_Following", check: Check) -> Outcome:
        next_look = time.monotonic()
        while True:
            event = self._next(max(0.0, next_look - time.monotonic()))
            if isinstance(event, _Ended):
                return self._crashed(job.order)
            if isinstance(event, Finished | Failed):
                if _answers(event, job.order):
                    return event
            elif event is not None:
                job.take(event)
            if job.may_begin():
                self._send(Go(go=job.order.job_id).model_dump_json().encode() + b"\n")
            if time.monotonic() < next_look:
                continue
            next_look = time.monotonic() + _LOOK_SECONDS
            reason = check(job.progress)
            if reason is None and job.is_late():
                reason = "timeout"
            if reason is not None:
                self.stop()
                return Stopped(reason)

    def _next(self, timeout_seconds: float) -> "Event | _Ended | None":
        try:
            event = self._events.get(timeout=timeout_seconds)
        except queue.Empty:
            return None
        return _Ended() if event is None else event

    def _read_events(self, descriptor: int) -> None:
        with os.fdopen(descriptor, "rb") as lines:
            for line in lines:
                try:
                    self._events.put(_EVENTS.validate_json(line))
                except ValidationError:
                    break  # half a line: the process died while it wrote
        self._events.put(None)

    def _crashed(self, order: Order) -> Crashed | Failed:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(2.0)
        self.stop(0.0)
        returncode = self._process.returncode
        if returncode == -signal.SIGKILL and oom_kills() > self._oom_kills:
            message = "The system killed its process for want of memory"
            return Failed(job_id=order.job_id, attempt=order.attempt, kind="memory", message=message)
        return Crashed(returncode)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _send(self, line: bytes) -> None:
        with suppress(OSError, ValueError):  # the session is gone, as the end of its events tells
            self._stdin.write(line)
            self._stdin.flush()

    def _close_stdin(self) -> None:
        # Closing waits for whoever writes, and that one for a session that may not read.
        if self._sending is None or not self._sending.is_alive():
            with suppress(OSError):
                self._stdin.close()

    @property
    def _stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin


class _Following:
    """How far an order has come, by the session's events."""

    def __init__(self, order: Order, job_seconds: float, watch: Watch | None) -> None:
        self.order = order
        self.progress: Progress | None = None
        self._job_seconds = job_seconds
        self._watch = watch
        self._deadline: float | None = None
        #: whether it holds the device and waits to be let begin
        self._waits = False

    def take(self, event: Locked | Progress | Released) -> None:
        """Take an event of the session."""
        if isinstance(event, Locked):
            if self._watch is not None:
                self._watch.locked()
            self._waits = self.order.gated
            if not self._waits:
                self._begin()
        elif isinstance(event, Progress):
            self.progress = event
            if self._watch is not None:
                self._watch.told(event)
        elif self._watch is not None:
            self._watch.released()

    def may_begin(self) -> bool:
        """Whether a job that waits may begin now, which is said once."""
        if not self._waits:
            return False
        waiting = self._watch.look() if self._watch is not None else None
        if waiting is not None:
            self.progress = waiting
            return False
        self._waits = False
        self._begin()
        return True

    def is_late(self) -> bool:
        """Whether its time is over."""
        return self._deadline is not None and time.monotonic() > self._deadline

    def _begin(self) -> None:
        self._deadline = time.monotonic() + self._job_seconds
        if self._watch is not None:
            self._watch.begun()


def _answers(event: Finished | Failed, order: Order) -> bool:
    """Whether an event is about an order. One that the session could not read has no number."""
    return (event.job_id, event.attempt) in ((order.job_id, order.attempt), (0, 0))


class _Ended:
    """The session's events came to their end."""


def _rotate(log: Path) -> None:
    with suppress(OSError):
        if log.stat().st_size > _LOG_BYTES:
            os.replace(log, log.with_suffix(".log.1"))
