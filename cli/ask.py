"""`sql`: asking what was measured."""

import sys

import click

from cli.context import State
from cli.options import output_option


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
