"""`compare`: what a precision, a strategy, a library's version, another night or another machine changes."""

from typing import TYPE_CHECKING, Any

import click

from cli.completion import columns_of
from cli.context import State
from cli.history import filter_options, read_filters, say_nothing
from cli.options import output_option

if TYPE_CHECKING:
    from db.compare import Comparison
    from db.history import Query


@click.command(short_help="Compare runs by a column, or batches, nights, machines.")
@click.argument("sides", nargs=-1, metavar="[A B]")
@click.option(
    "--by",
    metavar="COLUMN",
    help="Runs that differ in this column only: precision, strategy, torch_version ...",
    shell_complete=columns_of("history"),
)
@click.option("--baseline", metavar="VALUE", help="Compare with this value, instead of the usual one.")
@filter_options
@output_option
@click.pass_obj
def compare(
    state: State, /, sides: tuple[str, ...], by: str | None, baseline: str | None, output: str, **asked: Any
) -> int:
    """Set speed, memory and quality of runs beside those of a baseline, with intervals and tests.

    With --by, the last clean runs that differ in one column only (for precision the baseline is float16, else
    float32). Or A and B: what B measured in the series that A measured too. A side is a batch (3), a run (run:7), a
    machine (machine:ID), days (yesterday, last-week, 2026-11-01..2026-11-07) or the last batch of a schedule or
    name (nightly; nightly~1 for the one before).

    \b
    Examples:
      benchbeat compare --by precision
      benchbeat compare --by strategy --workload arithmetic,facts
      benchbeat compare --by torch_version --baseline 2.13.0 --since 30d
      benchbeat compare nightly~1 nightly
      benchbeat compare last-week this-week --model smollm2-135m
      benchbeat compare 3 4 -o json
    """
    query = read_filters(asked)
    found = _compared(state, query, sides, by, baseline)
    from report.compare import COLUMNS, print_comparison
    from report.printing import print_rows, print_text

    if not found.lines:
        if not found.notes:
            return say_nothing(state, output, list(COLUMNS), query)
        if output != "table":
            print_rows(COLUMNS, [], output)
        print_text(found.notes[0], err=True)
        return 4
    print_comparison(found, output)
    return 0


def _compared(
    state: State, query: "Query", sides: tuple[str, ...], by: str | None, baseline: str | None
) -> "Comparison":
    from bench.errors import InputError
    from db.compare import compare_by, compare_two
    from db.sides import read_sides

    if by is not None:
        if sides:
            raise InputError("goes without batches, runs and other sides; --batch chooses one", where="--by")
        with state.database.read() as connection:
            return compare_by(connection, query, by.strip(), baseline)
    if len(sides) != 2:
        raise InputError("say what to compare: --by COLUMN, or two sides, as in `compare 3 4`")
    if baseline is not None:
        raise InputError("goes with --by; of two sides the first is the baseline", where="--baseline")
    with state.database.read() as connection:
        first, second = read_sides(connection, *sides)
        _check_filters(query, {first.kind, second.kind})
        return compare_two(connection, query, first, second)


def _check_filters(query: "Query", kinds: set[str]) -> None:
    """Refuse a filter for what the sides name already."""
    from bench.errors import InputError

    named = {condition.column for condition in query.conditions}
    if named & {"batch", "run_id"}:
        raise InputError("goes with --by; A and B name the batches", where="--batch")
    if "machine" in named and "machine" in kinds:
        raise InputError("goes without machine:ID; A and B name the machines", where="--machine")
    if "days" in kinds and (query.since is not None or query.until is not None):
        raise InputError("go without days; A and B name them", where="--since and --until")
