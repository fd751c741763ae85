"""A synthetic year of nightly sweeps on a Mac mini M4: no figure in it was measured, and its marks say so.

python -m tests.report.synthetic_year --database-url sqlite:///year.db
"""

import argparse
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import Connection

from db.engine import Database
from db.schedules import insert_schedule
from db.schema import ensure
from db.submissions import insert_payload
from db.tables import alert, batch, firing, machine, worker
from tests.report.bulk import Bulk, Row, look_after
from tests.report.synthetic_night import DEVICE_NAME, MACHINE, SCHEDULE, WORKER, Night, Shared
from tests.report.synthetic_plan import MISSED, MONTHLY, NIGHTLY, OVERLAPPED, environment_at, prepared

_LAST_NIGHT = date(2026, 11, 25)
_ZONE = "Europe/Zurich"
_NIGHTS_AT_ONCE = 20


def write_year(database_url: str, *, nights: int = 365, seed: int = 1) -> None:
    """Write `nights` nights that end on 25 November 2026 into an upgraded database, the same ones for the same seed."""
    database = Database(database_url)
    try:
        with database.write() as connection:
            _Year(connection, nights, seed).write()
    finally:
        database.dispose()
    look_after(database_url)


class _Year:
    """The year, night after night."""

    def __init__(self, connection: Connection, nights: int, seed: int) -> None:
        self._shared = Shared(connection, Bulk(connection), nights, np.random.default_rng(seed))

    def write(self) -> None:
        """Write every night."""
        schedule_id = self._prepare()
        for number in range(self._shared.nights):
            day = _LAST_NIGHT - timedelta(days=self._shared.nights - 1 - number)
            self._night(schedule_id, number, day)
            if number % _NIGHTS_AT_ONCE == 0:
                self._shared.bulk.write()
        self._shared.bulk.finish()

    def _prepare(self) -> int:
        began = _begin(_LAST_NIGHT - timedelta(days=self._shared.nights - 1))
        for text in (NIGHTLY, MONTHLY):
            new, _ = prepared(SCHEDULE, text)
            insert_payload(self._shared.connection, new)
            self._shared.workloads |= new.workloads
        facts = {"chip": DEVICE_NAME, "memory_bytes": 16 * 2**30, "os": environment_at(1.0).os_build}
        self._shared.bulk.add(machine, {"id": MACHINE, "first_seen_at": began} | facts)
        device = {"device": "mps", "device_name": DEVICE_NAME, "memory_mib": 13_005, "queues": '["mps.16", "any.16"]'}
        ended = _begin(_LAST_NIGHT) + 4 * 3600
        times = {"started_at": began, "seen_at": ended, "stopped_at": ended, "pid": 4321, "version": "0.7.0"}
        self._shared.bulk.add(worker, {"id": WORKER, "machine_id": MACHINE} | device | times)
        self._shared.bulk.write()
        timing = {"cron": "0 2 * * *", "anchor_at": 0.0, "timezone": _ZONE, "paused": False}
        policy = {"misfire": "latest", "grace_seconds": 21_600.0, "overlap": "skip"}
        due = {"next_due_at": _begin(_LAST_NIGHT + timedelta(days=1)), "machine": MACHINE, "source": NIGHTLY}
        jobs = {"name": SCHEDULE, "batch": '{"name": "synthetic-nightly"}', "jobs": "[]", "job_count": 0}
        return insert_schedule(self._shared.connection, jobs | timing | policy | due)

    def _night(self, schedule_id: int, number: int, day: date) -> None:
        due = _begin(day)
        fired: Row = {"schedule_id": schedule_id, "due_at": due, "decided_at": due + 1.5}
        skipped = {"missed": MISSED, "overlapped": (OVERLAPPED,)}
        for outcome, parts in skipped.items():
            if number in self._shared.places(parts):
                why = "the machine slept" if outcome == "missed" else "the batch before it still ran"
                self._shared.bulk.add(firing, fired | {"outcome": outcome, "batch_id": None, "note": why})
                return
        new, jobs = prepared(SCHEDULE, NIGHTLY)
        if day.day == 1:
            jobs += prepared(SCHEDULE, MONTHLY)[1]
        shared = {"name": SCHEDULE, "sweep_hash": new.sweep_hash, "priority": 5, "schedule": SCHEDULE}
        times = {"created_at": due + 1.5, "published_at": due + 1.6}
        batch_id = self._shared.bulk.add_counted(batch, shared | times | {"labels": dict(new.labels)})
        self._shared.bulk.add(firing, fired | {"outcome": "fired", "batch_id": batch_id, "note": None})
        Night(self._shared, batch_id, number, due + 20).run(jobs)
        self._shared.bulk.add(alert, {"batch_id": batch_id, "state": "quiet", "tries": 0, "decided_at": due + 10_000})


def _begin(day: date) -> float:
    return datetime.combine(day, time(2), ZoneInfo(_ZONE)).timestamp()


def main() -> None:
    """Write the year into the database of the command line, which is made where there is none."""
    parser = argparse.ArgumentParser(description="Fill a history with a synthetic year.")
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--nights", type=int, default=365)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    database = Database(asked.database_url)
    ensure(database)
    database.dispose()
    write_year(asked.database_url, nights=asked.nights, seed=asked.seed)


if __name__ == "__main__":
    main()
