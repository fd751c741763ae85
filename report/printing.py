"""Rows and sentences on standard output."""

import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any, cast

import click

from report.formats import Format, write_rows


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]], output: str) -> None:
    """Print rows in one of the formats of `-o`."""
    write_rows(columns, rows, format=cast(Format, output), stream=sys.stdout)


def print_fitting(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], output: str, *, expendable: Sequence[str] = ()
) -> None:
    """Print rows; in a terminal that is too narrow say once what is equal, and leave `expendable` columns out."""
    if output != "table" or not sys.stdout.isatty():
        print_rows(columns, rows, output)
        return
    from report.narrow import narrow

    table = narrow(columns, rows, terminal_width(), expendable=expendable)
    if table.same:
        print_text("In every row: " + ", ".join(f"{name} {value}" for name, value in table.same.items()))
    print_rows(table.columns, table.rows, output)
    if table.left_out:
        print_text(f"Left out for want of room: {', '.join(table.left_out)} (-o md shows them)")


def print_text(text: str) -> None:
    """Print a sentence, between words broken to the terminal's width; on one line where it is no terminal."""
    click.echo(click.wrap_text(text, terminal_width()) if sys.stdout.isatty() else text)


def terminal_width() -> int:
    """Return the width of the terminal in characters."""
    return shutil.get_terminal_size().columns
