"""The witness: a thread of the worker's main process that watches what else the machine does.

It samples while jobs run and for a while after, so that the moment before a job is known as well. In the session
process, which measures, nothing of it runs.
"""

import logging
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Event as Flag
from threading import RLock, Thread

from bench.disturbances import Limits, noise
from bench.surroundings import (
    Processors,
    State,
    Surroundings,
    Used,
    Window,
    greediest,
    joined,
    summarise,
    window,
)
from worker.readings import Process, Readings

log = logging.getLogger("benchbeat.worker")

SAMPLING_SECONDS = 1.0
#: the thread goes on for so long after a job, so that the next one knows how quiet the machine is
LINGER_SECONDS = 30.0
#: a look at every process, for the name of the greediest, is not taken before this multiple of what the last one cost
_LOOK_PAUSE = 400
_LOOK_SECONDS = 2.0
#: a look is as good as a new one for so long
_FRESH_SECONDS = 0.25
#: a reading of what costs less is: the gate took one just before the job begins
_SAME_MOMENT_SECONDS = 0.05
#: how long a moment has to be in which the machine is quiet
MOMENT_SECONDS = 0.5
#: what counts as this moment
_RECENT_SECONDS = 2.5


class Witness:
    """Watches a machine from a thread of its own. Any thread may ask it; nothing that it does raises."""

    def __init__(self, readings: Readings, limits: Limits, *, linger_seconds: float = LINGER_SECONDS) -> None:
        self._readings = readings
        self._limits = limits
        self._linger_seconds = linger_seconds
        self._lock = RLock()
        self._thread: Thread | None = None
        self._ending = Flag()
        #: jobs that are watched now, and when the last one ended
        self._watched = 0
        self._idle_since = time.monotonic()
        self._before: Processors | None = None
        self._recent: deque[Window] = deque(maxlen=8)
        self._last_state: State | None = None
        self._span: _Span | None = None
        self._names = _Names(readings)
        #: who keeps the machine from being quiet, as far as it is known
        self._greediest: str | None = None
        #: processor time that the watching took
        self._cpu_seconds = 0.0
        self._failed = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Have the thread run."""
        with self._lock:
            self._watched += 1
            if self._thread is None:
                self._recent.clear()
                self._before = None
                self._thread = Thread(target=self._run, name="witness", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._watched -= 1
                self._idle_since = time.monotonic()

    def close(self) -> None:
        """End the thread."""
        self._ending.set()

    def noise(self) -> str | None:
        """Return why the machine is not quiet at this moment; None where it is, and "" where that is not known yet."""
        with self._at_work():
            self._sample(fresh_state=self._state_age() > _RECENT_SECONDS)
            now, cores = self._moment(), self._readings.cores
            if now is None:
                return "" if self._before is not None else None
            state = self._last_state or State(time.monotonic())
            if not self._is_busy(now):
                self._greediest = None
                return noise(now, state, cores, self._limits)
            self._look()
            self._greediest = greediest(self._names.take(), now) or self._greediest
            return noise(now, state, cores, self._limits, self._greediest)

    def begin(self) -> None:
        """Begin the span that is judged; what was seen before is no part of it."""
        with self._at_work():
            if self._before is None or time.monotonic() - self._before.at > _SAME_MOMENT_SECONDS:
                self._sample()
            if self._state_age() > _SAME_MOMENT_SECONDS:
                self._read_state()
            # Of jobs of milliseconds one look serves several: what was used since then is hardly worth a name.
            if not self._names.are_fresh():
                self._look(now=True)
            self._names.take()
            self._span = _Span(self._cpu_seconds, [self._last_state] if self._last_state is not None else [])

    def end(self, gate_waited_seconds: float | None = None) -> Surroundings | None:
        """End the span and return what was seen in it; None where none was begun."""
        with self._at_work():
            span = self._span
            if span is None:
                return None
            self._sample(fresh_state=True)
            self._span = None
            if any(self._is_busy(each) for each in span.windows):
                self._look(now=True)
            return summarise(
                span.windows,
                span.states,
                self._names.take(),
                cores=self._readings.cores,
                limits=self._limits,
                gate_waited_seconds=gate_waited_seconds,
                witness_cpu_seconds=self._cpu_seconds - span.cpu_seconds,
            )

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Hold the lock, and count what is spent."""
        with self._lock:
            began = time.thread_time()
            try:
                yield
            finally:
                self._cpu_seconds += time.thread_time() - began

    def _run(self) -> None:
        while not self._ending.wait(SAMPLING_SECONDS):
            with self._at_work():
                self._sample()
                if not self._watched and time.monotonic() - self._idle_since > self._linger_seconds:
                    self._thread = None
                    return

    def _sample(self, *, fresh_state: bool = False) -> None:
        """Take a reading. A machine that can't be read is no reason to lose a measurement."""
        with self._failing_once():
            self._read_processors()
        if fresh_state or self._state_age() >= self._readings.state_seconds:
            self._read_state()
            self._look(idle=True)

    def _read_state(self) -> None:
        with self._failing_once():
            self._last_state = self._readings.state()
            if self._span is not None:
                self._span.states.append(self._last_state)

    def _look(self, *, now: bool = False, idle: bool = False) -> None:
        with self._failing_once():
            self._names.look(now=now, idle=idle)

    @contextmanager
    def _failing_once(self) -> Iterator[None]:
        """Say the first failure, and pass over all."""
        try:
            yield
        except Exception:
            if not self._failed:
                log.exception("the machine can't be watched")
            self._failed = True

    def _read_processors(self) -> None:
        now = self._readings.processors()
        if now is not None and self._before is not None:
            passed = window(self._before, now)
            if passed.seconds <= 0:
                return
            self._recent.append(passed)
            if self._span is not None:
                self._span.windows.append(passed)
                if self._is_busy(passed):
                    self._look()
        self._before = now

    def _state_age(self) -> float:
        return float("inf") if self._last_state is None else time.monotonic() - self._last_state.at

    def _moment(self) -> Window | None:
        """Return the last moment as one window; None where too little of it was seen."""
        taken: list[Window] = []
        for each in reversed(self._recent):
            taken.insert(0, each)
            moment = joined(taken)
            if moment.seconds >= MOMENT_SECONDS:
                return moment
        return None

    def _is_busy(self, passed: Window) -> bool:
        return (passed.others_cores or 0.0) > self._limits.others_cores(self._readings.cores)


class _Span:
    """What was seen since it began."""

    def __init__(self, cpu_seconds: float, states: list[State]) -> None:
        self.cpu_seconds = cpu_seconds
        self.states = states
        self.windows: list[Window] = []


class _Names:
    """What each other process used, by looks at all of them, which are dear and so few."""

    def __init__(self, readings: Readings) -> None:
        self._readings = readings
        self._before: Mapping[int, Process] = {}
        self._used: list[Used] = []
        self._looked_at = float("-inf")
        self._next_look = 0.0
        #: whether somebody asked for a look that was not taken
        self._owed = False

    def look(self, *, now: bool = False, idle: bool = False) -> None:
        """Note what was used since the last look, unless that is too short a while ago.

        An idle look, at a quiet time, notes nothing: what was used until then is no part of what comes.
        """
        began = time.monotonic()
        if not now and began < self._next_look:
            self._owed = self._owed or not idle
            return
        cost = time.thread_time()
        found = self._readings.processes()
        if self._owed or not idle:
            self._used += [Used(each.name, used) for pid, each in found.items() if (used := self._since(pid, each)) > 0]
        self._before, self._owed = found, False
        self._looked_at = began
        self._next_look = began + max(_LOOK_SECONDS, _LOOK_PAUSE * (time.thread_time() - cost))

    def are_fresh(self) -> bool:
        """Whether the last look was taken in this very moment."""
        return time.monotonic() - self._looked_at < _FRESH_SECONDS

    def take(self) -> list[Used]:
        """Return what was noted, and forget it."""
        used, self._used = self._used, []
        return used

    def _since(self, pid: int, process: Process) -> float:
        """Return what a process used since the last look, all of it where it is a new one."""
        before = self._before.get(pid)
        is_same = before is not None and (before.started, before.name) == (process.started, process.name)
        return max(0.0, process.seconds - (before.seconds if before is not None and is_same else 0.0))
