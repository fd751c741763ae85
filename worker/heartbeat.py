"""The heartbeat of a running job: keeps its lease, stores its progress, and sees why it must stop."""

import logging
import time
from threading import Event as Flag
from threading import Thread
from types import TracebackType
from typing import Self

from bench.errors import UnavailableError
from db.engine import Database
from db.jobs import Claimed, Lease, extend_lease, look_at_lease
from scheduler.logs import with_log_context
from worker.protocol import Progress

log = logging.getLogger("benchbeat.worker")

#: pause between two beats
_BEAT_SECONDS = 0.25
#: how quickly a wish to cancel is seen, and how often progress is stored at most
_LOOK_SECONDS = 0.5
_PROGRESS_SECONDS = 1.0


class Heartbeat:
    """Beats in a thread of its own: a database that does not answer must hold up neither the job nor its end.

    The thread is started by a look: whoever follows the job looks several times a second.
    """

    def __init__(self, database: Database, job: Claimed, lease_seconds: float) -> None:
        self._database, self._job, self._lease_seconds = database, job, lease_seconds
        self._extended = self._looked = time.monotonic()
        self._progress: Progress | None = None
        self._stored: Progress | None = None
        self._reason: str | None = None
        self._started = self._extended
        self._thread: Thread | None = None
        self._ended = Flag()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # Not waited for: a beat that comes late is fenced, like every write of an attempt that has ended.
        self._ended.set()

    def look(self, progress: Progress | None) -> str | None:
        """Take the job's progress; return why it must stop (`lost`, `cancelled`), or None."""
        self._progress = progress
        # Starting a thread takes longer than a job of milliseconds, which needs none.
        if self._thread is None and time.monotonic() - self._started >= _BEAT_SECONDS:
            self._thread = Thread(target=with_log_context(self._beat_until_ended), name="heartbeat", daemon=True)
            self._thread.start()
        return self._reason

    def _beat_until_ended(self) -> None:
        while not self._ended.wait(_BEAT_SECONDS):
            try:
                lease = self._beat(self._progress)
            except UnavailableError:
                # The measurement goes on: its result waits in the spool until the database is back.
                continue
            except Exception:  # without a heart that beats, the lease would run out unexplained
                log.exception("job %d: a beat failed", self._job.id)
                continue
            if lease is None:
                self._reason = "lost"
            elif lease.cancel_requested:
                self._reason = "cancelled"

    def _beat(self, progress: Progress | None) -> Lease | None:
        time_now = time.monotonic()
        job_id, attempt = self._job.id, self._job.attempt
        news = progress is not self._stored and time_now - self._extended >= _PROGRESS_SECONDS
        if news or time_now - self._extended >= self._lease_seconds / 3:
            self._extended = self._looked = time_now
            self._stored = progress
            text = progress.model_dump_json(exclude={"event"}) if progress is not None else None
            return extend_lease(self._database, job_id, attempt, self._lease_seconds, text)
        if time_now - self._looked >= _LOOK_SECONDS:
            self._looked = time_now
            return look_at_lease(self._database, job_id, attempt)
        return Lease(cancel_requested=False)
