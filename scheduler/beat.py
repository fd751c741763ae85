"""Beat: a Celery beat whose scheduler ticks our schedules and the reconciler. Any number of beats may run."""

import logging
import os
import signal
import uuid
from typing import Any

from celery.beat import Scheduler, Service

from bench import __version__
from bench.errors import UnavailableError
from bench.schedules import ON_TIME_SECONDS
from db.engine import Database
from db.schedules import mark_beat, mark_beat_stopped
from db.settings import Settings
from scheduler.alerts import Teller, senders
from scheduler.app import make_app
from scheduler.reconcile import reconcile
from scheduler.ring import Bell
from scheduler.schedules import Handled, Ticker, said
from scheduler.watch import Judged, watch

log = logging.getLogger("benchbeat.beat")


class TickingScheduler(Scheduler):  # type: ignore[misc]
    """Ticks the schedules and the reconciler; it holds no entries of Celery's own."""

    def __init__(
        self, app: Any, *, database: Database, bell: Bell, settings: Settings, beat_id: str, **options: Any
    ) -> None:
        self._database, self._bell, self._settings, self._id = database, bell, settings, beat_id
        # A long pause between ticks is no reason to call every due time missed.
        self._ticker = Ticker(database, on_time_seconds=max(ON_TIME_SECONDS, 2 * settings.tick_seconds))
        self._teller = Teller(database, senders(settings.alerts, settings.alert_command))
        self._away: str | None = None
        super().__init__(app, **options)

    def setup_schedule(self) -> None:
        """Celery asks for its entries here; ours stand in the database."""

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Tick once and return the seconds until the next tick."""
        try:
            self._tick()
        except UnavailableError as error:
            # Said once, not every tick: an outage of a night would fill the log.
            if self._away != str(error):
                log.warning("%s; trying again every %g s", error, self._settings.tick_seconds)
            self._away = str(error)
        except Exception:  # a tick that fails must not end all later ones
            log.exception("a tick failed")
        else:
            if self._away is not None:
                log.info("Database and Redis answer again")
            self._away = None
        return self._settings.tick_seconds

    def _tick(self) -> None:
        mark_beat(self._database, self._id, pid=os.getpid(), version=__version__)
        # Before Redis is asked: what is due becomes a batch also while that is away.
        for each in self._ticker.tick():
            _log(each)
        for judged in watch(self._database):
            _log_judged(judged)
        self._teller.tick()
        settings = self._settings
        done = reconcile(
            self._database, self._bell, max_attempts=settings.max_attempts, grace_seconds=settings.lease_seconds
        )
        for job in done.expired:
            log.warning("job %d: its worker was lost; it is %s now", job.job_id, job.state)
        if done.rung:
            log.info("rang for %d %s", done.rung, "job" if done.rung == 1 else "jobs")


def _log(handled: Handled) -> None:
    due = said(handled.due_at, "UTC")
    if handled.outcome == "fired":
        log.info("schedule %s, due %s: batch %d", handled.schedule, due, handled.batch_id)
    else:
        log.warning("schedule %s, due %s: %s (%s)", handled.schedule, due, handled.outcome, handled.note)


def _log_judged(judged: Judged) -> None:
    if judged.change_id is None:
        return
    size = "" if judged.ratio is None else f" ({(judged.ratio - 1) * 100:+.1f} %)"
    job = "" if judged.job_id is None else f"; job {judged.job_id} measures it again"
    log.info("change %d%s is %s%s", judged.change_id, size, judged.state, job)


def run_beat(settings: Settings, broker_url: str) -> None:
    """Tick until the process is told to stop, by SIGTERM or SIGINT, whose handlers it replaces."""
    database, bell = Database(settings.database), Bell(broker_url)
    app = make_app(broker_url)
    beat_id = uuid.uuid4().hex

    def scheduler(app: Any, **options: Any) -> TickingScheduler:
        kept = {key: value for key, value in options.items() if key in ("max_interval", "lazy")}
        return TickingScheduler(app, database=database, bell=bell, settings=settings, beat_id=beat_id, **kept)

    service = Service(app, max_interval=settings.tick_seconds, scheduler_cls=scheduler)

    def end(number: int, frame: object) -> None:
        # Python drops what is raised while it destroys an object: then the loop ends after its tick.
        service.stop()
        raise SystemExit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    try:
        log.info("beat looks after %s every %g s", database.safe_url, settings.tick_seconds)
        service.start()
    except (KeyboardInterrupt, SystemExit):
        pass  # Celery takes it as an end too, but not before its loop
    finally:
        log.info("beat ends")
        bell.close()
        _say_goodbye(database, beat_id)
        database.dispose()


def _say_goodbye(database: Database, beat_id: str) -> None:
    try:
        mark_beat_stopped(database, beat_id)
    except UnavailableError as error:
        log.warning("%s", error)
