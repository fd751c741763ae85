"""Looking at database and Redis in threads of their own: one that does not answer must not hold up the screen."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Thread

from bench.errors import UnavailableError
from db.engine import Database, sqlite_path
from db.live import Live, Looker

#: pause between two looks at Redis, and while it is away
_REDIS_SECONDS = 5.0
_REDIS_AWAY_SECONDS = 2.0
_END_SECONDS = 0.5

#: says in a sentence why Redis can't be had, or None
CheckRedis = Callable[[], str | None]
#: takes what a look found
Tell = Callable[[object], None]


@dataclass(frozen=True)
class Seen:
    """What a look at the database found."""

    live: Live
    #: the one batch that was looked at
    batch_id: int | None


@dataclass(frozen=True)
class Away:
    """What can't be had: `database` or `Redis`."""

    what: str
    reason: str


@dataclass(frozen=True)
class Back:
    """What can be had."""

    what: str


@dataclass(frozen=True)
class Broken:
    """A look failed by a fault of ours."""

    error: BaseException


class Looking:
    """Looks until it is stopped; tells `Seen`, `Away`, `Back` or `Broken`."""

    def __init__(
        self, database: Database, tell: Tell, *, interval_seconds: float, batch_id: int | None, check_redis: CheckRedis
    ) -> None:
        self._database, self._tell, self._interval_seconds = database, tell, interval_seconds
        self._check_redis = check_redis
        self._batch_id = batch_id
        self._stopped, self._wanted = Event(), Event()
        self._file: tuple[int, int] | None = None
        self._thread: Thread | None = None

    def start(self) -> None:
        """Begin."""
        # Daemons: a database that does not answer is not waited for at the end.
        self._thread = Thread(target=self._guarded, args=(self._look_on,), name="look", daemon=True)
        self._thread.start()
        Thread(target=self._guarded, args=(self._check_on,), name="look-redis", daemon=True).start()

    def stop(self) -> None:
        """Look no more; a look under way may end, but is not waited for longer than anybody notices."""
        self._stopped.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(_END_SECONDS)

    def look_at(self, batch_id: int | None) -> None:
        """Look at one batch, or at all, from now on."""
        self._batch_id = batch_id
        self._wanted.set()

    def once(self, ask: Callable[[], object]) -> None:
        """Ask the database something, and tell what it answered."""

        def answer() -> None:
            try:
                self._tell(ask())
            except UnavailableError as error:
                self._tell(Away("database", str(error)))

        Thread(target=self._guarded, args=(answer,), name="ask", daemon=True).start()

    def _guarded(self, target: Callable[[], None]) -> None:
        try:
            target()
        except Exception as error:  # noqa: BLE001 - the screen ends with it, and says so
            if not self._stopped.is_set():
                self._tell(Broken(error))

    def _look_on(self) -> None:
        looker = Looker(self._batch_id)
        while not self._stopped.is_set():
            began = time.monotonic()
            self._wanted.clear()
            if looker.batch_id != self._batch_id:
                looker = Looker(self._batch_id)
            try:
                self._notice_another_file()
                with self._database.read() as connection:
                    live = looker.look(connection)
            except UnavailableError as error:
                if not self._stopped.is_set():
                    self._tell(Away("database", str(error)))
                looker = Looker(self._batch_id)
            else:
                self._tell(Seen(live, looker.batch_id))
            self._wanted.wait(max(0.05, self._interval_seconds - (time.monotonic() - began)))

    def _check_on(self) -> None:
        while not self._stopped.is_set():
            reason = self._check_redis()
            self._tell(Back("Redis") if reason is None else Away("Redis", reason))
            pause = _REDIS_SECONDS if reason is None else _REDIS_AWAY_SECONDS
            self._stopped.wait(max(pause, self._interval_seconds))

    def _notice_another_file(self) -> None:
        """Open a SQLite file anew that was replaced; one that is gone must not be made anew, empty."""
        path = sqlite_path(self._database.url)
        if path is None:
            return
        try:
            found = path.stat()
        except OSError as error:
            self._file = None
            self._database.dispose()
            raise UnavailableError(f"The database {path} can't be read ({error.strerror or error})") from None
        if (found.st_dev, found.st_ino) != self._file:
            self._database.dispose()
            self._file = (found.st_dev, found.st_ino)
