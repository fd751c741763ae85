"""The last clean runs of each of some series, found by a probe of the index for each, however long they are."""

from sqlalchemy import Connection

from db.history import Query

#: what is equal in all runs of a series, as its key holds it: one run tells it of all
OF_SERIES = frozenset(
    (
        *("series", "model", "revision", "task", "workload", "strategy", "temperature", "top_p", "top_k"),
        *("repetition_penalty", "max_new_tokens", "seed", "samples", "prompt_tokens", "new_tokens", "precision"),
        *("quantiser", "attention", "compile", "cache", "batch_size", "isolation", "processes"),
        *("word_timestamps", "detect_language", "device", "machine"),
    )
)

_MATCHING = "SELECT series_id FROM run WHERE id IN (SELECT run_id FROM newest{where})"

_PROBE = """
SELECT {columns} FROM run l WHERE l.series_id = k.series_id AND NOT l.contaminated
ORDER BY l.started_at {direction}, l.id {direction} LIMIT {most}
"""


def chooses_series(query: Query, *columns: str) -> bool:
    """Whether a query chooses whole series, and further columns have one value in each."""
    asked = {condition.column for condition in query.conditions}.union(columns)
    return asked <= OF_SERIES and query.since is query.until is None and not query.labels


def matching_series(where: str) -> str:
    """Return the query for the series that such a query's WHERE clause chooses."""
    return _MATCHING.format(where=where)


def last_clean_runs(connection: Connection, series: str, most: int | str) -> str:
    """Return FROM with `k`, the rows of a query for `series_id`, each joined to `r`, its last clean runs."""
    probe = _PROBE.replace("{direction}", "DESC")
    if connection.dialect.name == "sqlite":
        # In this order: a table that others depend on can't be the inner one.
        return f"FROM ({series}) k CROSS JOIN run r ON r.id IN ({probe.format(columns='l.id', most=most)})"
    return f"FROM ({series}) k CROSS JOIN LATERAL ({probe.format(columns='l.*', most=most)}) r"


def first_clean_run_at() -> str:
    """Return the query for when the first clean run of the series `k` began."""
    return _PROBE.replace("{direction}", "ASC").format(columns="l.started_at", most=1)
