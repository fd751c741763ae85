"""The reconciler: takes back what a lost worker held, and rings again for what Redis forgot.

Beat and every worker tick it; any number may do so at once.
"""

import time
from dataclasses import dataclass

from db.engine import Database
from db.jobs import (
    Expired,
    expire_leases,
    has_expired_leases,
    mark_published,
    next_queued,
    next_queued_in_batch,
    queued_counts,
    unpublished_batches,
)
from scheduler.ring import MAX_RINGS, Bell


@dataclass(frozen=True)
class Tick:
    """What one tick did."""

    expired: list[Expired]
    #: messages published
    rung: int


def reconcile(database: Database, bell: Bell, *, max_attempts: int, grace_seconds: float = 0.0) -> Tick:
    """Tick once; see `take_back` for the grace. Raises UnavailableError where the database or Redis is away."""
    expired = take_back(database, max_attempts, grace_seconds)
    return Tick(expired, ring_for_queued(database, bell))


def ring_for_queued(database: Database, bell: Bell) -> int:
    """Ring for what is queued, up to the cap of each queue. Returns the rings.

    Raises UnavailableError where Redis is away, which loses nothing: the next tick rings.
    """
    with database.read() as connection:
        new = unpublished_batches(connection)
        counts = queued_counts(connection)
    waiting = bell.waiting(counts)
    missing = {queue: min(jobs, MAX_RINGS) - waiting[queue] for queue, jobs in counts.items()}
    with database.read() as connection:
        ids = {queue: next_queued(connection, queue, rings) for queue, rings in missing.items() if rings > 0}
    rung = bell.ring(ids)
    mark_published(database, new)
    return rung


def reconcile_batch(
    database: Database, bell: Bell, *, batch_id: int, queue: str, max_attempts: int, grace_seconds: float = 0.0
) -> Tick:
    """Tick for one batch, whose worker listens to a queue of its own."""
    expired = take_back(database, max_attempts, grace_seconds)
    waiting = bell.waiting([queue])[queue]
    with database.read() as connection:
        new = [each for each in unpublished_batches(connection) if each == batch_id]
        ids = next_queued_in_batch(connection, batch_id, MAX_RINGS)
    rung = bell.ring({queue: ids[: max(0, len(ids) - waiting)]})
    mark_published(database, new)
    return Tick(expired, rung)


def take_back(database: Database, max_attempts: int, grace_seconds: float = 0.0) -> list[Expired]:
    """End the leases that ran out, unless the database could not be had within the last `grace_seconds`.

    While it is away nobody can extend a lease: whoever lives gets the time to do so.
    """
    if database.away_at is not None and time.monotonic() - database.away_at < grace_seconds:
        return []
    with database.read() as connection:
        if not has_expired_leases(connection):
            return []
    with database.write() as connection:
        return expire_leases(connection, max_attempts)
