"""Reading the history for people: the query behind `benchbeat history`."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, text

from bench.errors import InputError, suggest
from bench.statistics import median
from db.columns import KINDS, plain
from db.conditions import Condition, column_sql, kind_of, where_sql
from db.moments import check_span, read_moment

#: columns that `benchbeat history` shows, in this order; one that is NULL in every row is left out
COLUMNS = (
    "run_id",
    "started_at",
    "model",
    "workload",
    "strategy",
    "temperature",
    "precision",
    "device",
    "source",
    "prompt_tokens",
    "new_tokens",
    "accuracy",
    "accuracy_stderr",
    "word_error_rate",
    "real_time_factor",
    "decode_tokens_per_second",
    "prefill_tokens_per_second",
    "ttft_seconds",
    "latency_seconds",
    "peak_process_memory_bytes",
    "peak_device_memory_bytes",
    "contamination",
)

#: the figures of a group where no columns are asked for
GROUP_FIGURES = (
    "accuracy",
    "consistency",
    "readability",
    "quality",
    "tokens_per_correct_answer",
    "seconds_per_correct_answer",
    "decode_tokens_per_second",
    "ttft_seconds",
    "latency_seconds",
)

_HIGHER = (
    "accuracy",
    "consistency",
    "readability",
    "quality",
    "completed",
    "prefill_tokens_per_second",
    "decode_tokens_per_second",
    "model_bandwidth_utilization",
)
_LOWER = (
    *(name for name in KINDS["history"] if name.endswith(("_seconds", "_bytes", "_joules", "_per_correct_answer"))),
    "energy_joules_per_token",
    "word_error_rate",
    "real_time_factor",
    "answer_tokens",
    "thinking_tokens",
)
#: figures that can be the best, with whether more is better
METRICS: dict[str, bool] = dict.fromkeys(_HIGHER, True) | dict.fromkeys(_LOWER, False)

# runs of different lengths do not compete
_COMPETITION = ("model", "workload", "prompt_tokens", "new_tokens")
_SETTINGS = ("strategy", "temperature", "precision", "batch_size", "device", "machine", "source")


@dataclass(frozen=True)
class Rows:
    """A result: the columns' names and the rows."""

    columns: list[str]
    rows: list[tuple[Any, ...]]

    def without_empty(self) -> "Rows":
        """Return the rows without the columns that are NULL in every one."""
        kept = [n for n in range(len(self.columns)) if any(row[n] is not None for row in self.rows)]
        return Rows([self.columns[n] for n in kept], [tuple(row[n] for n in kept) for row in self.rows])

    def by_column(self) -> dict[str, list[Any]]:
        """Return each column's values under its name, as `pandas.DataFrame` and `polars.DataFrame` take them.

        Times are datetimes in UTC; what was not measured is None; labels and libraries stay JSON texts.
        """
        values = zip(*self.rows, strict=True) if self.rows else ([] for _ in self.columns)
        return {
            name: [_moment(each) for each in column] if name.endswith("_at") else list(column)
            for name, column in zip(self.columns, values, strict=True)
        }


@dataclass(frozen=True)
class Query:
    """What is asked of the history. Nothing is checked before `check`, which `history` calls.

    `group_by` and `best_by` exclude each other, and both leave contaminated runs out unless a condition names them.
    """

    #: all must hold; several equalities of one column are alternatives
    conditions: tuple[Condition, ...] = ()
    #: labels of the batch
    labels: Mapping[str, str] = field(default_factory=dict)
    #: when the run began, as `db.moments` reads it; both ends are included
    since: str | None = None
    until: str | None = None
    #: empty: what is usual for the query; `labels.NAME` is a column too
    columns: tuple[str, ...] = ()
    #: columns of the result, `-name` for the largest first; NULL comes last
    sort: tuple[str, ...] = ()
    #: gives `n`, the number of runs, and the median of each numeric column
    group_by: tuple[str, ...] = ()
    #: a figure of METRICS: gives for each model, workload and length the run that has the best
    best_by: str | None = None
    #: unsorted runs: the last so many; else the first so many rows
    limit: int | None = None

    def check(self) -> None:
        """Raise InputError for what can't be asked, with near matches for a wrong name."""
        for condition in self.conditions:
            condition.check("history")
        for name in (*self.columns, *self.group_by, *(f"labels.{label}" for label in self.labels)):
            kind_of(name)
        if self.group_by and self.best_by:
            raise InputError("--group-by and --best-by can't be asked for at once")
        if self.best_by is not None and self.best_by not in METRICS:
            raise InputError(f"{self.best_by!r} is no figure that can be the best{suggest(self.best_by, METRICS)}")
        check_span(self.since, self.until)
        if self.group_by:
            for name in self.columns:
                if kind_of(name) not in ("integer", "number") and name not in self.group_by:
                    raise InputError(f"{name} has no median; group by it, or leave it out of the columns")
        if self.limit is not None and self.limit < 0:
            raise InputError(f"the limit is a number of rows, not {self.limit}", where="--limit")
        self._check_sort()

    def result_columns(self) -> tuple[str, ...]:
        """Return the columns of the result, in order."""
        if self.group_by:
            figures = [name for name in self.columns or GROUP_FIGURES if name not in self.group_by]
            return (*self.group_by, "n", *figures)
        if self.best_by is not None:
            stderr = ("accuracy_stderr",) if self.best_by == "accuracy" else ()
            shown = (*_COMPETITION, *_SETTINGS, self.best_by, *stderr)
            own = tuple(name for name in self.columns if name not in shown)
            return (*shown, "n", "runs", *own, *(() if "run_id" in own else ("run_id",)))
        return self.columns or COLUMNS

    def _check_sort(self) -> None:
        known = self.result_columns() if self.group_by or self.best_by else None
        for each in self.sort:
            name = each.removeprefix("-")
            if known is None:
                kind_of(name)
            elif name not in known:
                raise InputError(f"there is no column {name!r} to sort by{suggest(name, known)}", where="--sort")


def _moment(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value).replace(tzinfo=UTC)


def history(connection: Connection, query: Query) -> Rows:
    """Return the runs, groups or bests that a query asks for; without sorting, oldest runs first.

    Booleans, times and labels come alike from both databases (see `db.columns.plain`). Raises InputError.
    """
    query.check()
    if query.group_by:
        return _groups(connection, query)
    if query.best_by is not None:
        return _bests(connection, query, query.best_by)
    return _runs(connection, query)


def filtered(query: Query, dialect: str) -> tuple[str, dict[str, Any]]:
    """Return the WHERE clause over `history` of a query's conditions, labels and times, with its parameters."""
    where, values = where_sql(query.conditions, query.labels, "history", dialect)
    clauses = [where.removeprefix(" WHERE ")] if where else []
    if query.since is not None or query.until is not None:
        clauses.append(f"run_id IN (SELECT id FROM run WHERE {_begun(query, values)})")
    names_it = any(condition.column in ("contaminated", "contamination") for condition in query.conditions)
    if (query.group_by or query.best_by) and not names_it:
        clauses.append("NOT contaminated")
    return (f" WHERE {' AND '.join(clauses)}" if clauses else ""), values


def _begun(query: Query, values: dict[str, Any]) -> str:
    """Return the condition on `run`, whose times have indexes as the view's have not, for since and until.

    The machines that are asked for are named here too: one index leads to a machine's runs of a time.
    """
    clauses = []
    if query.since is not None:
        clauses.append("started_at >= :since")
        values["since"] = read_moment(query.since, where="--since").start
    if query.until is not None:
        span = read_moment(query.until, where="--until")
        clauses.append(f"started_at {'<' if span.end > span.start else '<='} :until")
        values["until"] = span.end
    machines = [each.value for each in query.conditions if each.column == "machine" and each.operator == "="]
    if machines and all(machines):
        values |= {f"machine{number}": name for number, name in enumerate(machines)}
        clauses.append(f"machine_id IN ({', '.join(f':machine{number}' for number in range(len(machines)))})")
    return " AND ".join(clauses)


def _runs(connection: Connection, query: Query) -> Rows:
    dialect = connection.dialect.name
    columns = query.result_columns()
    where, values = filtered(query, dialect)
    order = _order(query.sort, dialect) if query.sort else "run_id DESC"
    statement = f"SELECT {_listed(columns, dialect)} FROM history{where} ORDER BY {order}{_limit(query, values)}"
    rows = _plain_rows(connection, statement, values, columns)
    return Rows(list(columns), rows if query.sort else rows[::-1])


def _bests(connection: Connection, query: Query, metric: str) -> Rows:
    dialect = connection.dialect.name
    columns = query.result_columns()
    where, values = filtered(query, dialect)
    measured = f'"{metric}" IS NOT NULL'
    where = f"{where} AND {measured}" if where else f" WHERE {measured}"
    direction = "DESC" if METRICS[metric] else "ASC"
    among = ", ".join(_COMPETITION)
    own = [name for name in columns if name not in ("n", "runs")]
    # Quoted, as a label's name stands in the result as it was asked for.
    named = ", ".join(f'{column_sql(name, dialect)} AS "{name}"' for name in own)
    ranked = (
        f"SELECT {named}, coalesce(items, iterations) AS n, count(*) OVER (PARTITION BY {among}) AS runs, "
        f'row_number() OVER (PARTITION BY {among} ORDER BY "{metric}" {direction}, run_id DESC) AS place '
        f"FROM history{where}"
    )
    order = ", ".join(f'"{name}" IS NULL, "{name}"{descending}' for name, descending in _sorting(query.sort))
    order = order or "model, workload, prompt_tokens, new_tokens"
    chosen = ", ".join(f'"{name}"' for name in columns)
    statement = f"SELECT {chosen} FROM ({ranked}) AS ranked WHERE place = 1 ORDER BY {order}, run_id"
    return Rows(list(columns), _plain_rows(connection, statement + _limit(query, values), values, columns))


def _groups(connection: Connection, query: Query) -> Rows:
    dialect = connection.dialect.name
    columns = query.result_columns()
    figures = columns[len(query.group_by) + 1 :]
    where, values = filtered(query, dialect)
    asked = (*query.group_by, *figures)
    statement = f"SELECT {_listed(asked, dialect)} FROM history{where}"
    members: dict[tuple[Any, ...], list[tuple[Any, ...]]] = defaultdict(list)
    for row in _plain_rows(connection, statement, values, asked):
        members[row[: len(query.group_by)]].append(row[len(query.group_by) :])
    # SQLite has no median, so both databases' are taken here.
    rows = [(*key, len(found), *map(_median, zip(*found, strict=True))) for key, found in members.items()]
    rows.sort(key=lambda row: [_rank(value) for value in row[: len(query.group_by)]])
    for name, descending in reversed(_sorting(query.sort)):
        place = columns.index(name)
        rows.sort(key=lambda row: _rank(row[place])[1:], reverse=bool(descending))
        rows.sort(key=lambda row: row[place] is None)
    return Rows(list(columns), rows[: query.limit])


def _median(values: Iterable[Any]) -> float | None:
    measured = [float(value) for value in values if value is not None]
    return median(measured) if measured else None


def _rank(value: Any) -> tuple[bool, bool, Any]:
    """Return what a value is sorted by: None last, and a number is never compared with a text."""
    return value is None, isinstance(value, str), 0 if value is None else value


def _sorting(sort: Sequence[str]) -> list[tuple[str, str]]:
    return [(each.removeprefix("-"), " DESC" if each.startswith("-") else "") for each in sort]


def _order(sort: Sequence[str], dialect: str) -> str:
    named = [(column_sql(name, dialect), descending) for name, descending in _sorting(sort)]
    return ", ".join(f"{column} IS NULL, {column}{descending}" for column, descending in named) + ", run_id"


def _listed(columns: Sequence[str], dialect: str) -> str:
    return ", ".join(column_sql(name, dialect) for name in columns)


def _limit(query: Query, values: dict[str, Any]) -> str:
    if query.limit is None:
        return ""
    values["limit"] = query.limit
    return " LIMIT :limit"


def _plain_rows(
    connection: Connection, statement: str, values: dict[str, Any], columns: Sequence[str]
) -> list[tuple[Any, ...]]:
    found = connection.execute(text(statement), values)
    kinds = {name: kind_of(name) for name in columns if name not in ("n", "runs")}
    to_make = [(n, kinds[name]) for n, name in enumerate(columns) if kinds.get(name) in ("boolean", "json", "time")]
    rows = []
    for row in found:
        values_of_row = list(row)
        for place, kind in to_make:
            values_of_row[place] = plain(values_of_row[place], kind)
        rows.append(tuple(values_of_row))
    return rows
