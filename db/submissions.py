"""Writing a batch with its jobs, and all that they refer to, in one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, insert, select

from bench.catalog import ModelEntry
from bench.spec import JobSpec
from bench.workloads import Workload
from db.engine import now
from db.inserts import insert_many, insert_new
from db.tables import alert, batch, item, job, media, model, strategy, workload
from db.text import storable


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be queued."""

    spec: JobSpec
    model_hash: str
    workload_hash: str
    strategy_hash: str | None
    queue: str
    session_key: str
    memory_mib: int
    repeat_of: int | None = None
    reason: str | None = None
    #: canonical JSON of the specification, which is hashed and then stored
    canonical: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "canonical", self.spec.canonical())


@dataclass(frozen=True)
class NewBatch:
    """A batch to be written, with what its jobs refer to, each by its hash."""

    name: str
    key: str | None
    sweep_hash: str
    priority: int
    models: Mapping[str, ModelEntry]
    workloads: Mapping[str, Workload]
    #: name and JSON definition
    strategies: Mapping[str, tuple[str, str]]
    #: the submitter's own words about it
    labels: Mapping[str, str] = field(default_factory=dict)
    #: name of the schedule that makes it
    schedule: str | None = None


def batch_of_key(connection: Connection, key: str) -> tuple[int, str] | None:
    """Return id and sweep hash of the batch with a submitter's key."""
    row = connection.execute(select(batch.c.id, batch.c.sweep_hash).where(batch.c.key == key)).first()
    return None if row is None else (int(row.id), row.sweep_hash)


def insert_batch(connection: Connection, new: NewBatch, jobs: list[NewJob]) -> int:
    """Write a batch and its jobs, `queued`; returns the batch's id. A key that exists raises IntegrityError."""
    insert_payload(connection, new)
    values: dict[str, Any] = {"name": new.name, "key": new.key, "sweep_hash": new.sweep_hash, "priority": new.priority}
    values |= {"labels": dict(new.labels) or None, "schedule": new.schedule}
    inserted = connection.execute(insert(batch).values(created_at=now(), **values).returning(batch.c.id))
    batch_id = int(inserted.scalar_one())
    insert_jobs(connection, batch_id, new.priority, jobs)
    if new.schedule is not None:
        connection.execute(insert(alert).values(batch_id=batch_id, state="waiting"))
    return batch_id


def insert_jobs(connection: Connection, batch_id: int, priority: int, jobs: list[NewJob]) -> None:
    """Queue jobs in a batch."""
    queued_at = connection.execute(select(now())).scalar_one()
    shared = (batch_id, priority, "queued", queued_at)
    insert_many(connection, job, _COLUMNS, (_values(each) + shared for each in jobs))


#: columns of a job that come from its specification under their own name, and all that are written, in order
_OF_SPEC = (
    *("model", "workload", "strategy", "temperature", "precision", "prompt_tokens", "new_tokens", "device", "machine"),
)
_OF_JOB = ("model_hash", "workload_hash", "strategy_hash", "queue", "session_key", "memory_mib", "repeat_of", "reason")
_COLUMNS = ("spec", *_OF_SPEC, *_OF_JOB, "batch_id", "priority", "state", "queued_at")

_values_of_spec = attrgetter(*_OF_SPEC)
_values_of_job = attrgetter(*_OF_JOB)


def _values(new: NewJob) -> tuple[Any, ...]:
    """Return what is written of a job, in the order of the columns."""
    return (new.canonical, *_values_of_spec(new.spec), *_values_of_job(new))


def insert_payload(connection: Connection, new: NewBatch) -> None:
    """Write what a batch's jobs refer to, as far as it is not there yet."""
    # Without what is at its default: a worker of an earlier version refuses fields that it does not know.
    # Sorted: two submitters that write the same rows in different orders would each wait for the other.
    models, strategies = sorted(new.models.items()), sorted(new.strategies.items())
    entries = [
        {"hash": key, "name": each.name, "entry": each.model_dump_json(exclude_defaults=True)} for key, each in models
    ]
    insert_new(connection, model, entries)
    definitions = [{"hash": key, "name": name, "definition": body} for key, (name, body) in strategies]
    insert_new(connection, strategy, definitions)
    known = set(connection.execute(select(workload.c.hash).where(workload.c.hash.in_(new.workloads))).scalars())
    for key in sorted(new.workloads.keys() - known):
        _insert_workload(connection, key, new.workloads[key])


def _insert_workload(connection: Connection, key: str, new: Workload) -> None:
    definition = new.model_dump_json(exclude={"items"}, exclude_defaults=True)
    row = {"hash": key, "name": new.name, "task": new.task, "kind": new.kind, "definition": definition}
    insert_new(connection, workload, [row])
    rows = [
        {
            "workload_hash": key,
            "item_id": each.id,
            "position": position,
            "prompt": storable(each.prompt),
            "expected": storable(each.answer if isinstance(each.answer, str) else " | ".join(each.answer)),
            "level": each.level,
            "language": each.language,
            "body": each.model_dump_json(exclude_defaults=True),
        }
        for position, each in enumerate(new.items)
    ]
    insert_new(connection, item, rows)
    _insert_media(connection, new.media)


def _insert_media(connection: Connection, contents: Mapping[str, bytes]) -> None:
    """Write the files that are not there yet, one a statement: together they may be of 64 MiB."""
    known = set(connection.execute(select(media.c.hash).where(media.c.hash.in_(contents))).scalars())
    for key in sorted(contents.keys() - known):
        insert_new(connection, media, [{"hash": key, "content": contents[key]}])
