"""`history` and `sql`: asking what was measured."""

import sys
from typing import Any

import click

from cli.context import State
from cli.options import COUNT, ID, output_option


@click.command(short_help="Show what was measured.")
@click.option("--batch", type=ID, help="Runs of one batch.")
@click.option("--model", help="Runs of one model.")
@click.option("--workload", help="Runs of one workload.")
@click.option("--strategy", help="Runs of one strategy.")
@click.option("--machine", help="Runs of one machine.")
@click.option("--device", help="Runs on one kind of device.")
@click.option("--precision", help="Runs in one precision.")
@click.option("--series", help="Runs of one series.")
@click.option("--limit", type=COUNT, default=50, show_default=True, help="The last so many runs.")
@output_option
@click.pass_obj
def history(state: State, /, limit: int, output: str, **filters: Any) -> int:
    """Show the last runs, oldest first. Every column of every run is in `benchbeat sql`'s view `history`.

    \b
    Examples:
      benchbeat history --workload arithmetic
      benchbeat history --batch 3 -o csv
    """
    return print_history(state, {key: value for key, value in filters.items() if value is not None}, limit, output)


@click.command(short_help="Ask the history in SQL, read-only.")
@click.argument("statement", required=False)
@click.option(
    "--timeout", type=click.FloatRange(0.1), default=60.0, show_default=True, help="Seconds a query may take."
)
@output_option
@click.pass_obj
def sql(state: State, statement: str | None, timeout: float, output: str) -> None:
    """Ask in SQL; without STATEMENT, show the views with their columns and examples. `-` reads standard input.

    \b
    Examples:
      benchbeat sql "select model, workload, accuracy from history"
      benchbeat sql "select * from answers where score = 0" -o csv
    """
    if statement is None:
        from report.views import print_views

        print_views(state.database, output)
        return
    from db.readonly import select
    from report.printing import print_rows

    state.database  # noqa: B018 - makes the schema of a first use, or says what is wrong with it
    settings = state.settings
    text = sys.stdin.read() if statement == "-" else statement
    with select(settings.database, text, timeout_seconds=timeout, reader_url=settings.reader) as rows:
        print_rows(rows.columns, rows, output)


def print_history(state: State, filters: dict[str, Any], limit: int | None, output: str) -> int:
    """Print the runs that match; exit code 4 where there is none."""
    from db.history import history as read_history
    from report.runs import print_runs

    with state.database.read() as connection:
        rows = read_history(connection, filters, limit)
    if not rows.rows:
        click.echo("no run matches" if filters else "nothing was measured yet; begin with `benchbeat run`", err=True)
        return 4
    print_runs(rows, output)
    return 0
