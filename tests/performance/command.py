"""The command: picks rows, measures them one after the other, prints the table."""

import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from bench.errors import InputError, suggest
from cli.whole_files import check_writable
from db.settings import load_settings
from tests.performance import table
from tests.performance.answers import batching_row, scoring_row
from tests.performance.asking import history_row, large_dry_run_row
from tests.performance.beating import heartbeat_rows
from tests.performance.browsing import page_rows
from tests.performance.claiming import claim_rows
from tests.performance.competing import workers_rows
from tests.performance.decoding import decode_rows
from tests.performance.dispatching import dispatch_rows
from tests.performance.evaluating import harness_rows
from tests.performance.growing import QUESTIONS, question_rows
from tests.performance.hearing import clip_rows
from tests.performance.idling import idle_rows
from tests.performance.judging import regressions_rows
from tests.performance.llama import llama_rows
from tests.performance.loading import loads_row
from tests.performance.looking import LOOKERS, picture_rows
from tests.performance.memory import memory_rows
from tests.performance.recording import chosen_history
from tests.performance.reporting import report_rows
from tests.performance.results import AbsentError, Result
from tests.performance.sessions import overhead_rows, second_job_rows
from tests.performance.short_jobs import short_jobs_rows
from tests.performance.startup import dry_run_row, help_row, status_row
from tests.performance.storing import result_row, size_row
from tests.performance.submitting import submit_command_row, submit_large_rows, submit_rows
from tests.performance.ticking import tick_rows
from tests.performance.watching import watch_rows
from tests.performance.witnessing import witness_rows
from tests.performance.world import LARGE, QUICK, Sizes, World, new_world
from tests.services import no_process_left

Measure = Callable[[World], Iterator[Result]]

ROWS: dict[str, Measure] = {
    "help": help_row,
    "status": status_row,
    "dry-run": dry_run_row,
    "dry-run-large": large_dry_run_row,
    "history": history_row,
    "regressions": regressions_rows,
    "memory": memory_rows,
    "submit-sqlite": partial(submit_rows, kind="sqlite"),
    "submit-postgresql": partial(submit_rows, kind="postgresql"),
    "submit-100000-sqlite": partial(submit_large_rows, kind="sqlite"),
    "submit-100000-postgresql": partial(submit_large_rows, kind="postgresql"),
    "submit-command": submit_command_row,
    "claim-sqlite": partial(claim_rows, kind="sqlite"),
    "claim-postgresql": partial(claim_rows, kind="postgresql"),
    "result-sqlite": partial(result_row, kind="sqlite"),
    "result-postgresql": partial(result_row, kind="postgresql"),
    "size-sqlite": partial(size_row, kind="sqlite"),
    "size-postgresql": partial(size_row, kind="postgresql"),
    **{f"{name}-sqlite": partial(question_rows, name=name, kind="sqlite") for name in QUESTIONS},
    **{f"{name}-postgresql": partial(question_rows, name=name, kind="postgresql") for name in QUESTIONS},
    "tick-sqlite": partial(tick_rows, kind="sqlite"),
    "tick-postgresql": partial(tick_rows, kind="postgresql"),
    "watch-sqlite": partial(watch_rows, kind="sqlite"),
    "watch-postgresql": partial(watch_rows, kind="postgresql"),
    "pages-sqlite": partial(page_rows, kind="sqlite"),
    "pages-postgresql": partial(page_rows, kind="postgresql"),
    "report-sqlite": partial(report_rows, kind="sqlite"),
    "report-postgresql": partial(report_rows, kind="postgresql"),
    "dispatch-sqlite": partial(dispatch_rows, kind="sqlite"),
    "dispatch-postgresql": partial(dispatch_rows, kind="postgresql"),
    "workers-postgresql": workers_rows,
    "idle": idle_rows,
    "loads": loads_row,
    "short-jobs": short_jobs_rows,
    "second-job": second_job_rows,
    "overhead": overhead_rows,
    "heartbeat": heartbeat_rows,
    "witness": witness_rows,
    "decode": decode_rows,
    **{name: partial(picture_rows, row=name) for name in LOOKERS},
    "clip": clip_rows,
    "scoring": scoring_row,
    "batching": batching_row,
    "lm-eval": harness_rows,
    "llama-bench": llama_rows,
}


@click.command()
@click.option("--only", "only", multiple=True, metavar="NAME", help="A row, or the beginning of several; repeatable.")
@click.option("--list", "listed", is_flag=True, help="Name the rows and measure nothing.")
@click.option("--quick", is_flag=True, help="Small sizes and a tiny model: sees that everything works, says little.")
@click.option("--large", is_flag=True, help="Growth up to a million jobs and runs: half an hour, and 8 GB of disk.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write every reading.")
@click.option("--markdown", is_flag=True, help="Print the table in Markdown.")
@click.option(
    "--record", is_flag=False, flag_value="", metavar="[DATABASE]",
    help="Store the results in a history: a file or a database's URL.  [of its own: performance.db in the home]",
)  # fmt: skip
def main(
    only: tuple[str, ...],
    listed: bool,
    quick: bool,
    large: bool,
    json_file: Path | None,
    markdown: bool,
    record: str | None,
) -> None:
    """Measure what benchbeat itself costs, each row beside the bare thing in one run, in alternation.

    A row is met when its median is; a ratio is the median of the pairs' ratios with its 95 % interval.
    """
    names = pick(only)
    if listed:
        for name in names:
            click.echo(name)
        return
    signal.signal(signal.SIGTERM, _interrupt)
    # Before anything is measured: what can't be written is told at once.
    _check_writable(json_file)
    history = None if record is None else chosen_history(record)
    facts = table.head(quick=quick)
    click.echo(table.head_in_words(facts) + "\n")
    home = load_settings()[0].home
    home.mkdir(parents=True, exist_ok=True)
    # In the home, where a commit costs what it costs there, and where the weights are.
    with tempfile.TemporaryDirectory(prefix="performance-", dir=home) as name:
        folder = Path(name)
        sizes, weights_home = (QUICK, folder) if quick else (LARGE if large else Sizes(), home)
        with no_process_left(folder), new_world(sizes, folder, weights_home=weights_home, tiny=quick) as world:
            results, failed = measure(world, names)
    facts["load_average_at_the_end"] = table.load_average()
    table.print_table(results, "md" if markdown else "table")
    end = " ".join(f"{load:.2f}" for load in facts["load_average_at_the_end"])
    click.echo(f"\nload average at the end {end}; {table.verdict(results)}")
    facts["finished_at"] = datetime.now(UTC).isoformat(timespec="seconds")
    text = table.as_json(facts, results)
    if json_file is not None:
        json_file.write_text(text, encoding="utf-8")
    if history is not None:
        click.echo(history.store(text))
    if failed:
        raise click.ClickException(f"not measured, since they failed (see above): {', '.join(failed)}")


def _check_writable(file: Path | None) -> None:
    try:
        if file is not None:
            check_writable(file)
    except InputError as error:
        raise click.UsageError(f"--json: {error}") from None


def pick(only: Sequence[str]) -> list[str]:
    """Return the rows whose name begins with one of the given, all where none is given. Raises UsageError."""
    for name in only:
        if not any(row.startswith(name) for row in ROWS):
            raise click.UsageError(f"there is no row {name!r}{suggest(name, ROWS)}")
    return [row for row in ROWS if not only or row.startswith(tuple(only))]


def measure(world: World, names: Sequence[str]) -> tuple[list[Result], list[str]]:
    """Measure rows, one after the other, telling of each on standard error; return also the names of those that failed.

    One that fails takes no other with it: an hour's figures are not measured twice for it.
    """
    results: list[Result] = []
    failed: list[str] = []
    for name in names:
        click.echo(f"measuring {name} ... ", err=True, nl=False)
        started = time.monotonic()
        try:
            measured = list(ROWS[name](world))
        except AbsentError as reason:
            click.echo(f"not measured: {reason}", err=True)
            continue
        except Exception:  # noqa: BLE001 - whatever it is, it is told
            click.echo(f"failed\n{traceback.format_exc()}", err=True)
            failed.append(name)
            continue
        figures = ", ".join(table.figure(result) for result in measured)
        click.echo(f"{figures} (in {time.monotonic() - started:.0f} s)", err=True)
        results += measured
    return results, failed


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
