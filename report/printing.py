"""Rows on standard output."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any, cast

from report.formats import Format, write_rows


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]], output: str) -> None:
    """Print rows in one of the formats of `-o`."""
    write_rows(columns, rows, format=cast(Format, output), stream=sys.stdout)
