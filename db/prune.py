"""Retention: the raw samples of old runs go; runs, their figures and their answers stay for ever."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, delete, func, select, text, update

from db.engine import Database, now
from db.tables import run, sample

#: runs whose samples one transaction removes: a worker's claim waits for it on SQLite
_RUNS_AT_ONCE = 200


@dataclass(frozen=True)
class Pruned:
    """How much was removed, or would be."""

    runs: int
    samples: int


def count_prunable(connection: Connection, keep_seconds: float) -> Pruned:
    """Return how much `prune_samples` would remove."""
    old = select(run.c.id).where(*_old(keep_seconds))
    runs = connection.execute(select(func.count()).select_from(old.subquery())).scalar_one()
    samples = connection.execute(select(func.count()).select_from(sample).where(sample.c.run_id.in_(old))).scalar_one()
    return Pruned(runs, samples)


def prune_samples(database: Database, keep_seconds: float) -> Iterator[Pruned]:
    """Remove the samples of runs that began longer ago than that; yields what each short transaction removed.

    Whoever stops midway leaves whole runs: pruned ones, which say so (`samples_pruned_at`), and others.
    """
    while True:
        with database.write() as connection:
            # By their place in the index of the times, the oldest first.
            query = select(run.c.id).where(*_old(keep_seconds)).order_by(run.c.started_at).limit(_RUNS_AT_ONCE)
            ids = list(connection.execute(query).scalars())
            if not ids:
                return
            removed = connection.execute(delete(sample).where(sample.c.run_id.in_(ids))).rowcount
            connection.execute(update(run).where(run.c.id.in_(ids)).values(samples_pruned_at=now()))
        yield Pruned(len(ids), removed)


def free_bytes(database: Database) -> int | None:
    """Return how many bytes of a SQLite file are free to be written again; None for another database."""
    if not database.is_sqlite:
        return None
    with database.read() as connection:
        pages = connection.execute(text("PRAGMA freelist_count")).scalar_one()
        return int(pages) * int(connection.execute(text("PRAGMA page_size")).scalar_one())


def _old(keep_seconds: float) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return (run.c.started_at < now() - keep_seconds, run.c.samples_pruned_at.is_(None))
