"""Watching the history: a change of a series is suspected, measured again, and then believed or dropped.

Beat ticks it; any number of beats may do so at once. A series is judged in one transaction, under its lock, with all
that follows: what was judged, the suspicion, and the job that shall confirm it.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row

from bench.confirmation import Reading, Verdict, judge
from db.engine import Database
from db.regressions import (
    SeriesRun,
    await_job,
    first_runs_after_changes,
    follow_job,
    last_repeat,
    lock_series,
    open_change,
    refute,
    runs_of_series,
    series_judged_together,
    take_unjudged,
    waiting_series,
    write_change,
)
from db.repeat import repeat_to_confirm

log = logging.getLogger("benchbeat.watch")


@dataclass(frozen=True)
class Judged:
    """What became of a series that was judged."""

    series_id: int
    state: Literal["quiet", "suspected", "confirmed", "refuted", "undecided"]
    #: id of the change that is suspected or was decided; None where there is none
    change_id: int | None = None
    #: the job that was queued to confirm it
    job_id: int | None = None
    #: level after / level before
    ratio: float | None = None


def watch(database: Database) -> list[Judged]:
    """Judge every series that has something new. Raises UnavailableError where the database is away."""
    with database.read() as connection:
        waiting = waiting_series(connection)
    judged = []
    for series_id in waiting:
        with database.write() as connection:
            found = _judge(connection, series_id)
        if found is not None:
            judged.append(found)
    return judged


def _judge(connection: Connection, series_id: int) -> Judged | None:
    lock_series(connection, series_id)
    new = take_unjudged(connection, series_id)
    suspicion = open_change(connection, series_id)
    awaited = _awaited(connection, suspicion)
    if not new and (suspicion is None or suspicion.job_id is None or awaited == "open"):
        return None  # another beat was faster, or a disturbed job is measured again
    runs = runs_of_series(connection, series_id)
    if not runs:
        return None
    # A confirming job without a clean run (it failed, or the machine never got quiet) says that no more is to be had.
    can_rerun = awaited != "lost" and (awaited != "done" or new > 0)
    verdict = _verdict(connection, series_id, runs, can_rerun=can_rerun)
    return _follow(connection, series_id, runs, verdict, suspicion, is_awaited=awaited == "open")


def _awaited(connection: Connection, suspicion: Row[Any] | None) -> Literal["none", "open", "done", "lost"]:
    """Return what became of the job that shall confirm a suspicion."""
    if suspicion is None or suspicion.job_id is None:
        return "none"
    job_id, state = last_repeat(connection, suspicion.job_id)
    if job_id != suspicion.job_id:
        follow_job(connection, suspicion.id, job_id)
    if state in ("queued", "running"):
        return "open"
    return "done" if state == "done" else "lost"


def _verdict(connection: Connection, series_id: int, runs: Sequence[SeriesRun], *, can_rerun: bool) -> Verdict:
    places = {run.id: place for place, run in enumerate(runs)}
    changes = [places[first] for first in first_runs_after_changes(connection, series_id) if first in places]
    readings = [Reading(run.value, run.is_rerun) for run in runs]
    together = series_judged_together(connection, runs[-1].batch_id)
    return judge(readings, changes, judged_together=together, can_rerun=can_rerun)


def _follow(
    connection: Connection,
    series_id: int,
    runs: Sequence[SeriesRun],
    verdict: Verdict,
    suspicion: Row[Any] | None,
    *,
    is_awaited: bool,
) -> Judged:
    """Write down what a verdict means, and queue the job that it asks for."""
    if verdict.change is None:
        if suspicion is None:
            return Judged(series_id, "quiet")
        if not is_awaited:
            refute(connection, suspicion.id)
        return Judged(series_id, "suspected" if is_awaited else "refuted", suspicion.id, ratio=suspicion.ratio)
    change_id = write_change(connection, series_id, runs, verdict.change, verdict.state)
    if verdict.reruns == 0 or is_awaited:
        if not is_awaited:
            follow_job(connection, change_id, None)
        return Judged(series_id, verdict.state, change_id, ratio=verdict.change.ratio)
    newest = runs[-1]
    job_id = repeat_to_confirm(connection, newest.job_id, (newest.machine_id, newest.device))
    await_job(connection, change_id, job_id)
    return Judged(series_id, "suspected", change_id, job_id, verdict.change.ratio)
