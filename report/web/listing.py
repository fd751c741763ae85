"""A page of a view's rows: which ones the address asks for, in which order, after which one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Connection, Row, text
from werkzeug.datastructures import MultiDict

from bench.errors import InputError
from db.columns import KINDS, plain
from db.conditions import Condition, column_sql, kind_of, where_sql

#: rows of a page
PAGE_ROWS = 50
#: rows of a download
MAX_ROWS = 50_000
_MAX_CONDITIONS = 20
_MAX_VALUE = 1000

#: what names one row of a view
KEYS: dict[str, tuple[str, ...]] = {
    "history": ("run_id",),
    "latest": ("run_id",),
    "newest": ("run_id",),
    "series": ("series",),
    "samples": ("run_id", "iteration"),
    "answers": ("run_id", "item_id", "sample"),
    "breakdowns": ("run_id", "by", "value"),
    "metrics": ("run_id", "task", "name", "filter"),
    "surroundings": ("run_id",),
    "changes": ("change_id",),
    "jobs": ("job_id",),
    "attempts": ("job_id", "attempt"),
    "batches": ("batch",),
    "schedules": ("schedule",),
    "firings": ("schedule", "due_at"),
    "alerts": ("batch",),
}

_HISTORY = """
    run_id started_at batch model workload strategy temperature precision machine accuracy decode_tokens_per_second
    ttft_seconds latency_seconds word_error_rate peak_process_memory_bytes contaminated series
    """
#: what a page shows where the address does not say
_USUAL = {
    "history": _HISTORY,
    "latest": _HISTORY,
    "newest": _HISTORY,
    "series": "series model workload strategy temperature precision machine runs contaminated_runs last_run_at",
    "answers": "run_id item_id sample prompt expected text score level language finish new_tokens",
    "surroundings": """
    run_id started_at model workload machine others_mean_cores greediest gpu_others_mean thermal contaminated
    contamination
    """,
    "changes": "change_id changed_at state model workload precision machine metric ratio ratio_low ratio_high series",
    "jobs": """
    job_id batch state model workload strategy precision queue attempt run_id error queued_at duration_seconds
    """,
    "batches": "batch name schedule created_at jobs queued running done failed cancelled labels",
}


@dataclass(frozen=True)
class Listing:
    """What an address asks of a view."""

    view: str
    conditions: tuple[Condition, ...] = ()
    columns: tuple[str, ...] = ()
    #: a column, `-column` for the largest first; None goes by the key, the newest first
    sort: str | None = None
    #: the key of the row before the first
    after: tuple[Any, ...] = ()

    @property
    def shown(self) -> tuple[str, ...]:
        """The columns of the page."""
        return self.columns or usual_columns(self.view)

    def parameters(self, **changes: Any) -> str:
        """Return the query of the address of this listing, or of one with fields changed, from its first row."""
        fields = {"conditions": self.conditions, "columns": self.columns, "sort": self.sort, "after": ()} | changes
        pairs = [("where", str(each)) for each in fields["conditions"]]
        pairs += [("columns", ",".join(fields["columns"]))] if fields["columns"] else []
        pairs += [("sort", fields["sort"])] if fields["sort"] else []
        pairs += [("after", str(part)) for part in fields["after"]]
        return f"?{urlencode(pairs)}" if pairs else "?"

    def without(self, condition: Condition) -> str:
        """Return the query without a condition."""
        return self.parameters(conditions=tuple(each for each in self.conditions if each != condition))


@dataclass(frozen=True)
class Page:
    """Some rows, and where the next ones begin."""

    rows: list[tuple[Any, ...]]
    #: key of the last row, where more follow
    next_key: tuple[Any, ...] | None


def usual_columns(view: str) -> tuple[str, ...]:
    """Return the columns that a page shows by itself."""
    return tuple(_USUAL[view].split()) if view in _USUAL else tuple(KINDS[view])


def read_listing(view: str, given: MultiDict[str, str]) -> Listing:
    """Read what follows the `?` of an address. Raises InputError."""
    conditions = [Condition.parse(each, view) for each in given.getlist("where")]
    for name, values in given.lists():
        if name not in ("where", "sort", "columns", "after", "f.column", "f.operator", "f.value"):
            conditions += [_condition(view, name, "=", value) for value in values]
    if given.get("f.column"):
        conditions.append(
            _condition(view, given["f.column"], given.get("f.operator") or "=", given.get("f.value", "").strip())
        )
    if len(conditions) > _MAX_CONDITIONS:
        raise InputError(f"{len(conditions)} conditions are too many; {_MAX_CONDITIONS} are allowed")
    for each in conditions:
        if len(each.value) > _MAX_VALUE:
            raise InputError(
                f"has a value of {len(each.value):,} characters; {_MAX_VALUE:,} are allowed", where=each.column
            )
    columns = tuple(name for part in given.getlist("columns") for each in part.split(",") if (name := each.strip()))
    for name in columns:
        kind_of(name, view)
    sort = given.get("sort") or None
    if sort is not None:
        kind_of(sort.removeprefix("-"), view)
    return Listing(view, tuple(dict.fromkeys(conditions)), tuple(dict.fromkeys(columns)), sort, _key(view, given))


def read_page(connection: Connection, listing: Listing, limit: int = PAGE_ROWS) -> Page:
    """Return the rows of a page. Raises InputError where the row before it is gone."""
    key = KEYS[listing.view]
    columns = (*key, *listing.shown)
    is_grouped = listing.view == "batches" and listing.sort is None
    found = (
        _last_batches(connection, listing, columns, limit + 1)
        if is_grouped
        else _found(connection, listing, columns, limit + 1)
    )
    kinds = [kind_of(name, listing.view) for name in listing.shown]
    rows = [tuple(map(plain, row[len(key) :], kinds)) for row in found[:limit]]
    more = len(found) > limit
    last = (
        tuple(
            plain(part, KINDS[listing.view][name]) for part, name in zip(found[limit - 1][: len(key)], key, strict=True)
        )
        if more
        else None
    )
    return Page(rows, last)


def read_all(connection: Connection, listing: Listing, limit: int) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a download, one more than `limit` at most."""
    kinds = [kind_of(name, listing.view) for name in listing.shown]
    statement, values = _statement(connection, listing, listing.shown, limit + 1)
    for row in connection.execution_options(yield_per=1000).execute(text(statement), values):
        yield tuple(map(plain, row, kinds))


def _found(connection: Connection, listing: Listing, columns: Sequence[str], limit: int) -> list[Row[Any]]:
    statement, values = _statement(connection, listing, columns, limit)
    return list(connection.execute(text(statement), values))


def _last_batches(connection: Connection, listing: Listing, columns: Sequence[str], limit: int) -> list[Row[Any]]:
    """Return the last batches: their jobs are counted, and a part of the batches is counted fast, all are not."""
    last = connection.execute(text("SELECT batch FROM jobs ORDER BY batch DESC LIMIT 1")).scalar() or 0
    floor, width = (min(listing.after[0], last + 1) if listing.after else last + 1), limit + 10
    while True:
        floor -= width
        part = replace(listing, conditions=(*listing.conditions, Condition("batch", ">", str(max(floor, 0)))))
        found = _found(connection, part, columns, limit)
        if len(found) >= limit or floor <= 0:
            return found
        width *= 4


def _statement(
    connection: Connection, listing: Listing, columns: Sequence[str], limit: int
) -> tuple[str, dict[str, Any]]:
    view, dialect = listing.view, connection.dialect.name
    where, values = where_sql(listing.conditions, {}, view, dialect)
    clauses = [where.removeprefix(" WHERE ")] if where else []
    if listing.after:
        clauses.append(_following(connection, listing, values))
    where = f" WHERE {' AND '.join(clauses)}" if clauses else ""
    listed = ", ".join(column_sql(name, dialect) for name in columns)
    values["limit"] = limit
    return f'SELECT {listed} FROM "{view}"{where} ORDER BY {_order(listing, dialect)} LIMIT :limit', values


def _order(listing: Listing, dialect: str) -> str:
    first, *rest = KEYS[listing.view]
    key = [f'"{first}"{" DESC" if _is_newest_first(listing.view) else ""}', *(f'"{name}"' for name in rest)]
    if listing.sort is None:
        return ", ".join(key)
    name = listing.sort.removeprefix("-")
    if name == first:
        direction = " DESC" if listing.sort != name else ""
        return ", ".join([f'"{first}"{direction}', *key[1:]])
    column = column_sql(name, dialect)
    return ", ".join([f"{column} IS NULL", f"{column}{' DESC' if listing.sort != name else ''}", *key])


def _is_newest_first(view: str) -> bool:
    return KINDS[view][KEYS[view][0]] == "integer"


def _following(connection: Connection, listing: Listing, values: dict[str, Any]) -> str:
    """Return the condition of the rows that come after the one with the key; its parameters are added to `values`."""
    names = KEYS[listing.view]
    parameters = [f":k{number}" for number in range(len(names))]
    values |= {f"k{number}": part for number, part in enumerate(listing.after)}
    is_descending = _is_newest_first(listing.view)
    if listing.sort is not None and listing.sort.removeprefix("-") == names[0]:
        return _beyond(names, parameters, listing.sort.startswith("-"))
    beyond = _beyond(names, parameters, is_descending)
    if listing.sort is None:
        return beyond
    column = column_sql(listing.sort.removeprefix("-"), connection.dialect.name)
    is_row = " AND ".join(f'"{name}" = {parameter}' for name, parameter in zip(names, parameters, strict=True))
    found = connection.execute(text(f'SELECT {column} FROM "{listing.view}" WHERE {is_row}'), values).first()
    if found is None:
        raise InputError("the row that this page begins after is gone; begin at the first page", where="after")
    if found[0] is None:
        return f"({column} IS NULL AND {beyond})"
    values["sorted"] = found[0]
    further = "<" if listing.sort.startswith("-") else ">"
    return f"({column} {further} :sorted OR {column} IS NULL OR ({column} = :sorted AND {beyond}))"


def _beyond(names: Sequence[str], parameters: Sequence[str], is_descending: bool) -> str:
    first = f'"{names[0]}" {"<" if is_descending else ">"} {parameters[0]}'
    if len(names) == 1:
        return first
    rest = ", ".join(f'"{name}"' for name in names[1:])
    # The first comparison alone bounds what of the index is read.
    bound = f'"{names[0]}" {"<=" if is_descending else ">="} {parameters[0]}'
    return f"({bound} AND ({first} OR ({rest}) > ({', '.join(parameters[1:])})))"


def _condition(view: str, column: str, operator: str, value: str) -> Condition:
    if operator not in ("=", "!=", ">", ">=", "<", "<=", "~"):
        raise InputError(f"there is no operator {operator!r}; use one of = != > >= < <= ~", where=column)
    condition = Condition(column, operator, value)
    condition.check(view)
    return condition


def _key(view: str, given: MultiDict[str, str]) -> tuple[Any, ...]:
    parts = given.getlist("after")
    names = KEYS[view]
    if not parts:
        return ()
    if len(parts) != len(names):
        raise InputError(f"a page begins after a row's {', '.join(names)}", where="after")
    return tuple(_part(part, KINDS[view][name]) for part, name in zip(parts, names, strict=True))


def _part(text_given: str, kind: str) -> Any:
    if kind != "integer":
        return text_given.replace("\0", "")
    if not (text_given.isascii() and text_given.isdigit() and int(text_given[:20]) < 2**63):
        raise InputError(f"{text_given[:40]!r} is no number of a row", where="after")
    return int(text_given)
