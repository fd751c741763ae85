"""The names that a history knows, for the near matches of one that it does not know."""

from collections.abc import Iterable

from sqlalchemy import Column, Connection, select

from bench.errors import suggest
from db.conditions import Condition
from db.tables import machine, series_key, strategy

#: column of `history` -> where each of its values is written a few times only
_WRITTEN: dict[str, Column[str]] = {
    "model": series_key.c.model,
    "workload": series_key.c.workload,
    "strategy": strategy.c.name,
    "machine": machine.c.id,
}


def unknown_names(connection: Connection, conditions: Iterable[Condition]) -> list[str]:
    """Return a sentence for each model, workload, strategy or machine that is asked for and is in no run."""
    said = []
    for each in conditions:
        if each.operator == "=" and each.value and each.column in _WRITTEN:
            known = set(connection.execute(select(_WRITTEN[each.column]).distinct()).scalars())
            if each.value not in known:
                said.append(f"there is no {each.column} {each.value!r} in the history{suggest(each.value, known)}")
    return said
