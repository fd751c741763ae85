"""The reconciler: takes back what a lost worker held, and rings again for what Redis forgot.

Beat and every worker tick it; any number may do so at once.
"""

from dataclasses import dataclass

from db.engine import Database
from db.jobs import Expired, expire_leases, has_expired_leases, next_queued, next_queued_in_batch, queued_counts
from scheduler.ring import MAX_RINGS, Bell


@dataclass(frozen=True)
class Tick:
    """What one tick did."""

    expired: list[Expired]
    #: messages published
    rung: int


def reconcile(database: Database, bell: Bell, *, max_attempts: int) -> Tick:
    """Tick once. Raises UnavailableError where the database or Redis is away."""
    expired = take_back(database, max_attempts)
    return Tick(expired, ring_for_queued(database, bell))


def ring_for_queued(database: Database, bell: Bell) -> int:
    """Ring for what is queued, up to the cap of each queue. Returns the rings.

    Raises UnavailableError where Redis is away, which loses nothing: the next tick rings.
    """
    with database.read() as connection:
        counts = queued_counts(connection)
    waiting = bell.waiting(counts)
    missing = {queue: min(jobs, MAX_RINGS) - waiting[queue] for queue, jobs in counts.items()}
    with database.read() as connection:
        return bell.ring(
            {queue: next_queued(connection, queue, rings) for queue, rings in missing.items() if rings > 0}
        )


def reconcile_batch(database: Database, bell: Bell, *, batch_id: int, queue: str, max_attempts: int) -> Tick:
    """Tick for one batch, whose worker listens to a queue of its own."""
    expired = take_back(database, max_attempts)
    waiting = bell.waiting([queue])[queue]
    with database.read() as connection:
        ids = next_queued_in_batch(connection, batch_id, MAX_RINGS)
    return Tick(expired, bell.ring({queue: ids[: max(0, len(ids) - waiting)]}))


def take_back(database: Database, max_attempts: int) -> list[Expired]:
    """End the leases that ran out."""
    with database.read() as connection:
        if not has_expired_leases(connection):
            return []
    with database.write() as connection:
        return expire_leases(connection, max_attempts)
