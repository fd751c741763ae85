"""How each series went lately: its last clean runs, and the last change of its level that was confirmed."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, select, text

from bench.errors import InputError, suggest
from db.history import METRICS, Query, filtered
from db.jobs import in_parts
from db.tables import change, run

#: runs that a trend shows
_RUNS = 30

_COLUMNS = (
    "series",
    "model",
    "workload",
    "strategy",
    "temperature",
    "precision",
    "prompt_tokens",
    "new_tokens",
    "device",
    "machine",
)


@dataclass(frozen=True)
class Trend:
    """A series and how it went."""

    #: what tells the series from others, by the name of the column
    series: dict[str, Any]
    #: the column of `history` whose values these are
    figure: str
    #: of the last clean runs, oldest first; None where one did not measure it
    values: tuple[float | None, ...]
    #: when the last of them began
    last_run_at: datetime
    #: column that changed its level, level after / before, and when, of the last confirmed change
    changed: str | None = None
    change_ratio: float | None = None
    changed_at: datetime | None = None


def trends(connection: Connection, query: Query, figure: str | None = None) -> list[Trend]:
    """Return how the series went whose last clean run a query matches, the `limit` that were measured last.

    Without a `figure` it is what the workload is for: tokens a second, word error rate or accuracy. They come by
    model and workload. Raises InputError.
    """
    query.check()
    if figure is not None and figure not in METRICS:
        near = suggest(figure, METRICS) or f"; there is {', '.join(METRICS)}"
        raise InputError(f"{figure!r} is no figure that has a trend{near}", where="--trend")
    series = _series(connection, query)
    places = {row.run_id: row.series_id for row in series}
    changes = _changes(connection, list(places.values()))
    found = []
    for row in series:
        named = figure or _usual(row)
        points = _points(connection, row.series_id, named)
        values = tuple(None if each.value is None else float(each.value) for each in points)
        if any(value is not None for value in values):
            told = {name: getattr(row, name) for name in _COLUMNS}
            trend = Trend(told, named, values, datetime.fromtimestamp(points[-1].started_at, UTC))
            found.append(replace(trend, **changes[row.series_id]))
    return found


def _series(connection: Connection, query: Query) -> Sequence[Row[Any]]:
    """Return the series, each by its last clean run."""
    where, values = filtered(query, connection.dialect.name)
    listed = ", ".join(f"l.{name}" for name in _COLUMNS)
    last = f"SELECT * FROM latest{where} ORDER BY run_id DESC{'' if query.limit is None else ' LIMIT :limit'}"
    statement = text(
        f"SELECT l.run_id, r.series_id, l.task, {listed} FROM ({last}) l JOIN run r ON r.id = l.run_id "
        "ORDER BY l.model, l.workload, l.strategy, l.temperature, l.precision, l.prompt_tokens, l.run_id"
    )
    limit = {} if query.limit is None else {"limit": query.limit}
    return connection.execute(statement, values | limit).all()


def _usual(row: Row[Any]) -> str:
    if row.new_tokens is not None:
        return "decode_tokens_per_second"
    return "word_error_rate" if row.task == "speech" else "accuracy"


def _points(connection: Connection, series_id: int, figure: str) -> list[Row[Any]]:
    """Return the last clean runs of a series, oldest first, through the index of series and times."""
    column = (run.c.finished_at - run.c.started_at) if figure == "duration_seconds" else run.c[figure]
    query = select(run.c.started_at, column.label("value")).where(run.c.series_id == series_id)
    query = query.where(run.c.contaminated.is_(False)).order_by(run.c.started_at.desc(), run.c.id.desc())
    return list(reversed(connection.execute(query.limit(_RUNS)).all()))


def _changes(connection: Connection, series_ids: list[int]) -> defaultdict[int, dict[str, Any]]:
    """Return the last confirmed change of each series that has one."""
    found: defaultdict[int, dict[str, Any]] = defaultdict(dict)
    for ids in in_parts(series_ids):
        query = select(change.c.series_id, change.c.metric, change.c.ratio, run.c.started_at)
        query = query.join(run, run.c.id == change.c.first_run_id).order_by(run.c.started_at, change.c.id)
        for row in connection.execute(query.where(change.c.state == "confirmed", change.c.series_id.in_(ids))):
            moment = datetime.fromtimestamp(row.started_at, UTC)
            found[row.series_id] = {"changed": row.metric, "change_ratio": row.ratio, "changed_at": moment}
    return found
