"""`export`: what was measured, in a file."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO, cast

import click

from cli.context import State
from cli.patience import patience
from cli.whole_files import check_writable, is_special, named, whole

if TYPE_CHECKING:
    from db.export import Export

_FORMATS = ("csv", "json", "jsonl", "md", "parquet", "sql")
_ENDINGS = {"": "csv", "markdown": "md", "ndjson": "jsonl"} | {name: name for name in _FORMATS}
#: formats for programs, whose files have a side-car that says what the columns mean
_DESCRIBED = ("csv", "json", "jsonl", "parquet")
_VIEWS = ("history", "latest", "series", "samples", "answers", "breakdowns", "metrics", "jobs", "attempts", "batches")


@click.command(short_help="Write what was measured to a file.")
@click.argument("view", type=click.Choice(_VIEWS), default="history", metavar="[VIEW]")
@click.option("--to", "file", type=click.Path(path_type=Path, dir_okay=False), help="The file; else standard output.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(_FORMATS),
    metavar="FORMAT",
    help="csv, json, jsonl, md, parquet or sql.  [default: by the file's ending, else csv]",
)
@click.option("--where", multiple=True, metavar="CONDITION", help="On any column of the view: accuracy>=0.5.")
@click.option("--label", multiple=True, metavar="K=V", help="Of batches with this label.")
@click.option("--columns", metavar="C[,C]", help="These columns only.")
@click.option(
    "--units/--no-units",
    default=True,
    help="Say beside csv, json, jsonl and parquet what the columns mean, in FILE.units.json.  [default: units]",
)
@click.pass_obj
def export(
    state: State,
    view: str,
    file: Path | None,
    output: str | None,
    where: tuple[str, ...],
    label: tuple[str, ...],
    columns: str | None,
    units: bool,
) -> int:
    """Write the rows of VIEW: history (the default), latest, series, samples, answers, breakdowns, metrics, jobs,
    attempts or batches. `-o sql` gives a table with INSERTs that SQLite and PostgreSQL take.

    Beside a file of csv, json, jsonl or parquet, FILE.units.json says what type and unit each column has.

    \b
    Examples:
      benchbeat export --to history.csv
      benchbeat export --to history.parquet
      benchbeat export answers --where batch=3 -o jsonl
      benchbeat export history -o sql | sqlite3 copy.db
    """
    from bench.labels import read_labels
    from db.conditions import Condition
    from db.export import export as read_view

    if file is not None:
        check_writable(file)
    conditions = tuple(Condition.parse(text, view) for text in where)
    labels = read_labels(label, "--label")
    names = tuple(part.strip() for part in (columns or "").split(",") if part.strip())
    kind = output or _kind_of(file)
    if kind == "parquet":
        _check_parquet(file, names)
    # On standard output the rows themselves show that something is going on.
    with (
        patience(state, f"writing {view}") if file is not None else nullcontext(),
        read_view(state.database, view, conditions, labels, names) as found,
        _open(file, has_units=units and kind in _DESCRIBED) as (stream, sidecar),
    ):
        count = _write(view, found, kind, stream)
        if sidecar is not None:
            from report.units import write_units

            with _as_text(sidecar) as lines:
                write_units(view, found.columns, found.kinds, lines)
    if file is not None:
        state.say(f"{count:,} {'row' if count == 1 else 'rows'} of {view} written to {file}")
    return 0 if count else 4


def _write(view: str, found: "Export", kind: str, stream: BinaryIO | None) -> int:
    """Write rows to a stream of bytes, or to standard output, and return how many there were."""
    if kind == "parquet" and stream is not None:
        from report.parquet import write_parquet

        return write_parquet(view, found.columns, found.kinds, found.rows, stream)
    with nullcontext(sys.stdout) if stream is None else _as_text(stream) as lines:
        if kind == "sql":
            from report.inserts import write_inserts

            return write_inserts(view, found.columns, found.kinds, found.rows, lines)
        from report.formats import Format, write_rows

        return write_rows(found.columns, found.rows, format=cast(Format, kind), stream=lines)


def _check_parquet(file: Path | None, columns: tuple[str, ...]) -> None:
    from bench.errors import InputError
    from report.parquet import check_parquet

    if file is None:
        raise InputError("parquet is no text; name a file with --to", where="-o")
    check_parquet(columns)


def _kind_of(file: Path | None) -> str:
    from bench.errors import InputError

    ending = file.suffix.lower().lstrip(".") if file else ""
    if ending not in _ENDINGS and not is_special(file):
        raise InputError(
            f"{file} has an ending that stands for no format; end it in .{', .'.join(_FORMATS)}, or add -o",
            where="--to",
        )
    return _ENDINGS.get(ending, "csv")


@contextmanager
def _open(file: Path | None, *, has_units: bool) -> Iterator[tuple[BinaryIO | None, BinaryIO | None]]:
    """Open the file and its side-car, which are there whole at the end or not at all; standard output is None."""
    if file is None:
        yield None, None
        return
    if is_special(file):
        with named(file), file.open("wb") as stream:
            yield stream, None
        return
    if not has_units:
        with whole(file) as stream:
            yield stream, None
        return
    # The side-car is put into its place first, so that no file stands there without one.
    with whole(file) as stream, whole(file.with_name(f"{file.name}.units.json")) as sidecar:
        yield stream, sidecar
        # A disk that is full says so before either is put there.
        stream.flush()


@contextmanager
def _as_text(stream: BinaryIO) -> Iterator[TextIO]:
    """Write text to a stream of bytes, which stays open."""
    lines = io.TextIOWrapper(stream, encoding="utf-8", newline="", errors="replace")
    try:
        yield lines
        lines.flush()
    finally:
        lines.detach()
