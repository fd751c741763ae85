"""`watch`: what goes on, as a live screen."""

import os
import sys
from collections.abc import Callable

import click

from cli.context import State
from cli.options import ID

_INTERRUPTED = 130


@click.command(short_help="Show what goes on, live.")
@click.argument("batch", type=ID, required=False)
@click.option("--batch", "batch_option", type=ID, help="One batch only, as BATCH does.")
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Pause between two looks.",
)
@click.pass_obj
def watch(state: State, batch: int | None, batch_option: int | None, interval: float) -> int:
    """Show batches, what each worker does, queues, failures and recent runs on a live screen; q ends it, ? helps.

    Where standard input or output is no terminal it prints what `status` prints, once.

    \b
    Examples:
      benchbeat watch
      benchbeat watch 3
      benchbeat watch --interval 5
    """
    from db.status import batch_status

    if batch is not None and batch_option is not None and batch != batch_option:
        raise click.UsageError("give one batch: BATCH or --batch")
    batch_id = batch if batch is not None else batch_option
    if batch_id is not None:
        with state.database.read() as connection:
            batch_status(connection, batch_id)
    if not _is_terminal():
        return _once(state, batch_id)
    try:
        from report.live.app import watch as show
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "textual":
            raise
        raise click.UsageError("the live screen needs Textual: pip install 'benchbeat[report]'") from None
    code = show(state.database, check_redis=_redis_check(state), interval_seconds=interval, batch_id=batch_id)
    if code == _INTERRUPTED:
        raise click.Abort
    return code


def _is_terminal() -> bool:
    return all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)) and os.environ.get("TERM") != "dumb"


def _once(state: State, batch_id: int | None) -> int:
    from report.status import print_batch, print_overview

    state.say("This is no terminal for a live screen: here is what `benchbeat status` shows, once.")
    if batch_id is not None:
        print_batch(state.database, batch_id, "table")
    else:
        print_overview(state.database, "table")
    return 0


def _redis_check(state: State) -> Callable[[], str | None]:
    """Return what says why Redis can't be had, or None where it answers."""
    from bench.errors import UnavailableError
    from scheduler.broker import check_broker, find_embedded

    settings = state.settings

    def check() -> str | None:
        if settings.broker is None:
            running = find_embedded(settings.home) is not None
            return None if running else "the embedded one does not run; `benchbeat up` starts it"
        try:
            check_broker(settings.broker)
        except UnavailableError as error:
            return str(error)
        return None

    return check
