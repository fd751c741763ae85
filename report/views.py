"""The views of `benchbeat sql`, for one who asks what there is to ask."""

import click
from sqlalchemy import inspect

from db.engine import Database
from db.views import VIEWS
from report.printing import print_rows, terminal_width


def print_views(database: Database, output: str) -> None:
    """Print every view with its columns and an example."""
    with database.read() as connection:
        inspector = inspect(connection)
        columns = {name: [column["name"] for column in inspector.get_columns(name)] for name in VIEWS}
    if output != "table":
        rows = [[name, line, ", ".join(columns[name]), example] for name, (line, example) in VIEWS.items()]
        print_rows(["view", "holds", "columns", "example"], rows, output)
        return
    for name, (line, example) in VIEWS.items():
        click.echo(click.style(name, bold=True) + f": {line}")
        listed = "(the columns of history)" if name in ("latest", "newest") else ", ".join(columns[name])
        click.echo(click.wrap_text(listed, min(100, terminal_width()), "    ", "    "))
        click.echo(f'    benchbeat sql "{example}"\n')
