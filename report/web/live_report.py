"""The report, made anew when the history has changed, while the last one is shown."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from bench.errors import BenchbeatError
from db.engine import Database
from db.tables import batch, change, run

#: after one was made, the next one waits for so many times what that took
PAUSE_FACTOR = 5

_log = logging.getLogger("benchbeat")


@dataclass(frozen=True)
class Shown:
    """The report as it is now; None while the first one is being made."""

    page: str | None
    #: why none could be made, in a sentence
    error: str | None = None


class LiveReport:
    """Keeps the page of the report; one thread at a time makes a new one."""

    def __init__(
        self,
        database: Database,
        make: Callable[[Connection], str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._make = make
        self._clock = clock
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._shown = Shown(None)
        #: what the history held when the page was made, and when the next one may be
        self._made_of: tuple[object, ...] | None = None
        self._not_before = 0.0

    def look(self) -> Shown:
        """Return the report, and begin a new one where the history has changed. Raises UnavailableError."""
        with self._database.read() as connection:
            held = what_it_holds(connection)
        with self._lock:
            is_idle = self._thread is None or not self._thread.is_alive()
            if held != self._made_of and is_idle and self._clock() >= self._not_before:
                self._thread = threading.Thread(target=self._renew, args=[held], name="report", daemon=True)
                self._thread.start()
            return self._shown

    def wait(self, seconds: float) -> None:
        """Wait until the report that is being made is there, so long at most."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _renew(self, held: tuple[object, ...]) -> None:
        started = self._clock()
        try:
            with self._database.read() as connection:
                shown = Shown(self._make(connection))
        except BenchbeatError as error:
            shown = Shown(None, str(error))
        except Exception:  # noqa: BLE001 - a thread's last stop
            _log.exception("The report could not be made")
            shown = Shown(None, "The report could not be made; the log of `benchbeat web` says why")
        with self._lock:
            self._shown = shown
            # What went wrong may pass, also where the history stays as it is.
            self._made_of = held if shown.error is None else None
            self._not_before = self._clock() + PAUSE_FACTOR * (self._clock() - started)


def what_it_holds(connection: Connection) -> tuple[object, ...]:
    """Return what differs where the history has changed: the last run, batch and change, by index alone."""
    last = [select(func.max(table.c.id)).scalar_subquery() for table in (run, batch, change)]
    return tuple(connection.execute(select(*last, select(func.max(change.c.decided_at)).scalar_subquery())).one())
