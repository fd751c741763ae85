"""Rows and sentences on standard output."""

import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, cast

import click

from report.formats import Format, write_rows


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]], output: str) -> None:
    """Print rows in one of the formats of `-o`."""
    write_rows(columns, rows, format=cast(Format, output), stream=sys.stdout)


def print_fitting(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    output: str,
    *,
    say_equal: bool = False,
    expendable: Sequence[str] = (),
) -> None:
    """Print rows; in a terminal that is too narrow with what goes there (see `narrow`) said or left out."""
    if output != "table" or not sys.stdout.isatty():
        print_rows(columns, rows, output)
        return
    from report.narrow import narrow

    table = narrow(columns, rows, terminal_width(), say_equal=say_equal, expendable=expendable)
    if table.same:
        print_text("In every row: " + ", ".join(f"{name} {value}" for name, value in table.same.items()))
    print_rows(table.columns, table.rows, output)
    if table.left_out:
        shown = "it" if len(table.left_out) == 1 else "them"
        print_text(f"Left out for want of room: {', '.join(table.left_out)} (-o md shows {shown})")


def print_text(text: str, *, err: bool = False) -> None:
    """Print a sentence, between words broken to the terminal's width; on one line where it is no terminal."""
    if (sys.stderr if err else sys.stdout).isatty():
        # Names of models hold hyphens, and paths are to be copied.
        text = textwrap.fill(text, terminal_width(), break_on_hyphens=False, break_long_words=False)
    click.echo(text, err=err)


def terminal_width() -> int:
    """Return the width of the terminal in characters."""
    return shutil.get_terminal_size().columns
