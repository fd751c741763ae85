"""The history, printed."""

from datetime import UTC, datetime
from typing import Any

from db.history import Rows
from report.printing import print_fitting, print_rows

#: what a terminal that is too narrow goes without, the first first
_EXPENDABLE = (
    "peak_device_memory_bytes",
    "prefill_tokens_per_second",
    "started_at",
    "peak_process_memory_bytes",
    "ttft_seconds",
    "precision",
    "device",
    "accuracy_stderr",
    "latency_seconds",
    "prompt_tokens",
    "new_tokens",
    "temperature",
    "contamination",
)


def print_runs(rows: Rows, output: str, *, is_chosen: bool = False) -> None:
    """Print runs. A table leaves out what was not measured in any, and gives times in this machine's zone.

    Columns that somebody chose all stay.
    """
    if output != "table":
        print_rows(rows.columns, rows.rows, output)
        return
    rows = rows if is_chosen else _without_one_source(rows.without_empty())
    local = [
        [
            local_time(value) if column.endswith("_at") else value
            for column, value in zip(rows.columns, row, strict=True)
        ]
        for row in rows.rows
    ]
    expendable = [] if is_chosen else [name for name in _EXPENDABLE if name in rows.columns]
    print_fitting(rows.columns, local, output, say_equal=not is_chosen, expendable=expendable)


def _without_one_source(rows: Rows) -> Rows:
    """Return the rows without the source where all are our own: it tells nothing then."""
    place = rows.columns.index("source") if "source" in rows.columns else None
    if place is None or any(row[place] != "benchbeat" for row in rows.rows):
        return rows
    kept = [n for n in range(len(rows.columns)) if n != place]
    return Rows([rows.columns[n] for n in kept], [tuple(row[n] for n in kept) for row in rows.rows])


def local_time(value: Any) -> str | None:
    """Return a time of a view (UTC, a text in SQLite) in this machine's zone, to the second."""
    if value is None:
        return None
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return str(moment.astimezone().strftime("%Y-%m-%d %H:%M:%S"))
