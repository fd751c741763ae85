"""Histories of 10,000 to 1,000,000 synthetic runs, written by the database itself: copies of one run a series.

python -m tests.report.synthetic_runs 1000000 --database-url sqlite:///million.db
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Table,
    and_,
    case,
    cast,
    func,
    insert,
    literal,
    select,
    union_all,
)

from bench.errors import BenchbeatError, InputError
from bench.results import Resolved
from bench.series import series_definition
from bench.workloads import Workload
from db.engine import Database
from db.inserts import insert_new
from db.runs import environment_id, series_id
from db.schema import ensure
from db.settings import load_settings
from db.submissions import NewJob, insert_payload
from db.tables import batch, job, machine, run, sample, series_key
from tests.report.bulk import Bulk, Row, count_on, look_after
from tests.report.synthetic_figures import Measured, measure_quality, measure_speed
from tests.report.synthetic_plan import MONTHLY, NIGHTLY, environment_at, prepared

RUNS_A_SERIES = 500
_NAME = "synthetic-runs"
_FIRST_NIGHT = 1_730_000_000.0
_DAY_SECONDS = 86_400.0
_RUNS_AT_ONCE = 20_000
#: figures that vary from run to run, all by the same factor
_VARYING = ("latency_seconds", "latency_low_seconds", "latency_high_seconds", "ttft_seconds", "inter_token_p50_seconds")


def write_runs(database_url: str, runs: int, *, samples: int = 10) -> int:
    """Write so many runs, about 500 a series and a night apart, into an upgraded, empty database.

    Returns the number of series: a few have 1,000 runs, for a machine's jobs hold some twice.
    """
    database = Database(database_url)
    try:
        with database.write() as connection:
            _Runs(connection, runs, samples).write()
            series = connection.execute(select(func.count()).select_from(series_key)).scalar_one()
    finally:
        database.dispose()
    look_after(database_url)
    return int(series)


class _Runs:
    """The first run of each series, and its copies a night later each."""

    def __init__(self, connection: Connection, runs: int, samples: int) -> None:
        self._connection = connection
        self._bulk = Bulk(connection)
        self._runs = runs
        self._samples = samples
        self._series = max(runs // RUNS_A_SERIES, 1)
        self._random = np.random.default_rng(1)
        self._environment = environment_id(connection, environment_at(1.0))
        self._workloads: dict[str, Workload] = {}

    def write(self) -> None:
        """Write everything."""
        shared = {"name": _NAME, "sweep_hash": _NAME, "priority": 0, "schedule": _NAME, "labels": {"synthetic": "true"}}
        for night in range(-(-self._runs // self._series)):
            self._bulk.add_counted(batch, shared | {"created_at": _FIRST_NIGHT + night * _DAY_SECONDS})
        jobs = self._jobs()
        for number in range(self._series):
            round_number, place = divmod(number, len(jobs))
            self._add_first(f"synthetic-{round_number + 1:03}", number, jobs[place])
        self._bulk.write()
        self._copy()
        count_on(self._connection)

    def _jobs(self) -> list[NewJob]:
        found: list[NewJob] = []
        for text in (NIGHTLY, MONTHLY):
            new, jobs = prepared(_NAME, text)
            insert_payload(self._connection, new)
            self._workloads |= new.workloads
            found += [each for each in jobs if each.spec.model != "llama-3.2-3b"]
        return found

    def _add_first(self, machine_id: str, number: int, new: NewJob) -> None:
        spec = new.spec
        began = _FIRST_NIGHT + number * 40.0
        insert_new(self._connection, machine, [{"id": machine_id, "first_seen_at": _FIRST_NIGHT}])
        asked = ("model", "workload", "strategy", "temperature", "precision", "prompt_tokens", "new_tokens")
        row: Row = {name: getattr(spec, name) for name in asked}
        times = {"started_at": began, "finished_at": began + 30.0, "batch_id": 1}
        hashes = {name: getattr(new, name) for name in ("model_hash", "workload_hash", "strategy_hash")}
        state = {"state": "done", "attempt": 1, "failures": 0, "cancel_requested": False, "queued_at": began - 60.0}
        place = {"device": "any", "queue": new.queue, "memory_mib": new.memory_mib, "priority": 0}
        told = {"spec": spec.canonical(), "session_key": new.session_key}
        job_id = self._bulk.add_counted(job, row | times | hashes | state | place | told)
        figures = self._measure(new).figures.model_dump()
        self._bulk.add_counted(run, row | self._run_row(machine_id, new) | figures | times | {"job_id": job_id})

    def _measure(self, new: NewJob) -> Measured:
        if new.spec.is_speed:
            return measure_speed(new.spec, 1.0, self._random, detailed=False)
        return measure_quality(new.spec, self._workloads[new.workload_hash], 1.0, self._random)

    def _run_row(self, machine_id: str, new: NewJob) -> Row:
        spec, task = new.spec, self._workloads[new.workload_hash].task
        settings = {name: getattr(spec, name) for name in ("temperature", "top_p", "max_new_tokens")}
        known = {"device": "mps", "device_name": "Apple M4 (synthetic)", "revision": "synthetic"}
        resolved = Resolved(strategy_hash=new.strategy_hash, **settings, **known)
        definition = series_definition(spec, resolved, workload_hash=new.workload_hash, machine=machine_id)
        asked = ("attention", "compile", "cache", "isolation", "seed", "batch_size")
        return {
            **{name: getattr(spec, name) for name in asked},
            **settings,
            **known,
            "series_id": series_id(self._connection, definition),
            "environment_id": self._environment,
            "machine_id": machine_id,
            "workload_hash": new.workload_hash,
            "task": task,
            "schedule": _NAME,
            "source": "benchbeat",
            "samples": None if spec.is_speed else spec.samples,
            "session": _NAME,
            "session_position": 1,
            "contaminated": False,
            "processes": 1,
        }

    def _copy(self) -> None:
        """Copy the first night to all others, with other noise."""
        night = cast(batch.c.id - 1, BigInteger)
        shift = night * self._series
        later: dict[str, ColumnElement[Any]] = {"batch_id": batch.c.id}
        for name in ("queued_at", "started_at", "finished_at"):
            later[name] = job.c[name] + night * _DAY_SECONDS
        self._insert_copies(job, later | {"id": job.c.id + shift}, job.c.id + shift)
        number = run.c.id * 7919 + night * 104_729
        noise = 1 + 0.03 * ((number % 1009) - 504) / literal(504.0)
        disturbed = number % 97 == 0
        changed = {"id": run.c.id + shift, "job_id": run.c.job_id + shift, "batch_id": batch.c.id}
        changed |= {name: run.c[name] + night * _DAY_SECONDS for name in ("started_at", "finished_at")}
        changed |= {name: run.c[name] * noise for name in _VARYING}
        changed |= {"decode_tokens_per_second": run.c.decode_tokens_per_second / noise, "contaminated": disturbed}
        changed |= {"contamination": case((disturbed, "the machine slept for 12 s"))}
        self._insert_copies(run, changed, run.c.id + shift)
        for first in range(1, self._runs + 1, _RUNS_AT_ONCE):
            self._insert_samples(first)

    def _insert_copies(self, table: Table, changed: dict[str, Any], new_id: ColumnElement[Any]) -> None:
        names = [column.name for column in table.c]
        columns = [changed.get(name, table.c[name]) for name in names]
        nights = table.join(batch, and_(table.c.id <= self._series, batch.c.id > 1, new_id <= self._runs))
        copies = select(*columns).select_from(nights).order_by(batch.c.id, table.c.id)
        self._connection.execute(insert(table).from_select(names, copies))

    def _insert_samples(self, first: int) -> None:
        if self._samples == 0:
            return
        numbers = union_all(*(select(literal(n).label("n")) for n in range(self._samples))).subquery()
        wobble = 1 + 0.02 * ((run.c.id * 31 + numbers.c.n * 577) % 101 - 50) / literal(50.0)
        values = {
            "run_id": run.c.id,
            "iteration": numbers.c.n,
            "batch_size": run.c.batch_size,
            "prompt_tokens": func.coalesce(run.c.prompt_tokens, 40),
            "new_tokens": func.coalesce(run.c.new_tokens, 60),
            "ttft_seconds": run.c.ttft_seconds * wobble,
            "latency_seconds": run.c.latency_seconds * wobble,
            "decode_tokens_per_second": run.c.decode_tokens_per_second / wobble,
        }
        runs = run.join(numbers, run.c.id.between(first, first + _RUNS_AT_ONCE - 1))
        rows = select(*values.values()).select_from(runs).order_by(run.c.id, numbers.c.n)
        self._connection.execute(insert(sample).from_select(list(values), rows))


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the runs into the database of the command line, which is made where there is none."""
    parser = argparse.ArgumentParser(description="Fill a history with synthetic runs.")
    parser.add_argument("runs", type=int, help=f"at least 1; about {RUNS_A_SERIES} are a series")
    parser.add_argument("--database-url", required=True, help="sqlite:///PATH or postgresql://..., new or empty")
    parser.add_argument("--samples", type=int, default=10, help="of each run (default 10)")
    asked = parser.parse_args(arguments)
    if asked.runs < 1 or asked.samples < 0:
        parser.error("runs must be 1 or more, --samples 0 or more")
    try:
        url = load_settings(database_url=asked.database_url)[0].database
        database = Database(url)
        try:
            ensure(database)
            if _has_batches(database):
                parser.error(f"{database.safe_url} holds batches already; name a new database")
        finally:
            database.dispose()
        series = write_runs(url, asked.runs, samples=asked.samples)
    except BenchbeatError as error:
        parser.error(error.message if isinstance(error, InputError) else str(error))
    sys.stdout.write(f"{asked.runs:,} runs of {series:,} series are in {database.safe_url}\n")
    return 0


def _has_batches(database: Database) -> bool:
    with database.read() as connection:
        return connection.execute(select(batch.c.id).limit(1)).first() is not None


if __name__ == "__main__":
    sys.exit(main())
