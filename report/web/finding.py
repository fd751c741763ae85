"""The rows of a page: those that an index leads to, else those among a part of a long history.

No index leads to the rows that meet any condition, or come first by any column, and looking at a million of them takes
seconds. So a page looks at the newest ones, says which these were, and has the way to those before and to all.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from db.columns import plain_rows
from db.conditions import Condition, kind_of
from report.web.known import Known
from report.web.listing import KEYS, Listing
from report.web.statements import by_key_statement, rows_statement

#: rows of a page
PAGE_ROWS = 50
#: rows of a download
MAX_ROWS = 50_000
#: time after which a page looks no further for rows that meet its conditions
LOOK_SECONDS = 0.08

#: numbers of runs, jobs or batches among which rows are sorted; there are several samples, answers ... of a run
_SORTED = {
    "history": 20_000,
    "surroundings": 20_000,
    "samples": 2_000,
    "answers": 500,
    "breakdowns": 2_000,
    "metrics": 2_000,
    "jobs": 20_000,
    "attempts": 20_000,
    "batches": 20_000,
}
#: a page that looks for rows begins with one of so many parts of these
_PARTS = 16
#: a part that took less is followed by one of twice as many rows. It has to be small: where no cache holds the rows any
#: more, a part takes fifty times as long as the one before it, and is waited for
_QUICK_SECONDS = 0.0025
#: jobs whose batches are sorted: each batch counts its own
_COUNTED_JOBS = 100_000
#: columns whose index leads to few rows
_INDEXED = ("run_id", "job_id", "batch")


@dataclass(frozen=True)
class Looked:
    """Which rows a page looked at, where there are more."""

    column: str
    first: int
    last: int
    is_descending: bool

    def here(self, listing: Listing) -> tuple[Condition, ...]:
        """Return the conditions that mean these rows also when there are newer ones."""
        kept = [each for each in listing.conditions if not self._bounds(each)]
        return (*kept, Condition(self.column, ">=", str(self.first)), Condition(self.column, "<=", str(self.last)))

    def onward(self, listing: Listing) -> tuple[Condition, ...]:
        """Return the conditions that mean the rows after these, in the order in which they are looked at."""
        kept = [each for each in listing.conditions if not self._bounds(each, "<" if self.is_descending else ">")]
        bound = ("<", self.first) if self.is_descending else (">", self.last)
        return (*kept, Condition(self.column, bound[0], str(bound[1])))

    def _bounds(self, condition: Condition, sign: str = "") -> bool:
        return condition.column == self.column and condition.operator[0] in (sign or "<>")


@dataclass(frozen=True)
class Page:
    """Some rows, and where the next ones begin."""

    rows: list[tuple[Any, ...]]
    #: key of the last row, where more follow
    next_key: tuple[Any, ...] | None
    #: None where every row was looked at that could be one of these
    looked: Looked | None = None


def read_page(connection: Connection, listing: Listing, known: Known, limit: int = PAGE_ROWS) -> Page:
    """Return the rows of a page. Raises InputError where the row before it is gone."""
    columns = (*KEYS[listing.view], *listing.shown)
    looked = None
    if known.run_ids is None and _may_take_long(listing):
        first, below = _span(listing, known)
        if listing.sorted_by == listing.key:
            found, looked = _walked(connection, listing, columns, limit + 1, (first, below))
        else:
            window = max(first, below - _sorted_numbers(listing, known))
            looked = Looked(listing.key, window, below - 1, is_descending=True) if window > first else None
            found = _found(connection, listing, columns, limit + 1, (window, below))
    elif listing.view == "series":
        found = _series(connection, listing, columns, limit + 1)
    else:
        found = _found(connection, listing, columns, limit + 1, None, known.run_ids)
    width = len(KEYS[listing.view])
    rows = plain_rows(found[:limit], [kind_of(name, listing.view) for name in columns])
    return Page([row[width:] for row in rows], rows[-1][:width] if len(found) > limit else None, looked)


def read_all(connection: Connection, listing: Listing, known: Known, limit: int) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a download, one more than `limit` at most."""
    kinds = [kind_of(name, listing.view) for name in listing.shown]
    statement, values = rows_statement(connection, listing, listing.shown, limit + 1, run_ids=known.run_ids)
    for part in connection.execution_options(yield_per=1000).execute(text(statement), values).partitions():
        yield from plain_rows(part, kinds)


def _may_take_long(listing: Listing) -> bool:
    if listing.looks_at_all or listing.view not in _SORTED:
        return False
    if any(each.operator == "=" and each.value and each.column in _INDEXED for each in listing.conditions):
        return False
    return listing.view == "batches" or listing.sorted_by != listing.key or bool(listing.conditions)


def _span(listing: Listing, known: Known) -> tuple[int, int]:
    """Return the numbers (from, below) that the rows of a listing have, as far as that is known beforehand."""
    first, below = known.first, known.last + 1
    for each in listing.conditions:
        if each.column == listing.key and each.value.isascii() and each.value.isdigit():
            bound = int(each.value)
            if each.operator in (">", ">="):
                first = max(first, bound + (each.operator == ">"))
            elif each.operator in ("<", "<="):
                below = min(below, bound + (each.operator == "<="))
    if listing.after and listing.sorted_by == listing.key:
        if listing.is_descending:
            below = min(below, listing.after[0] + 1)
        else:
            first = max(first, listing.after[0])
    return first, max(first, below)


def _sorted_numbers(listing: Listing, known: Known) -> int:
    if listing.view != "batches":
        return _SORTED[listing.view]
    return max(PAGE_ROWS, min(_COUNTED_JOBS * known.last // max(known.last_job, 1), _SORTED["batches"]))


def _walked(
    connection: Connection, listing: Listing, columns: Sequence[str], limit: int, span: tuple[int, int]
) -> tuple[list[Any], Looked | None]:
    """Look at one part of the rows after the other, until there are enough or the time is over."""
    first, below = span
    found: list[Any] = []
    width = limit if listing.view == "batches" else _SORTED[listing.view] // _PARTS
    ends_at = time.perf_counter() + LOOK_SECONDS
    while first < below and len(found) < limit:
        began = time.perf_counter()
        part = (max(first, below - width), below) if listing.is_descending else (first, min(below, first + width))
        found += _found(connection, listing, columns, limit - len(found), part)
        first, below = (first, part[0]) if listing.is_descending else (part[1], below)
        ended = time.perf_counter()
        if ended >= ends_at:
            break
        if ended - began < _QUICK_SECONDS:
            width *= 2
    if len(found) == limit or first >= below:
        return found, None
    ends = (below, span[1] - 1) if listing.is_descending else (span[0], first - 1)
    return found, Looked(listing.key, *ends, listing.is_descending)


def _found(
    connection: Connection,
    listing: Listing,
    columns: Sequence[str],
    limit: int,
    within: tuple[int, int] | None = None,
    run_ids: Sequence[int] | None = None,
) -> list[Any]:
    statement, values = rows_statement(connection, listing, columns, limit, within=within, run_ids=run_ids)
    return list(connection.execute(text(statement), values))


def _series(connection: Connection, listing: Listing, columns: Sequence[str], limit: int) -> list[Any]:
    """Return series: first which ones, then what is said of these alone, since their runs are counted."""
    keys = [row[0] for row in _found(connection, listing, (listing.key,), limit)]
    statement, values = by_key_statement(listing, columns, keys, connection.dialect.name)
    by_key = {row[0]: row for row in connection.execute(text(statement), values)}
    return [by_key[key] for key in keys]
