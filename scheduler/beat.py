"""Beat: a Celery beat whose scheduler ticks the reconciler."""

import logging
from typing import Any

from celery.beat import Scheduler, Service

from bench.errors import UnavailableError
from db.engine import Database
from db.settings import Settings
from scheduler.app import make_app
from scheduler.reconcile import reconcile
from scheduler.ring import Bell

log = logging.getLogger("benchbeat.beat")


class ReconcilingScheduler(Scheduler):  # type: ignore[misc]
    """Ticks the reconciler; it holds no entries of Celery's own."""

    def __init__(self, app: Any, *, database: Database, bell: Bell, settings: Settings, **options: Any) -> None:
        self._database, self._bell, self._settings = database, bell, settings
        self._away: str | None = None
        super().__init__(app, **options)

    def setup_schedule(self) -> None:
        """Celery asks for its entries here; ours stand in the database."""

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Tick once and return the seconds until the next tick."""
        try:
            done = reconcile(self._database, self._bell, max_attempts=self._settings.max_attempts)
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
            for job in done.expired:
                log.warning("job %d: its worker was lost; it is %s now", job.job_id, job.state)
            if done.rung:
                log.info("rang for %d %s", done.rung, "job" if done.rung == 1 else "jobs")
        return self._settings.tick_seconds


def run_beat(settings: Settings, broker_url: str) -> None:
    """Tick until the process is told to stop (SIGTERM or SIGINT)."""
    database, bell = Database(settings.database), Bell(broker_url)
    app = make_app(broker_url)

    def scheduler(app: Any, **options: Any) -> ReconcilingScheduler:
        kept = {key: value for key, value in options.items() if key in ("max_interval", "lazy")}
        return ReconcilingScheduler(app, database=database, bell=bell, settings=settings, **kept)

    service = Service(app, max_interval=settings.tick_seconds, scheduler_cls=scheduler)
    try:
        log.info("beat looks after %s every %g s", database.safe_url, settings.tick_seconds)
        service.start()
    except KeyboardInterrupt:
        pass  # Celery takes it as an end too, but not before its loop
    finally:
        bell.close()
        database.dispose()
