"""Changes of a series' level, as the database holds them: what waits to be judged, what is suspected, what is known.

What is judged, and how, is decided in bench/confirmation.py and scheduler/watch.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from bench.change_points import ChangePoint
from db.driver import insertion
from db.engine import now
from db.reasons import CONFIRMATION, DISTURBED
from db.tables import CLEAN_SPEED_RUN, change, job, run, series_key, unjudged

#: the figure that is judged: the median of a speed run, never a tail
METRIC = "latency_seconds"
#: so many of a series' newest runs are judged by
NEWEST_RUNS = 1000
_OPEN = ("suspected", "undecided")
_EXPECT = insertion(unjudged, ("run_id",))


@dataclass(frozen=True)
class SeriesRun:
    """A clean run of a series."""

    id: int
    job_id: int
    batch_id: int
    machine_id: str
    device: str
    #: the figure; None where it was not measured
    value: float | None
    #: measured to confirm a suspicion
    is_rerun: bool


def expect_judgement(connection: Connection, run_id: int) -> None:
    """Note that a run is to be judged; must be called in the transaction that writes it."""
    _EXPECT.execute(connection, {"run_id": run_id})


def waiting_series(connection: Connection) -> list[int]:
    """Return the series with something to judge: a run that is new, or a confirming job that has ended."""
    # Not a join, for which SQLite goes through all runs: it can't know that few are unjudged.
    new = select(run.c.series_id).where(run.c.id.in_(select(unjudged.c.run_id)))
    ended = (
        select(change.c.series_id)
        .join(job, job.c.id == change.c.job_id)
        .where(change.c.state.in_(_OPEN), job.c.state.in_(("done", "failed", "cancelled")))
    )
    return sorted(set(connection.execute(new.union(ended)).scalars()))


def lock_series(connection: Connection, series_id: int) -> None:
    """Keep others from judging a series until this transaction ends."""
    connection.execute(select(series_key.c.id).where(series_key.c.id == series_id).with_for_update())


def take_unjudged(connection: Connection, series_id: int) -> int:
    """Take the runs of a series that wait to be judged off the list; returns how many there were."""
    ours = select(run.c.id).where(run.c.series_id == series_id)
    return int(connection.execute(delete(unjudged).where(unjudged.c.run_id.in_(ours))).rowcount)


def runs_of_series(connection: Connection, series_id: int) -> list[SeriesRun]:
    """Return the newest clean runs of a series, in the order in which they were stored."""
    columns = (run.c.id, run.c.job_id, run.c.batch_id, run.c.machine_id, run.c.device, run.c[METRIC].label("value"))
    query = (
        select(*columns, job.c.reason, job.c.repeat_of)
        .join(job, job.c.id == run.c.job_id)
        .where(run.c.series_id == series_id, *CLEAN_SPEED_RUN)
        # By the id: a machine's clock may have gone back.
        .order_by(run.c.id.desc())
        .limit(NEWEST_RUNS)
    )
    return [
        SeriesRun(
            id=row.id,
            job_id=row.job_id,
            batch_id=row.batch_id,
            machine_id=row.machine_id,
            device=row.device,
            value=row.value,
            is_rerun=_is_rerun(connection, row.reason, row.repeat_of),
        )
        for row in reversed(connection.execute(query).all())
    ]


def _is_rerun(connection: Connection, reason: str | None, repeat_of: int | None) -> bool:
    """Return whether a job confirms something: a confirming job that was disturbed is measured again by another one."""
    while reason == DISTURBED and repeat_of is not None:
        before = connection.execute(select(job.c.reason, job.c.repeat_of).where(job.c.id == repeat_of)).one()
        reason, repeat_of = before.reason, before.repeat_of
    return reason == CONFIRMATION


def last_repeat(connection: Connection, job_id: int) -> tuple[int, str]:
    """Return id and state of a confirming job, or of the job that measures it again because it was disturbed."""
    while True:
        again = select(job.c.id).where(job.c.repeat_of == job_id, job.c.reason == DISTURBED)
        found = connection.execute(again).scalar()
        if found is None:
            return job_id, str(connection.execute(select(job.c.state).where(job.c.id == job_id)).scalar_one())
        job_id = int(found)


def first_runs_after_changes(connection: Connection, series_id: int) -> list[int]:
    """Return the ids of the runs with which a series' confirmed changes begin, the oldest first."""
    confirmed = (change.c.series_id == series_id, change.c.metric == METRIC, change.c.state == "confirmed")
    return list(connection.execute(select(change.c.first_run_id).where(*confirmed).order_by(change.c.id)).scalars())


def open_change(connection: Connection, series_id: int) -> Row[Any] | None:
    """Return the suspicion of a series that is not decided yet."""
    ours = (change.c.series_id == series_id, change.c.metric == METRIC, change.c.state.in_(_OPEN))
    return connection.execute(select(change).where(*ours)).first()


def series_judged_together(connection: Connection, batch_id: int) -> int:
    """Return how many series a batch measures the speed of: so many chances it is to be alarmed by noise."""
    speed = (run.c.batch_id == batch_id, run.c.new_tokens.is_not(None))
    return int(connection.execute(select(func.count(run.c.series_id.distinct())).where(*speed)).scalar_one())


def write_change(
    connection: Connection, series_id: int, runs: Sequence[SeriesRun], found: ChangePoint, state: str
) -> int:
    """Write what is suspected or known of a series, over its open suspicion where there is one; returns its id.

    `found.place` counts in `runs`, the newest of which was judged.
    """
    values: dict[str, Any] = {
        "state": state,
        "kind": found.kind,
        "first_run_id": runs[found.place].id,
        "last_run_id": runs[found.place - 1].id,
        "level_before": found.before,
        "level_after": found.after,
        "ratio": found.ratio,
        "ratio_low": found.low,
        "ratio_high": found.high,
        "log_evidence": found.log_evidence,
        "decided_at": now() if state == "confirmed" else None,
    }
    existing = open_change(connection, series_id)
    if existing is not None:
        connection.execute(update(change).where(change.c.id == existing.id).values(values))
        return int(existing.id)
    new = {"series_id": series_id, "metric": METRIC, "run_id": runs[-1].id, "suspected_at": now()}
    return int(connection.execute(insert(change).values(new | values).returning(change.c.id)).scalar_one())


def refute(connection: Connection, change_id: int) -> None:
    """Note that a suspicion was none."""
    connection.execute(update(change).where(change.c.id == change_id).values(state="refuted", decided_at=now()))


def await_job(connection: Connection, change_id: int, job_id: int) -> None:
    """Note the job that is to confirm a suspicion."""
    values = {"job_id": job_id, "extra_runs": change.c.extra_runs + 1}
    connection.execute(update(change).where(change.c.id == change_id).values(values))


def follow_job(connection: Connection, change_id: int, job_id: int | None) -> None:
    """Note which job is waited for now, None for none."""
    connection.execute(update(change).where(change.c.id == change_id).values(job_id=job_id))
