"""Reading the history for people: the named queries behind `benchbeat history` and `benchbeat retry`."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

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
    "prompt_tokens",
    "new_tokens",
    "accuracy",
    "accuracy_stderr",
    "decode_tokens_per_second",
    "prefill_tokens_per_second",
    "ttft_seconds",
    "latency_seconds",
    "peak_process_memory_bytes",
    "peak_device_memory_bytes",
    "contamination",
)

#: filters that are equalities of a column
FILTERS = ("batch", "model", "workload", "strategy", "machine", "device", "precision", "series")


@dataclass(frozen=True)
class Rows:
    """A result: the columns' names and the rows."""

    columns: list[str]
    rows: list[tuple[Any, ...]]

    def without_empty(self) -> "Rows":
        """Return the rows without the columns that are NULL in every one."""
        kept = [n for n in range(len(self.columns)) if any(row[n] is not None for row in self.rows)]
        return Rows([self.columns[n] for n in kept], [tuple(row[n] for n in kept) for row in self.rows])


def history(connection: Connection, filters: dict[str, Any], limit: int | None) -> Rows:
    """Return the last `limit` runs, oldest first, that match the filters (names as in FILTERS)."""
    unknown = filters.keys() - set(FILTERS)
    if unknown:
        raise ValueError(f"no such filter: {unknown}")
    where = " AND ".join(f"{name} = :{name}" for name in filters) or "1 = 1"
    newest = f"SELECT {', '.join(COLUMNS)} FROM history WHERE {where} ORDER BY run_id DESC"
    values = dict(filters)
    if limit is not None:
        newest += " LIMIT :limit"
        values["limit"] = limit
    found = connection.execute(text(newest), values)
    return Rows(list(found.keys()), [tuple(row) for row in reversed(found.all())])
