"""Rows as the pages' tables show them: rounded, harmless, with links to what they name."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from report.cells import all_numbers, shown

#: characters of a text that a table shows
CUT = 300

_NUMBERED = {
    "run_id": "/runs/",
    "first_run_id": "/runs/",
    "last_run_id": "/runs/",
    "batch": "/batches/",
    "series": "/series/",
}


@dataclass(frozen=True)
class Cell:
    """A value as it is shown."""

    text: str
    href: str | None = None
    #: whether there is nothing
    is_empty: bool = False


@dataclass(frozen=True)
class Heading:
    """A column's name, with where a click on it leads."""

    name: str
    is_numeric: bool
    href: str | None = None
    #: `ascending` or `descending` where the rows are sorted by it
    sorted: str | None = None


@dataclass(frozen=True)
class Grid:
    """A table."""

    caption: str
    headings: tuple[Heading, ...]
    rows: tuple[tuple[Cell, ...], ...]
    #: address of all of it without its ending: `.csv`, `.json`; the query follows
    download: str | None = None
    download_query: str = ""


def grid(
    caption: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    sort: str | None = None,
    sort_href: Callable[[str], str] | None = None,
    download: str | None = None,
    download_query: str = "",
    has_links: bool = True,
) -> Grid:
    """Return rows as a table; `sort_href` gives the address that is sorted by a column or `-column`."""
    headings = tuple(
        _heading(name, all_numbers(row[place] for row in rows), sort, sort_href) for place, name in enumerate(columns)
    )
    cells = tuple(
        tuple(cell(value, name, has_link=has_links) for value, name in zip(row, columns, strict=True)) for row in rows
    )
    return Grid(caption, headings, cells, download, download_query)


def cell(value: Any, column: str, *, has_link: bool = True) -> Cell:
    """Return one value as it is shown."""
    if value is None:
        return Cell(shown(None, column), is_empty=True)
    text = shown(value, column)
    text = text if len(text) <= CUT else text[:CUT] + "…"
    return Cell(text, _link(value, column) if has_link else None)


def facts(columns: Iterable[str], row: Sequence[Any]) -> list[tuple[str, Cell]]:
    """Return the columns of one row that have a value, with it."""
    return [(name, cell(value, name)) for name, value in zip(columns, row, strict=True) if value is not None]


def _link(value: Any, column: str) -> str | None:
    if column in _NUMBERED:
        return _NUMBERED[column] + quote(str(value), safe="")
    if column == "job_id":
        return f"/jobs?{urlencode({'job_id': value})}"
    if column == "schedule":
        return f"/schedules?{urlencode({'schedule': value})}"
    return None


def _heading(name: str, is_numeric: bool, sort: str | None, sort_href: Callable[[str], str] | None) -> Heading:
    is_descending = sort == f"-{name}"
    state = "descending" if is_descending else "ascending" if sort == name else None
    href = sort_href(name if is_descending else f"-{name}") if sort_href else None
    return Heading(name, is_numeric, href, state)
