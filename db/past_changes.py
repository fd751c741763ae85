"""Changes of level in the whole history, read series by series: those that nobody watched for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import ColumnElement, Connection, TextClause, select

from bench.change_points import ChangePoint
from bench.past_changes import past_changes
from db.regressions import METRIC
from db.tables import CLEAN_SPEED_RUN, change, run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: a change that was found so many runs beside one that is known is the same
_BESIDE = 8
_ROWS_AT_ONCE = 50_000


class PastChange(NamedTuple):
    """A change that was found in the history."""

    series_id: int
    #: the first run of the new level, and the clean run before it
    first_run_id: int
    last_run_id: int
    point: ChangePoint


def find_past_changes(connection: Connection, matching: TextClause | ColumnElement[bool] | None) -> list[PastChange]:
    """Return what is found in all series, or in those with a matching run, and is not in `change` already."""
    ids: dict[int, NDArray[np.int64]] = {}
    values: dict[int, NDArray[np.float64]] = {}
    for series_id, run_ids, medians in _series(connection, matching):
        ids[series_id], values[series_id] = run_ids, medians
    known = _known(connection)
    return [
        PastChange(series_id, int(ids[series_id][point.place]), int(ids[series_id][point.place - 1]), point)
        for series_id, points in past_changes(values).items()
        for point in points
        if not _is_known(point, ids[series_id], known.get(series_id, ()))
    ]


def _series(
    connection: Connection, matching: TextClause | ColumnElement[bool] | None
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.float64]]]:
    """Give each series with ids and medians of its clean runs, in the order in which they were stored."""
    import numpy as np

    ours = () if matching is None else (run.c.series_id.in_(select(run.c.series_id).where(matching).correlate(None)),)
    query = select(run.c.series_id, run.c.id, run.c[METRIC]).where(*CLEAN_SPEED_RUN, *ours)
    query = query.order_by(run.c.series_id, run.c.id)
    result = connection.execute(query.execution_options(yield_per=_ROWS_AT_ONCE))
    # Ids are exact as floats, and None is nan.
    parts = [np.array([tuple(row) for row in rows], dtype=float) for rows in result.partitions()]
    table = np.concatenate(parts) if parts else np.empty((0, 3))
    for part in np.split(table, np.flatnonzero(np.diff(table[:, 0])) + 1):
        if len(part):
            yield int(part[0, 0]), part[:, 1].astype(np.int64), part[:, 2]


def _known(connection: Connection) -> dict[int, list[int]]:
    """Return the first runs of the changes that were suspected in each series, whatever became of them."""
    known: dict[int, list[int]] = {}
    for series_id, first in connection.execute(select(change.c.series_id, change.c.first_run_id)):
        known.setdefault(series_id, []).append(first)
    return known


def _is_known(point: ChangePoint, run_ids: NDArray[np.int64], known: list[int] | tuple[()]) -> bool:
    import numpy as np

    places = np.searchsorted(run_ids, known)
    return bool((np.abs(places - point.place) <= _BESIDE).any())
