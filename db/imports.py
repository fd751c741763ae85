"""Storing runs that other tools measured: a batch whose jobs are done, with their runs.

A run is known by its series and the time at which it began, so a file that is imported again, or has grown since, adds
only what is new.
"""

import json
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, func, insert, select

from bench.errors import InputError
from bench.imports.records import UNKNOWN, Imported
from bench.results import Environment
from bench.series import series_hash
from bench.spec import hash_of
from bench.workloads import Workload, workload_hash
from db.engine import now
from db.inserts import insert_new
from db.reasons import IMPORTED
from db.runs import environment_id, series_id
from db.submissions import NewBatch, insert_payload
from db.tables import batch, job, machine, metric, model, run, sample, series_key
from db.text import storable

#: runs that are written at once
_AT_ONCE = 500
#: clocks differ by so much
_AHEAD_SECONDS = 300.0


@dataclass(frozen=True)
class Stored:
    """What became of a file's runs."""

    #: None where none was new
    batch_id: int | None
    runs: int
    #: runs that were there already
    known: int


class Candidate(NamedTuple):
    """A run that may be stored, with the machine that is taken for its own."""

    run: Imported
    machine: str
    series: dict[str, Any]
    series_hash: str
    is_new: bool


def store_imports(
    connection: Connection, runs: Iterable[Imported], *, name: str, key: str, machine_id: str | None = None
) -> Stored:
    """Write the new ones of a file's runs as a batch, in the caller's transaction.

    `key` makes the batch unique: another import of the same content at the same time fails with IntegrityError.
    Without a `machine_id` each run gets one that is named after its hardware. Raises InputError for a run that began
    in the future; the caller's transaction must then be undone.
    """
    writer = _Writer(connection, name, key)
    known = 0
    for part in _parts(find_new(connection, runs, machine_id)):
        writer.write([each for each in part if each.is_new])
        known += sum(not each.is_new for each in part)
    return Stored(writer.batch_id, writer.runs, known)


def find_new(
    connection: Connection | None, runs: Iterable[Imported], machine_id: str | None = None
) -> Iterator[Candidate]:
    """Yield runs with whether they are new, writing nothing; all are new where there is no history (None) yet.

    As often as a series has a run of the same time already, so many of such runs are known. Raises InputError for a
    run that began in the future.
    """
    present, newest = time.time(), 0
    if connection is not None:
        present = float(connection.execute(select(now())).scalar_one())
        newest = connection.execute(select(func.max(run.c.id))).scalar() or 0
    seen: Counter[tuple[str, float]] = Counter()
    source = iter(runs)
    while part := list(islice(source, _AT_ONCE)):
        found = [_candidate(each, machine_id or each.machine_by_hardware()) for each in part]
        there = _there(connection, found, newest) if connection is not None else Counter()
        for each in found:
            _check_time(each.run, present)
            key = each.series_hash, each.run.started_at
            seen[key] += 1
            yield each._replace(is_new=seen[key] > there[key])


def _candidate(run: Imported, machine_id: str) -> Candidate:
    series = run.definition(machine_id)
    return Candidate(run, machine_id, series, series_hash(series), is_new=True)


def _check_time(each: Imported, present: float) -> None:
    if each.started_at > present + _AHEAD_SECONDS:
        began, today = (datetime.fromtimestamp(moment, UTC) for moment in (each.started_at, present))
        raise InputError(
            f"began at {began:%Y-%m-%d %H:%M:%S} UTC, which lies in the future: it is {today:%Y-%m-%d %H:%M:%S} UTC; "
            "one of the two clocks is wrong",
            where=each.place,
        )


def _there(connection: Connection, found: Sequence[Candidate], newest: int) -> Counter[tuple[str, float]]:
    """Return how many runs, up to the one with the id `newest`, there are of each series and time."""
    times = [each.run.started_at for each in found]
    query = (
        select(series_key.c.hash, run.c.started_at, func.count())
        .join(run, run.c.series_id == series_key.c.id)
        .where(series_key.c.hash.in_({each.series_hash for each in found}))
        .where(run.c.started_at.between(min(times), max(times)), run.c.id <= newest)
        .group_by(series_key.c.hash, run.c.started_at)
    )
    return Counter({(digest, started_at): count for digest, started_at, count in connection.execute(query)})


def _parts(found: Iterator[Candidate]) -> Iterator[list[Candidate]]:
    while part := list(islice(found, _AT_ONCE)):
        yield part


class _Writer:
    """Writes runs into a batch, which is made for the first of them."""

    def __init__(self, connection: Connection, name: str, key: str) -> None:
        self.batch_id: int | None = None
        self.runs = 0
        self._connection = connection
        self._name = name
        self._key = key
        self._models: dict[tuple[str, str], str] = {}
        self._workloads: dict[str, str] = {}
        self._machines: set[str] = set()
        self._present = float(connection.execute(select(now())).scalar_one())
        #: of series and environments, by their hash
        self._ids: dict[str, int] = {}

    def write(self, found: Sequence[Candidate]) -> None:
        """Write runs with their jobs, readings and metrics."""
        if not found:
            return
        if self.batch_id is None:
            self.batch_id = self._make_batch()
        jobs = self._insert(job, [self._job(each) for each in found])
        rows = [self._run(each, job_id) for each, job_id in zip(found, jobs, strict=True)]
        run_ids = self._insert(run, rows)
        for table, details in ((sample, self._samples), (metric, self._metrics)):
            inner = [row for each, run_id in zip(found, run_ids, strict=True) for row in details(each.run, run_id)]
            if inner:
                self._connection.execute(insert(table), inner)
        self.runs += len(found)

    def _make_batch(self) -> int:
        values: dict[str, Any] = {"name": storable(self._name), "key": self._key, "sweep_hash": self._key}
        values |= {"priority": 0, "created_at": self._present, "published_at": self._present}
        return int(self._connection.execute(insert(batch).values(values).returning(batch.c.id)).scalar_one())

    def _insert(self, table: Table, rows: list[dict[str, Any]]) -> list[int]:
        in_order = insert(table).returning(table.c.id, sort_by_parameter_order=True)
        return list(self._connection.execute(in_order, rows).scalars())

    def _job(self, each: Candidate) -> dict[str, Any]:
        one = each.run
        told = {"source": one.source, "model": one.model, "workload": one.workload.name} | dict(one.told)
        # No worker listens to this queue, and none is needed: the job was done elsewhere.
        return {
            "batch_id": self.batch_id,
            "spec": json.dumps(_finite(told), sort_keys=True, default=str),
            "model": one.model,
            "workload": one.workload.name,
            "precision": one.precision,
            "prompt_tokens": one.prompt_tokens,
            "new_tokens": one.new_tokens,
            "device": one.device,
            "machine": each.machine,
            "model_hash": self._model(one),
            "workload_hash": self._workload(one.workload),
            "queue": IMPORTED,
            "session_key": IMPORTED,
            "memory_mib": 0,
            "priority": 0,
            "state": "done",
            "reason": IMPORTED,
            "queued_at": one.started_at,
            "started_at": one.started_at,
            "finished_at": one.finished_at,
        }

    def _run(self, each: Candidate, job_id: int) -> dict[str, Any]:
        one = each.run
        self._see_machine(each)
        return one.figures.model_dump() | {
            "job_id": job_id,
            "batch_id": self.batch_id,
            "series_id": self._series(each),
            "environment_id": self._environment(one.environment),
            "machine_id": each.machine,
            "workload_hash": self._workload(one.workload),
            "source": one.source,
            "started_at": one.started_at,
            "finished_at": one.finished_at,
            "device": one.device,
            "device_name": one.device_name,
            "model": one.model,
            "revision": one.revision,
            "task": one.workload.task,
            "workload": one.workload.name,
            "precision": one.precision,
            "attention": one.attention,
            "compile": False,
            "cache": one.cache,
            "isolation": UNKNOWN,
            "batch_size": one.batch_size,
            "prompt_tokens": one.prompt_tokens,
            "new_tokens": one.new_tokens,
            "session": self._key[:40],
            "session_position": one.position,
            "contaminated": False,
        }

    def _samples(self, one: Imported, run_id: int) -> Iterator[dict[str, Any]]:
        for each in one.readings:
            yield each.model_dump(exclude={"inter_token_seconds"}) | {"run_id": run_id}

    def _metrics(self, one: Imported, run_id: int) -> Iterator[dict[str, Any]]:
        for each in one.metrics:
            names = {name: storable(getattr(each, name)) for name in ("task", "name", "filter")}
            yield {"run_id": run_id, **names, "value": each.value, "stderr": each.stderr}

    def _model(self, one: Imported) -> str:
        """Return the hash of the model's entry, which says no more than its name: nothing can load it by that."""
        known = (one.source, one.model)
        if known not in self._models:
            entry = {"imported": one.source, "name": one.model}
            self._models[known] = hash_of(entry)
            row = {"hash": self._models[known], "name": one.model, "entry": json.dumps(entry, sort_keys=True)}
            insert_new(self._connection, model, [row])
        return self._models[known]

    def _workload(self, workload: Workload) -> str:
        if workload.name not in self._workloads:
            digest = workload_hash(workload)
            payload = NewBatch(self._name, None, "", 0, models={}, workloads={digest: workload}, strategies={})
            insert_payload(self._connection, payload)
            self._workloads[workload.name] = digest
        return self._workloads[workload.name]

    def _see_machine(self, each: Candidate) -> None:
        if each.machine not in self._machines:
            name = None if each.run.device_name == UNKNOWN else each.run.device_name
            row = {"id": each.machine, "chip": name, "first_seen_at": self._present}
            insert_new(self._connection, machine, [row])
            self._machines.add(each.machine)

    def _series(self, each: Candidate) -> int:
        if each.series_hash not in self._ids:
            self._ids[each.series_hash] = series_id(self._connection, each.series)
        return self._ids[each.series_hash]

    def _environment(self, facts: Environment) -> int:
        digest = hash_of(facts.model_dump())
        if digest not in self._ids:
            self._ids[digest] = environment_id(self._connection, facts)
        return self._ids[digest]


def _finite(value: Any) -> Any:
    """Return a value of JSON without the numbers that JSON has no word for."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
