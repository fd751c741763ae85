"""`export`: what was measured, in a file."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TextIO, cast

import click

from cli.context import State
from cli.patience import patience

_FORMATS = ("csv", "json", "jsonl", "md", "sql")
_ENDINGS = {"": "csv", "markdown": "md", "ndjson": "jsonl"} | {name: name for name in _FORMATS}
_VIEWS = ("history", "latest", "series", "samples", "answers", "breakdowns", "metrics", "jobs", "attempts", "batches")


@click.command(short_help="Write what was measured to a file.")
@click.argument("view", type=click.Choice(_VIEWS), default="history", metavar="[VIEW]")
@click.option("--to", "file", type=click.Path(path_type=Path, dir_okay=False), help="The file; else standard output.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(_FORMATS),
    metavar="FORMAT",
    help="csv, json, jsonl, md or sql.  [default: by the file's ending, else csv]",
)
@click.option("--where", multiple=True, metavar="CONDITION", help="On any column of the view: accuracy>=0.5.")
@click.option("--label", multiple=True, metavar="K=V", help="Of batches with this label.")
@click.option("--columns", metavar="C[,C]", help="These columns only.")
@click.pass_obj
def export(
    state: State,
    view: str,
    file: Path | None,
    output: str | None,
    where: tuple[str, ...],
    label: tuple[str, ...],
    columns: str | None,
) -> int:
    """Write the rows of VIEW: history (the default), latest, series, samples, answers, breakdowns, metrics, jobs,
    attempts or batches. `-o sql` gives a table with INSERTs that SQLite and PostgreSQL take.

    \b
    Examples:
      benchbeat export --to history.csv
      benchbeat export answers --where batch=3 -o jsonl
      benchbeat export history -o sql | sqlite3 copy.db
    """
    from bench.labels import read_labels
    from db.conditions import Condition
    from db.export import export as read_view
    from report.inserts import write_inserts

    conditions = tuple(Condition.parse(text, view) for text in where)
    labels = read_labels(label, "--label")
    names = tuple(part.strip() for part in (columns or "").split(",") if part.strip())
    kind = output or _kind_of(file)
    # On standard output the rows themselves show that something is going on.
    with (
        patience(state, f"writing {view}") if file is not None else nullcontext(),
        read_view(state.database, view, conditions, labels, names) as found,
        _open(file) as stream,
    ):
        if kind == "sql":
            count = write_inserts(view, found.columns, found.kinds, found.rows, stream)
        else:
            from report.formats import Format, write_rows

            count = write_rows(found.columns, found.rows, format=cast(Format, kind), stream=stream)
    if file is not None:
        state.say(f"{count:,} {'row' if count == 1 else 'rows'} of {view} written to {file}")
    return 0 if count else 4


def _kind_of(file: Path | None) -> str:
    from bench.errors import InputError

    ending = file.suffix.lower().lstrip(".") if file else ""
    if ending not in _ENDINGS and not _is_special(file):
        raise InputError(
            f"{file} has an ending that stands for no format; end it in .{', .'.join(_FORMATS)}, or add -o",
            where="--to",
        )
    return _ENDINGS.get(ending, "csv")


def _is_special(file: Path | None) -> bool:
    """Whether this is a pipe or a device, which is written to and never replaced."""
    return file is not None and file.exists() and not file.is_file()


@contextmanager
def _open(file: Path | None) -> Iterator[TextIO]:
    """Open the file, which is there whole at the end or not at all; without one give standard output."""
    if file is None:
        yield sys.stdout
        return
    if _is_special(file):
        with file.open("w", encoding="utf-8", newline="", errors="replace") as stream:
            yield stream
        return
    whole = file.resolve()  # a link stays one
    partial = whole.with_name(f"{whole.name}.{os.getpid()}.partial")
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        with _named(file), partial.open("w", encoding="utf-8", newline="", errors="replace") as stream:
            yield stream
        os.replace(partial, whole)
    finally:
        partial.unlink(missing_ok=True)
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _named(file: Path) -> Iterator[None]:
    """Name the file that was asked for in what the system refuses, not its forerunner."""
    try:
        yield
    except OSError as error:
        error.filename = str(file)
        raise


def _stop(number: int, frame: object) -> None:
    raise SystemExit(128 + number)
