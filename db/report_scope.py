"""What a report is about, and the SQL that says so: statements over the views that run unchanged on both databases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from db.columns import plain

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Scope:
    """The runs that a report is about; an empty field leaves it open."""

    #: seconds since the epoch: the first that counts, and the first that does not any more
    since: float | None = None
    until: float | None = None
    batches: tuple[int, ...] = ()
    machines: tuple[str, ...] = ()
    models: tuple[str, ...] = ()

    @property
    def is_cut(self) -> bool:
        """Whether the last run of a series may lie outside."""
        return self.until is not None or bool(self.batches)

    def where(self, view: str = "", *, time: str = "started_at") -> str:
        """Return the conditions on the columns of a view, `1 = 1` for none; `view` is its name in the statement."""
        prefix = f"{view}." if view else ""
        conditions = []
        if self.since is not None:
            conditions.append(f"{prefix}{time} >= {literal(moment(self.since))}")
        if self.until is not None:
            conditions.append(f"{prefix}{time} < {literal(moment(self.until))}")
        for column, values in (("batch", self.batches), ("machine", self.machines), ("model", self.models)):
            if values:
                conditions.append(f"{prefix}{column} IN ({', '.join(map(literal, values))})")
        return " AND ".join(conditions) or "1 = 1"


def moment(seconds: float) -> str:
    """Return a point in time as the views give it: UTC, milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def literal(value: str | float) -> str:
    """Return a value as it is written in SQL; a NUL, which no database stores, is left out."""
    if isinstance(value, str):
        return "'" + value.replace("\0", "").replace("'", "''") + "'"
    return str(value)


def listed(values: Sequence[int]) -> str:
    """Return ids as they stand behind IN; an empty list is met by no id."""
    return f"({', '.join(map(str, values)) or 'NULL'})"


def ask(connection: Connection, statement: str) -> list[dict[str, Any]]:
    """Return the rows of a statement, which is sent as it is, with values alike from both databases."""
    found = connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
    names = list(found.keys())
    return [{name: _alike(name, value) for name, value in zip(names, row, strict=True)} for row in found]


def _alike(name: str, value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime):
        return plain(value, "time")
    if name in ("contaminated", "compile") and value is not None:
        return bool(value)
    return value
