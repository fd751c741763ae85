"""The gate: a job that holds the device waits until the machine is quiet, for a while at most.

It stands behind the device's lock, where nobody else measures, and before everything that a run records: the load of
the model is a figure too. What was waited is neither the run's time nor the job's.
"""

import time
from collections.abc import Callable

from bench.surroundings import Surroundings
from worker.protocol import Progress
from worker.witness import Witness

PHASE = "waiting for a quiet machine"
#: a machine that was not quiet has to be for so long
QUIET_SECONDS = 2.0
#: a machine that is never quiet is given this at least
_LEAST_PATIENCE_SECONDS = 1.0


class Gate:
    """Decides when a job may begin. Who waited in vain waits half as long the next time, until it was quiet once."""

    def __init__(
        self, noise: Callable[[], str | None], wait_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._noise = noise
        self._wait_seconds = wait_seconds
        self._clock = clock
        self._patience_seconds = wait_seconds
        self._began = 0.0
        self._quiet_since: float | None = None
        self._reason = ""

    def begin(self) -> None:
        """A job stands before the gate."""
        self._began = self._clock()
        self._quiet_since = None
        self._reason = ""

    @property
    def waited_seconds(self) -> float:
        """How long that job has stood there."""
        return self._clock() - self._began

    def look(self) -> str | None:
        """Return why the job has to wait ("" for a moment); None where it may begin."""
        if self.waited_seconds >= self._patience_seconds:
            self._patience_seconds = max(min(_LEAST_PATIENCE_SECONDS, self._wait_seconds), self._patience_seconds / 2)
            return None
        reason = self._noise()
        if reason is not None:
            self._quiet_since = None
            self._reason = reason or self._reason
            return self._reason
        if self._quiet_since is None:
            self._quiet_since = self._clock()
        if self._reason and self._clock() - self._quiet_since < QUIET_SECONDS:
            return self._reason
        self._patience_seconds = self._wait_seconds
        return None


class Watch:
    """What one job needs of gate and witness, told of by whoever follows its session."""

    def __init__(self, witness: Witness, gate: Gate | None = None) -> None:
        self._witness = witness
        self._gate = gate
        self._waited_seconds: float | None = None
        self._is_warming_up = False
        #: what was seen in each process that measured, once the job has ended
        self.seen: list[Surroundings] = []

    def locked(self) -> None:
        """The job holds the device."""
        self._is_warming_up = False
        if self._gate is not None:
            self._gate.begin()

    def look(self) -> Progress | None:
        """Return what the job waits for; None where it may begin."""
        reason = None if self._gate is None else self._gate.look()
        if reason is not None:
            return Progress(phase=PHASE, reason=reason or None)
        if self._gate is not None:
            self._waited_seconds = self._gate.waited_seconds
        return None

    def begun(self) -> None:
        """The job's time has begun."""
        self._witness.begin()

    def told(self, progress: Progress) -> None:
        """The session told how far it is: what is judged begins with its first call, after the load of the model."""
        if progress.phase == "warming up" and not self._is_warming_up:
            self._is_warming_up = True
            self._witness.begin()

    def released(self) -> None:
        """The device is others' again, or the job has ended."""
        ended = self._witness.end(self._waited_seconds)
        if ended is not None:
            self.seen.append(ended)
