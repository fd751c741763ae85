"""Two runs beside each other, item by item: the intervals of a report's differences."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, text

from bench.pairs import Difference, mcnemar, paired_difference
from db.gains import values_by_run
from db.jobs import in_parts

_SCORERS = """
SELECT r.id, w.definition FROM run r JOIN workload w ON w.hash = r.workload_hash WHERE r.id IN :runs
"""
_DEFINITIONS = """
SELECT r.id, k.definition FROM run r JOIN series_key k ON k.id = r.series_id WHERE r.id IN :runs
"""


@dataclass(frozen=True)
class _Scored:
    id: int
    scorer: str
    prose: bool


def differences(
    connection: Connection, couples: Sequence[tuple[int, int]], metric: str
) -> Mapping[tuple[int, int], Difference]:
    """Return the paired difference of each pair (baseline, run) in a metric of `db.gains.GAINED`; none common, none."""
    ids = sorted({run for pair in couples for run in pair})
    values = values_by_run(connection, _scored(connection, ids), metric)
    return {
        (before, after): paired_difference(values[before], values[after])
        for before, after in couples
        if values[before].keys() & values[after].keys()
    }


def definitions(connection: Connection, run_ids: Sequence[int]) -> dict[int, str]:
    """Return what makes the series of each run, as JSON."""
    statement = text(_DEFINITIONS).bindparams(bindparam("runs", expanding=True))
    return {
        row.id: row.definition
        for part in in_parts(list(run_ids))
        for row in connection.execute(statement, {"runs": part})
    }


def is_shown(found: Difference | None) -> bool:
    """Return whether a difference is shown: interval and test agree, and there are enough items for the interval."""
    if found is None or found.low is None or found.high is None:
        return False
    if found.method == "bootstrap" and found.items < 20:
        return False
    return not found.low <= 0 <= found.high and (found.p_value is None or found.p_value <= 0.05)


def smallest_shown(found: Difference) -> float | None:
    """Return the smallest difference that data like these could have shown; None where that can't be said.

    For right and wrong answers it is what McNemar's test takes where as many items change, or six, as few as can be;
    else the half of the interval.
    """
    if found.low is None or found.high is None:
        return None
    half = (found.high - found.low) / 2
    if found.method != "newcombe":
        return half
    needed = next((n for n in range(6, found.items + 1) if mcnemar(n, 0) <= 0.05), None)
    return None if needed is None else max(half, needed / found.items)


def _scored(connection: Connection, ids: list[int]) -> list[_Scored]:
    statement = text(_SCORERS).bindparams(bindparam("runs", expanding=True))
    found = []
    for part in in_parts(ids):
        for row in connection.execute(statement, {"runs": part}):
            definition = json.loads(row.definition)
            found.append(_Scored(row.id, definition.get("score") or "none", bool(definition.get("prose"))))
    return found
