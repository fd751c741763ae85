"""Following a batch to its end."""

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from bench.errors import UnavailableError
from db.engine import Database
from db.status import batch_status, jobs_of_batch, waiting_in_vain
from db.workers import live_workers, workers_of_batch
from report.progress import (
    Snapshot,
    disturbance_lines,
    outcome_line,
    picture,
    waiting_line,
)

if TYPE_CHECKING:
    from rich.live import Live

_LOOK_SECONDS = 0.5
#: a look at a large batch takes a while, and what measures on this machine must not feel it
_LOOK_SHARE = 0.05
_LONGEST_PAUSE_SECONDS = 10.0

#: phases that can take minutes without a figure
_SLOW_PHASES = ("fetching", "waiting for the device", "waiting for a quiet machine")

#: exit codes
DONE, FAILED, NOTHING_MEASURED = 0, 1, 4


def snapshot(database: Database, batch_id: int, *, with_ended: bool = False) -> Snapshot:
    """Read a batch as it is now. `with_ended` judges what waits by the batch's own workers too, live or not."""
    with database.read() as connection:
        workers = live_workers(connection)
        if with_ended:
            workers += workers_of_batch(connection, batch_id)
        return Snapshot(
            batch_status(connection, batch_id),
            jobs_of_batch(connection, batch_id),
            waiting_in_vain(connection, workers, batch_id),
        )


def follow(
    database: Database,
    batch_id: int,
    *,
    gone: Callable[[], bool] | None = None,
    to_the_last: bool = True,
    quiet: bool = False,
) -> Snapshot:
    """Show a batch on standard error until it has ended, or until `gone` says that the worker started for it is gone.

    With such a worker nothing is said about jobs that wait: it may still be on its way up. Without `to_the_last`
    it is enough that no worker can take what is left.
    """
    started = time.monotonic()
    teller = _Teller(quiet)
    show = _live() if sys.stderr.isatty() and not quiet else None
    with ExitStack() as stack:
        update = stack.enter_context(show) if show is not None else None
        while True:
            # Asked first: what a worker wrote before it went must be in what is read after.
            nobody_left = gone is not None and gone()
            began = time.monotonic()
            now = None
            try:
                now = snapshot(database, batch_id)
            except UnavailableError as error:
                # The batch goes on without us, and so do we once the database is back.
                teller.say_once(f"Warning: {error}")
            if now is not None:
                if gone is not None:
                    now = replace(now, waiting=[])
                if update is not None:
                    update.update(picture(now, started))
                else:
                    teller.tell(now)
                if not now.batch.open or nobody_left or not (to_the_last or _can_go_on(now)):
                    return now
            time.sleep(_pause_seconds(time.monotonic() - began))


def _can_go_on(now: Snapshot) -> bool:
    return now.batch.running > 0 or now.batch.queued > sum(each.jobs for each in now.waiting)


def _pause_seconds(look_seconds: float) -> float:
    return min(max(_LOOK_SECONDS, look_seconds / _LOOK_SHARE), _LONGEST_PAUSE_SECONDS)


def exit_code(last: Snapshot) -> int:
    """Return 0 where all was measured, 4 where nothing was, else 1."""
    if last.batch.done == last.batch.jobs:
        return DONE
    return FAILED if last.batch.done else NOTHING_MEASURED


def conclude(last: Snapshot) -> int:
    """Say how many runs were disturbed, and by what; return the exit code."""
    for line in disturbance_lines(last.jobs):
        click.echo(line, err=True)
    return exit_code(last)


class _Teller:
    """Says in lines what is new: a job that has ended, or why others can't begin; only the latter if `quiet`."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._ended: set[int] = set()
        self._said: set[str] = set()

    def tell(self, now: Snapshot) -> None:
        if not self._quiet:
            self._tell_progress(now)
        for waiting in now.waiting:
            self.say_once(waiting_line(waiting))

    def _tell_progress(self, now: Snapshot) -> None:
        for job in now.ended:
            if job.id not in self._ended:
                self._ended.add(job.id)
                click.echo(f"[{len(self._ended)}/{now.batch.jobs}] {outcome_line(job)}", err=True)
        for job in now.running:
            progress = job.progress or {}
            if (phase := progress.get("phase")) in _SLOW_PHASES:
                # A reason holds figures that change with every look.
                reason = f" ({progress['reason']})" if progress.get("reason") else ""
                self.say_once(f"job {job.id}: {phase}{reason}", key=f"job {job.id}: {phase}")

    def say_once(self, line: str, *, key: str | None = None) -> None:
        if (key or line) not in self._said:
            self._said.add(key or line)
            click.echo(line, err=True)


def _live() -> "Live":
    from rich.console import Console
    from rich.live import Live

    # Standard output is for the results, which may go into a file.
    return Live(console=Console(stderr=True), refresh_per_second=4, transient=True)
