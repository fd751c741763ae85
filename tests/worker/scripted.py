"""A stand-in for the session that needs no torch: the name of an order's model says what to do with it."""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from bench.catalog import ModelEntry
from bench.results import Environment, Figures, Measurement, Resolved, Sample
from tests.waiting import wait_until
from worker.protocol import Event, Failed, Finished, Go, Locked, Order, Progress, Released

ENTRY = ModelEntry(name="good", task="text", source="file:tiny", precision="float32", memory_gib={"float32": 1.0})


def entry(does: str) -> ModelEntry:
    """Return a model that makes the session do this; see the functions below."""
    return ENTRY.model_copy(update={"name": does})


class Script:
    """One session: `self.NAME(order)` runs for a model called NAME."""

    def __init__(self, events: int, home: Path) -> None:
        self._events = events
        self._home = home
        self._position = 0
        self._seconds = 0.001
        self._revision = "abc"

    def emit(self, event: Event) -> None:
        """Write an event."""
        os.write(self._events, event.model_dump_json().encode() + b"\n")

    def good(self, order: Order) -> None:
        """Measure at once."""
        self.emit(Locked(waited_seconds=0.0))
        self.emit(Progress(phase="measuring", done=1))
        self.emit(Released())
        self._finish(order)

    def second(self, order: Order) -> None:
        """Measure at once in the first process; in the next one do as the model's name says: `second-crash`."""
        began = self._home / f"process-{order.job_id}-{order.attempt}"
        does = order.model.name.partition("-")[2] if began.exists() else "good"
        began.touch()
        getattr(self, does)(order)

    def slow(self, order: Order) -> None:
        """Do as `second`, but say of the first process that it measured for ten seconds."""
        self._seconds = 10.0
        self.second(order)

    def other(self, order: Order) -> None:
        """Measure another revision than the others."""
        self._revision = "another"
        self.good(order)

    def leave(self, order: Order) -> NoReturn:
        """Measure, and be gone before the next job."""
        self.good(order)
        os._exit(0)

    def wait(self, order: Order) -> None:
        """Hold the device until the file `go` lies in the home."""
        self.emit(Locked(waited_seconds=0.0))
        self.emit(Progress(phase="measuring", done=1))
        (self._home / f"began-{order.job_id}").touch()
        _until((self._home / "go").exists)
        self._finish(order)

    def gated(self, order: Order) -> None:
        """Measure once it is told to begin."""
        self.emit(Locked(waited_seconds=0.0))
        assert Go.model_validate_json(sys.stdin.buffer.readline()).go == order.job_id
        (self._home / f"began-{order.job_id}").touch()
        self.emit(Progress(phase="warming up"))
        self.emit(Progress(phase="measuring", done=1))
        self.emit(Released())
        self._finish(order)

    def queue(self, order: Order) -> None:
        """Wait for the device until the file `go` lies in the home."""
        _until((self._home / "go").exists)
        self.good(order)

    def stubborn(self, order: Order) -> None:
        """Hold the device for ever, with a child, and heed neither TERM nor the end of input."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen(
            [sys.executable, "-S", "-c", "import signal; signal.signal(15, signal.SIG_IGN); signal.pause()"]
        )
        (self._home / "child").write_text(str(child.pid))
        self.emit(Locked(waited_seconds=0.0))
        self.emit(Progress(phase="measuring", done=1))
        (self._home / f"began-{order.job_id}").touch()
        _until(lambda: False)

    def crash(self, order: Order) -> NoReturn:
        """Complain and end."""
        self.emit(Locked(waited_seconds=0.0))
        print(f"attempt {order.attempt}: the driver is gone", file=sys.stderr, flush=True)  # noqa: T201
        os._exit(3)

    def kill(self, order: Order) -> None:
        """End as the kernel ends who takes too much memory."""
        os.kill(os.getpid(), signal.SIGKILL)

    def stale(self, order: Order) -> None:
        """Answer an earlier attempt first."""
        self.emit(Failed(job_id=order.job_id, attempt=order.attempt - 1, kind="error", message="stale"))
        self.good(order)

    def unread(self, order: Order) -> None:
        """Answer as a session does that can't read its order."""
        self.emit(Failed(job_id=0, attempt=0, kind="error", message="the session can't read its order"))

    def babble(self, order: Order) -> NoReturn:
        """Write half an event and end."""
        os.write(self._events, b'{"event": "fini')
        os._exit(0)

    def fail(self, order: Order) -> None:
        """Fail as the model's name says after the dash: `fail-memory`."""
        kind = order.model.name.partition("-")[2]
        self.emit(Locked(waited_seconds=0.0))
        self.emit(
            Failed.model_validate(
                {
                    "job_id": order.job_id,
                    "attempt": order.attempt,
                    "kind": kind,
                    "message": f"It failed ({kind})",
                    "details": "Traceback: here" if kind == "error" else "",
                }
            )
        )

    def _finish(self, order: Order) -> None:
        self._position += 1
        ended = time.time()
        measurement = Measurement(
            resolved=Resolved(device="cpu", device_name="Test CPU", revision=self._revision),
            environment=Environment(
                os_build="Linux", python_version="3", torch_version="2", transformers_version="5", benchbeat_version="1"
            ),
            figures=Figures(iterations=1, load_seconds=0.5 if self._position == 1 else None),
            samples=(sample(order),),
            session=f"session-{os.getpid()}",
            session_position=self._position,
            started_at=ended - self._seconds,
            finished_at=ended,
        )
        self.emit(Finished(job_id=order.job_id, attempt=order.attempt, measurement=measurement))


def sample(order: Order) -> Sample:
    """Return an iteration that took as many seconds as the order asks for iterations."""
    seconds = float(order.spec.stop.min_iterations) if order.spec.stop else 1.0
    return Sample(iteration=0, batch_size=1, prompt_tokens=4, new_tokens=2, latency_seconds=seconds)


def _until(condition: Callable[[], bool]) -> None:
    wait_until(condition, "told to go on", timeout_seconds=600)


def main() -> None:
    """Serve orders until the end of input."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--home", type=Path, required=True)
    options, _ = parser.parse_known_args()
    script = Script(options.events, options.home)
    while line := sys.stdin.buffer.readline():
        order = Order.model_validate_json(line)
        getattr(script, order.model.name.partition("-")[0])(order)


if __name__ == "__main__":
    main()
