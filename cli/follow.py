"""Following a batch to its end."""

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from bench.errors import UnavailableError
from db.engine import Database
from db.status import batch_status, jobs_of_batch, waiting_in_vain
from db.workers import live_workers
from report.progress import Snapshot, outcome_line, picture

if TYPE_CHECKING:
    from rich.live import Live

_LOOK_SECONDS = 0.5

#: exit codes
DONE, FAILED, NOTHING_MEASURED = 0, 1, 4


def snapshot(database: Database, batch_id: int) -> Snapshot:
    """Read a batch as it is now."""
    with database.read() as connection:
        workers = live_workers(connection)
        return Snapshot(
            batch_status(connection, batch_id),
            jobs_of_batch(connection, batch_id),
            waiting_in_vain(connection, workers, batch_id),
        )


def follow(database: Database, batch_id: int, *, gone: Callable[[], bool] = lambda: False) -> Snapshot:
    """Show a batch until it has ended, or until `gone` says that nobody works on it any more."""
    started = time.monotonic()
    told: set[int] = set()
    show = _live() if sys.stdout.isatty() else None
    with ExitStack() as stack:
        update = stack.enter_context(show) if show is not None else None
        while True:
            # Asked first: what a worker wrote before it went must be in what is read after.
            nobody_left = gone()
            now = _snapshot_or_none(database, batch_id)
            if now is not None:
                if update is not None:
                    update.update(picture(now, started))
                else:
                    _tell(now, told)
                if not now.batch.open or nobody_left:
                    return now
            time.sleep(_LOOK_SECONDS)


def exit_code(last: Snapshot) -> int:
    """Return 0 where all was measured, 4 where nothing was, else 1."""
    if last.batch.done == last.batch.jobs:
        return DONE
    return FAILED if last.batch.done else NOTHING_MEASURED


def _snapshot_or_none(database: Database, batch_id: int) -> Snapshot | None:
    try:
        return snapshot(database, batch_id)
    except UnavailableError as error:
        # The batch goes on without us, and so do we once the database is back.
        click.echo(f"Warning: {error}", err=True)
        return None


def _tell(now: Snapshot, told: set[int]) -> None:
    for job in now.ended:
        if job.id not in told:
            told.add(job.id)
            click.echo(f"[{len(told)}/{now.batch.jobs}] {outcome_line(job)}")


def _live() -> "Live":
    from rich.live import Live

    return Live(refresh_per_second=4, transient=True)
