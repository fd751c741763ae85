"""Long series of speed runs, written at once: copies of one run, each of another latency."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import insert, select

from db.engine import Database
from db.tables import job, run, series_key
from tests.db.compared import store_speed

_DAY_SECONDS = 86_400.0


def write_series(database: Database, series: Mapping[str, Sequence[float]]) -> dict[str, list[int]]:
    """Write a run a day for each value of each series, which nobody has judged; returns the runs' ids by series."""
    first = store_speed(database, [0.5])
    with database.read() as connection:
        measured = connection.execute(select(run).where(run.c.id == first)).one()._mapping
        asked = connection.execute(select(job).where(job.c.id == measured["job_id"])).one()._mapping
    base_run = {name: value for name, value in measured.items() if value is not None and name != "id"}
    base_job = {name: value for name, value in asked.items() if value is not None and name != "id"}
    written: dict[str, list[int]] = {}
    for name, values in series.items():
        written[name] = _write(database, name, values, base_run, base_job)
    return written


def _write(
    database: Database, name: str, values: Sequence[float], base_run: dict[str, Any], base_job: dict[str, Any]
) -> list[int]:
    with database.write() as connection:
        of = {column: base_run[column] for column in ("model", "workload", "machine_id")}
        key = insert(series_key).values(hash=name.ljust(64, "-"), definition="{}", **of).returning(series_key.c.id)
        series_id = connection.execute(key).scalar_one()
        jobs = insert(job).returning(job.c.id, sort_by_parameter_order=True)
        job_ids = connection.execute(jobs, [base_job] * len(values)).scalars().all()
        rows = [
            base_run
            | {
                "job_id": job_id,
                "series_id": series_id,
                "latency_seconds": float(value),
                "started_at": base_run["started_at"] + _DAY_SECONDS * (day + 1),
            }
            for day, (job_id, value) in enumerate(zip(job_ids, values, strict=True))
        ]
        runs = insert(run).returning(run.c.id, sort_by_parameter_order=True)
        return list(connection.execute(runs, rows).scalars())
