"""The messages about schedules' batches: which are due, who sends them, and what became of them."""

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, func, literal, or_, select, update

from bench.level_changes import LevelChange
from db.engine import now
from db.level_changes import stored_changes
from db.tables import alert, batch, change, job, run, unjudged

#: of a batch that ended longer ago nobody wants to hear: nobody listened until now
STALE_SECONDS = 86_400.0
#: how long a message may take to be sent, and how often that is tried
SENDING_SECONDS = 120.0
MAX_TRIES = 5
_DISTURBED_NAMED = 5


@dataclass(frozen=True)
class BatchStory:
    """What became of a schedule's batch."""

    batch_id: int
    name: str
    schedule: str
    #: seconds since the epoch
    created_at: float
    done: int
    failed: int
    cancelled: int
    #: runs that were disturbed, and why, the most frequent reason first
    disturbed: int
    disturbances: tuple[str, ...]
    #: why jobs failed, each with how many did
    failures: tuple[tuple[str, int], ...]
    #: changes of level that its runs confirmed
    changes: tuple[LevelChange, ...]

    @property
    def jobs(self) -> int:
        """All its jobs, confirming and repeated ones too."""
        return self.done + self.failed + self.cancelled


def batches_to_tell(connection: Connection) -> list[int]:
    """Return the batches that have ended, with nothing left to be judged or confirmed, and wait for a message."""
    jobs = select(job.c.id).where(job.c.batch_id == alert.c.batch_id, job.c.state.in_(("queued", "running")))
    new = select(run.c.id).join(unjudged, unjudged.c.run_id == run.c.id).where(run.c.batch_id == alert.c.batch_id)
    ours = select(run.c.id).where(run.c.batch_id == alert.c.batch_id)
    suspected = select(change.c.id).where(change.c.state == "suspected", change.c.run_id.in_(ours))
    ended = (~jobs.exists(), ~new.exists(), ~suspected.exists())
    return list(
        connection.execute(select(alert.c.batch_id).where(_free(), *ended).order_by(alert.c.batch_id)).scalars()
    )


def _free() -> ColumnElement[bool]:
    """Return the condition that nobody is sending a message."""
    return or_(alert.c.state == "waiting", and_(alert.c.state == "sending", alert.c.lease_until < now()))


def is_stale(connection: Connection, batch_id: int) -> bool:
    """Return whether a batch ended so long ago that its message would be no news."""
    ended = select(func.coalesce(func.max(job.c.finished_at), 0.0)).where(job.c.batch_id == batch_id)
    age = select(now() - ended.scalar_subquery())
    return float(connection.execute(age).scalar_one()) > STALE_SECONDS


def claim_alert(connection: Connection, batch_id: int, title: str, body: str) -> int | None:
    """Take a message to be sent by us; returns which try it is, None where another one sends it."""
    values = {
        "state": "sending",
        "tries": alert.c.tries + 1,
        "lease_until": now() + literal(SENDING_SECONDS),
        "title": title,
        "body": body,
    }
    ours = update(alert).where(alert.c.batch_id == batch_id, _free()).values(values).returning(alert.c.tries)
    return connection.execute(ours).scalar()


def end_alert(connection: Connection, batch_id: int, state: str, error: str | None = None) -> None:
    """Note what became of a message: `quiet`, `sent` or `failed`."""
    values = {"state": state, "decided_at": now(), "error": error, "lease_until": None}
    connection.execute(update(alert).where(alert.c.batch_id == batch_id).values(values))


def postpone_alert(connection: Connection, batch_id: int, seconds: float, error: str | None) -> None:
    """Let a message that could not be sent be tried again after a while."""
    values = {"lease_until": now() + literal(seconds), "error": error}
    connection.execute(update(alert).where(alert.c.batch_id == batch_id).values(values))


def story_of(connection: Connection, batch_id: int) -> BatchStory:
    """Return what became of a batch."""
    row = connection.execute(select(batch).where(batch.c.id == batch_id)).one()
    jobs = connection.execute(select(job.c.state, job.c.error).where(job.c.batch_id == batch_id)).all()
    states = Counter(each.state for each in jobs)
    failures = Counter(each.error or "no reason was stored" for each in jobs if each.state == "failed")
    runs = select(run.c.contamination).where(run.c.batch_id == batch_id, run.c.contaminated)
    disturbances = Counter(text or "" for text in connection.execute(runs).scalars())
    ours = select(run.c.id).where(run.c.batch_id == batch_id)
    return BatchStory(
        batch_id=batch_id,
        name=row.name,
        schedule=row.schedule or row.name,
        created_at=row.created_at,
        done=states["done"],
        failed=states["failed"],
        cancelled=states["cancelled"],
        disturbed=disturbances.total(),
        disturbances=tuple(text for text, _ in disturbances.most_common(_DISTURBED_NAMED)),
        failures=tuple(failures.most_common()),
        changes=tuple(stored_changes(connection, change.c.state == "confirmed", change.c.run_id.in_(ours))),
    )
