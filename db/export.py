"""A view's rows for a file, read while they are written."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from bench.errors import InputError, suggest
from db.columns import KINDS, Kind, plain
from db.conditions import Condition, column_sql, kind_of, where_sql
from db.engine import Database

#: rows that are read at once
_ROWS_AT_ONCE = 1000

_ORDER = {
    "history": "run_id",
    "latest": "run_id",
    "newest": "run_id",
    "series": "series",
    "samples": "run_id, iteration",
    "answers": "run_id, item_id, sample",
    "breakdowns": 'run_id, "by", "value"',
    "metrics": "run_id, task, name, filter",
    "surroundings": "run_id",
    "changes": "change_id",
    "jobs": "job_id",
    "attempts": "job_id, attempt",
    "batches": "batch",
    "schedules": "schedule",
    "firings": "schedule, due_at",
    "alerts": "batch",
}


@dataclass(frozen=True)
class Export:
    """A view's columns, and its rows, which can be read once."""

    columns: list[str]
    #: what each column holds
    kinds: list[Kind]
    rows: Iterator[tuple[Any, ...]]


@contextmanager
def export(
    database: Database,
    view: str,
    conditions: tuple[Condition, ...] = (),
    labels: dict[str, str] | None = None,
    columns: tuple[str, ...] = (),
) -> Iterator[Export]:
    """Open the rows of a view that meet the conditions, in a fixed order; they stream, alike from both databases.

    Raises InputError for a view or a column that there is not.
    """
    if view not in KINDS:
        raise InputError(f"there is no view {view!r}{suggest(view, KINDS)}")
    if labels and "labels" not in KINDS[view]:
        raise InputError(f"{view} has no labels; there are some in history, latest, jobs and batches")
    chosen = columns or tuple(KINDS[view])
    kinds = [kind_of(name, view) for name in chosen]
    dialect = "sqlite" if database.is_sqlite else "postgresql"
    where, values = where_sql(conditions, labels or {}, view, dialect)
    listed = ", ".join(column_sql(name, dialect) for name in chosen)
    statement = text(f"SELECT {listed} FROM {view}{where} ORDER BY {_ORDER[view]}")
    with database.read() as connection:
        found = connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(statement, values)
        rows = (
            tuple(plain(value, kind) for value, kind in zip(row, kinds, strict=True))
            for part in found.partitions()
            for row in part
        )
        yield Export(list(chosen), kinds, rows)
