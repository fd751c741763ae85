"""One job in several session processes, seen from outside like a single one. Needs no torch.

The processes run one after the other, and an attempt that loses one of them has lost all. Each takes the device's lock
for itself: between two of them somebody else may measure, as between two jobs.
"""

from collections.abc import Callable, Sequence

from bench.errors import InputError
from bench.processes import pooled, share_of
from bench.results import Measurement
from bench.spec import StopRule
from worker.gate import Watch
from worker.protocol import Failed, Finished, Order, Progress
from worker.supervise import Check, Outcome, SessionProcess


class SeveralProcesses:
    """Measures one job in so many fresh processes; has what the runner asks of a `SessionProcess`."""

    def __init__(self, start: Callable[[], SessionProcess], count: int) -> None:
        """Start the first process with `start`, as later each of the others."""
        self._start = start
        self._count = count
        self._current = start()
        self._killed = False

    @property
    def pid(self) -> int:
        """The process id of the session that works now."""
        return self._current.pid

    @property
    def alive(self) -> bool:
        """Whether a session runs."""
        return self._current.alive

    def measure(self, order: Order, *, job_seconds: float, check: Check, watch: Watch | None = None) -> Outcome:
        """Measure an order's share in each process. The time limit holds for all of them together."""
        if not order.spec.is_speed:
            raise InputError("processes: only the iterations of a speed workload can be spread over several")
        parts: list[Measurement] = []
        while len(parts) < self._count:
            if parts:
                self._begin_another()
            left_seconds = job_seconds - sum(max(0.0, part.finished_at - part.started_at) for part in parts)
            relay = _Relay(check, len(parts) + 1, sum(len(part.samples) for part in parts))
            share = _share(order, self._count, parts)
            outcome = self._current.measure(share, job_seconds=left_seconds, check=relay, watch=watch)
            if not isinstance(outcome, Finished):
                return outcome
            parts.append(outcome.measurement)
        try:
            return Finished(job_id=order.job_id, attempt=order.attempt, measurement=pooled(parts))
        except ValueError as error:
            return Failed(job_id=order.job_id, attempt=order.attempt, kind="error", message=f"{error}")

    def stderr_tail(self) -> str:
        """Return the last that the latest session wrote."""
        return self._current.stderr_tail()

    def stop(self, grace_seconds: float = 2.0) -> None:
        """End the session that works now."""
        self._current.stop(grace_seconds)

    def kill(self) -> None:
        """Kill the session that works now, and any that is started later."""
        self._killed = True
        self._current.kill()

    def _begin_another(self) -> None:
        self._current.stop()
        self._current = self._start()
        if self._killed:  # between the two
            self._current.kill()


def _share(order: Order, count: int, parts: Sequence[Measurement]) -> Order:
    """Return the order for the next process."""
    iterations = len(parts[0].samples) if parts else None
    stop = share_of(order.spec.stop or StopRule(), count, iterations)
    return order.model_copy(update={"spec": order.spec.model_copy(update={"stop": stop})})


class _Relay:
    """Passes the progress of one of several processes on, with the iterations of the earlier ones."""

    def __init__(self, check: Check, process: int, done: int) -> None:
        self._check = check
        self._process = process
        self._done = done
        self._heard: Progress | None = None
        self._told: Progress | None = None

    def __call__(self, progress: Progress | None) -> str | None:
        # The same object for the same news: whoever stores it goes by that.
        if progress is not self._heard and progress is not None:
            self._heard = progress
            added = {"done": progress.done + self._done, "process": self._process}
            self._told = progress.model_copy(update=added)
        return self._check(self._told)
