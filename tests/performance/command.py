"""The command: picks rows, measures them one after the other, prints the table."""

import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import click

from bench.errors import BenchbeatError, InputError, suggest
from cli.whole_files import check_writable, whole
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
from tests.performance.recording import OF_ITS_OWN, History, chosen_history
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
from tests.signals import handlers, kept

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


#: rows of the table that are measured with another one, by name
_MEASURED_WITH = {"noise": "decode"}


@click.command()
@click.option("--only", "only", multiple=True, metavar="NAME", help="A row, or the beginning of several; repeatable.")
@click.option("--list", "listed", is_flag=True, help="Name the rows and measure nothing.")
@click.option("--quick", is_flag=True, help="Small sizes and a tiny model: sees that everything works, judges nothing.")
@click.option("--large", is_flag=True, help="Growth up to a million jobs and runs: some minutes more, 8 GB of disk.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write every reading.")
@click.option("--markdown", is_flag=True, help="Print the table in Markdown.")
@click.option(
    "--record", is_flag=False, flag_value=OF_ITS_OWN, metavar="[DATABASE]",
    help=f"Store the results in a history: a file or a database's URL.  [{OF_ITS_OWN}]",
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

    A row is met when its median is; a ratio is the median of the pairs' ratios with its 95 % interval. After Ctrl-C the
    rows that were measured are printed, and written, all the same.
    """
    names = pick(only)
    if listed:
        for name in names:
            click.echo(name)
        return
    if quick and large:
        raise click.UsageError("--quick and --large exclude each other")
    click.get_current_context().with_resource(kept())
    for number in handlers():
        signal.signal(number, _interrupt)
    # Before anything is measured: what can't be written is told at once.
    home = _home()
    _check_writable(json_file)
    history = None if record is None else chosen_history(record, ROWS)
    facts = table.head(quick=quick)
    click.echo(table.head_in_words(facts) + "\n")
    sizes = QUICK if quick else LARGE if large else Sizes()
    # In the home, where a commit costs what it costs there, and where the weights are.
    try:
        with tempfile.TemporaryDirectory(prefix="performance-", dir=home) as name:
            folder = Path(name)
            weights_home = folder if quick else home
            with no_process_left(folder), new_world(sizes, folder, weights_home=weights_home, tiny=quick) as world:
                measured = measure(world, names)
                _ignore_signals()
    except _Interrupted as interrupted:  # before the first row
        sys.exit(128 + interrupted.number)
    facts["load_average_at_the_end"] = table.load_average()
    facts["finished_at"] = datetime.now(UTC).isoformat(timespec="seconds")
    if measured.results:
        _tell(facts, measured.results, markdown)
    else:
        click.echo("Nothing was measured.", err=True)
    problems = keep(facts, measured.results, json_file, history) if measured.results else []
    if measured.failed:
        problems.append(f"not measured, since they failed (see above): {', '.join(measured.failed)}")
    if problems:
        raise click.ClickException("; ".join(problems))
    sys.exit(measured.exit_code)


def _home() -> Path:
    """Return the home, which is made where there is none."""
    try:
        home = load_settings()[0].home
        home.mkdir(parents=True, exist_ok=True)
        check_writable(home / "performance")
    except (BenchbeatError, OSError) as error:
        raise click.UsageError(f"the home can't be used ({error}); set BENCHBEAT_HOME") from None
    return home


def _tell(facts: dict[str, Any], results: Sequence[Result], markdown: bool) -> None:
    """Print the table, and how many goals are missed."""
    table.print_table(results, "md" if markdown else "table", judged=not facts["quick"])
    end = " ".join(f"{load:.2f}" for load in facts["load_average_at_the_end"])
    verdict = "--quick judges no goal" if facts["quick"] else table.verdict(results)
    click.echo(f"\nload average at the end {end}; {verdict}")


def keep(
    facts: dict[str, Any], results: Sequence[Result], json_file: Path | None, history: History | None
) -> list[str]:
    """Write the results where they are wanted, each in spite of the other's failure; return what went wrong."""
    problems: list[str] = []
    text = table.as_json(facts, results)
    if json_file is not None:
        try:
            with whole(json_file) as file:
                file.write(text.encode())
        except OSError as error:
            problems.append(f"--json {json_file}: it can't be written ({error.strerror})")
    if history is not None:
        try:
            click.echo(history.store(text))
        except BenchbeatError as error:
            problems.append(f"--record: {error}")
    return problems


def _check_writable(file: Path | None) -> None:
    try:
        if file is not None:
            check_writable(file)
    except InputError as error:
        raise click.UsageError(f"--json: {error}") from None


def pick(only: Sequence[str]) -> list[str]:
    """Return the rows of these names, or whose name begins so; all where none is given. Raises UsageError."""
    picked: set[str] = set()
    for name in only:
        found = {name} if name in ROWS else {row for row in ROWS if name and row.startswith(name)}
        if not found:
            whose = _MEASURED_WITH.get(name)
            near = f"; it is measured with {whose!r}" if whose else suggest(name, [*ROWS, *_beginnings()])
            raise click.UsageError(f"there is no row {name!r}{near or '; --list names them'}")
        picked |= found
    return [row for row in ROWS if not only or row in picked]


def _beginnings() -> set[str]:
    return {row[:place] for row in ROWS for place, letter in enumerate(row) if letter == "-"}


class Measured(NamedTuple):
    """What came of measuring."""

    results: list[Result]
    #: names of the rows that failed
    failed: list[str]
    #: the signal that ended it before its time
    ended_by: signal.Signals | None = None

    @property
    def exit_code(self) -> int:
        """0, or as a shell says which signal ended it; 4 where nothing was measured."""
        if self.ended_by is not None:
            return 128 + self.ended_by
        return 0 if self.results else 4


class _Interrupted(BaseException):
    """Ended by a signal. No exception of the usual kind, which a row's failure is."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = signal.Signals(number)


def measure(world: World, names: Sequence[str]) -> Measured:
    """Measure rows, one after the other, telling of each on standard error.

    One that fails takes no other with it, nor does an interruption those before it: an hour's figures are not measured
    twice for it.
    """
    results: list[Result] = []
    failed: list[str] = []
    try:
        for name in names:
            _measure_row(world, name, results, failed)
    except _Interrupted as interrupted:
        click.echo(f"interrupted; {len(results)} figures were taken before", err=True)
        return Measured(results, failed, interrupted.number)
    return Measured(results, failed)


def _measure_row(world: World, name: str, results: list[Result], failed: list[str]) -> None:
    click.echo(f"measuring {name} ... ", err=True, nl=False)
    started = time.monotonic()
    try:
        measured = list(ROWS[name](world))
    except AbsentError as reason:
        click.echo(f"not measured: {reason}", err=True)
    except Exception:  # noqa: BLE001 - whatever it is, it is told
        click.echo(f"failed\n{traceback.format_exc()}", err=True)
        failed.append(name)
    else:
        figures = ", ".join(table.figure(result) for result in measured)
        click.echo(f"{figures} (in {time.monotonic() - started:.0f} s)", err=True)
        results += measured


def _interrupt(number: int, frame: object) -> None:
    _ignore_signals()  # a second one would come in the middle of ending what was started
    raise _Interrupted(number)


def _ignore_signals() -> None:
    for each in handlers():
        signal.signal(each, signal.SIG_IGN)
