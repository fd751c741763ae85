"""Submitting: one transaction writes the batch; ringing comes after and may fail without harm."""

import hashlib
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import IntegrityError

from bench.catalog import ModelEntry
from bench.errors import InputError
from bench.garbage import uncollected
from bench.spec import JobSpec, hash_of
from bench.sweep import Sweep, check_name
from bench.workloads import workload_hash as workload_hash
from db.engine import Database
from db.submissions import NewBatch, NewJob, batch_of_key, insert_batch
from scheduler.queues import queue_of, session_key

#: fields of an entry that the submitter alone reads, with the values that say nothing
_AT_HOME: dict[str, Any] = {"settings": {}, "description": ""}


@dataclass(frozen=True)
class Submission:
    """A batch that is in the database."""

    batch_id: int
    #: False where the key named a batch that exists
    created: bool
    jobs: int


@uncollected()
def submit(database: Database, sweep: Sweep, *, key: str | None = None) -> Submission:
    """Write a sweep as a batch of queued jobs. Once this returns, the jobs will run.

    The same key with the same sweep returns the batch that exists; with another sweep it raises InputError.
    """
    if key is not None:
        check_name(key, "--key")
    batch, jobs = prepare(sweep, key)
    if key is not None and (existing := _existing(database, batch, len(jobs))):
        return existing
    try:
        with database.write() as connection:
            return Submission(insert_batch(connection, batch, jobs), created=True, jobs=len(jobs))
    except IntegrityError:
        # Another submitter with the same key was faster.
        existing = _existing(database, batch, len(jobs))
        if existing is None:
            raise
        return existing


def prepare(sweep: Sweep, key: str | None = None) -> tuple[NewBatch, list[NewJob]]:
    """Return the batch and the jobs that a sweep stands for, touching no database."""
    model_hashes = {name: model_hash_of(entry) for name, entry in sweep.models.items()}
    workload_hashes = {name: workload_hash(each) for name, each in sweep.workloads.items()}
    strategies: dict[str, tuple[str, str]] = {}
    jobs = []
    rendered: dict[tuple[str | None, str], str | None] = {}
    for spec in sweep.specs:
        pair = (spec.strategy, spec.workload)
        if pair not in rendered:
            rendered[pair] = _render(sweep, spec, strategies)
        memory_mib = sweep.models[spec.model].memory_mib(spec.precision)
        model_hash = model_hashes[spec.model]
        jobs.append(
            NewJob(
                spec=spec,
                model_hash=model_hash,
                workload_hash=workload_hashes[spec.workload],
                strategy_hash=rendered[pair],
                queue=queue_of(spec.device, spec.machine, memory_mib),
                session_key=session_key(spec, model_hash),
                memory_mib=memory_mib,
            )
        )
    batch = NewBatch(
        name=sweep.name,
        key=key,
        sweep_hash=_sweep_hash(sweep, jobs),
        priority=sweep.priority,
        models={model_hashes[name]: _travelling(entry) for name, entry in sweep.models.items()},
        workloads={workload_hashes[name]: each for name, each in sweep.workloads.items()},
        strategies=strategies,
        labels=sweep.labels,
    )
    return batch, jobs


def model_hash_of(entry: ModelEntry) -> str:
    """Return the hash of what a worker needs to know of a model."""
    # Without what is None, so that a field added to entries later changes no hash.
    return hash_of(entry.model_dump(mode="json", exclude=set(_AT_HOME), exclude_none=True))


def _travelling(entry: ModelEntry) -> ModelEntry:
    """Return an entry without what the submitter alone reads."""
    return entry.model_copy(update=_AT_HOME)


def _render(sweep: Sweep, spec: JobSpec, strategies: dict[str, tuple[str, str]]) -> str | None:
    """Store the strategy's template for the workload, and return its hash."""
    if spec.strategy is None:
        return None
    strategy, workload = sweep.strategies[spec.strategy], sweep.workloads[spec.workload]
    template = strategy.template(workload)
    digest = template.digest()
    strategies[digest] = (strategy.name, template.definition())
    return digest


def _sweep_hash(sweep: Sweep, jobs: list[NewJob]) -> str:
    """Return the hash of priority and jobs: `hash_of` the list of them, which is never held as a whole."""
    digest = hashlib.sha256(f"[{sweep.priority},[".encode())
    for number, each in enumerate(jobs):
        strategy = "null" if each.strategy_hash is None else f'"{each.strategy_hash}"'
        own = hashlib.sha256(each.canonical.encode()).hexdigest()
        hashes = f'["{own}","{each.model_hash}","{each.workload_hash}",{strategy}]'
        digest.update(f"{',' if number else ''}{hashes}".encode())
    digest.update(b"]]")
    return digest.hexdigest()


def _existing(database: Database, batch: NewBatch, jobs: int) -> Submission | None:
    with database.read() as connection:
        found = batch_of_key(connection, batch.key or "")
    if found is None:
        return None
    batch_id, sweep_hash = found
    if sweep_hash != batch.sweep_hash:
        raise InputError(
            f"the key {batch.key!r} belongs to batch {batch_id}, which holds another sweep; give a new key",
            where="--key",
        )
    return Submission(batch_id, created=False, jobs=jobs)
