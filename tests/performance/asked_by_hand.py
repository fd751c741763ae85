"""The questions to a long history, asked by hand: one statement each, written for its index, on the bare driver."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import psycopg

from bench.past_changes import past_changes
from bench.statistics import median
from tests.performance.world import DatabaseKind

_TIME = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', r.started_at, 'unixepoch')",
    "postgresql": "to_timestamp(r.started_at)",
}
_LAST = {
    "sqlite": """CROSS JOIN run r ON r.id IN (SELECT l.id FROM run l
        WHERE l.series_id = k.id AND NOT l.contaminated ORDER BY l.started_at DESC LIMIT {most})""",
    "postgresql": """CROSS JOIN LATERAL (SELECT l.* FROM run l
        WHERE l.series_id = k.id AND NOT l.contaminated ORDER BY l.started_at DESC LIMIT {most}) r""",
}

_HISTORY = """
SELECT r.id, {time}, r.model, r.workload, r.strategy, r.temperature, r.precision, r.device, r.source, r.prompt_tokens,
    r.new_tokens, r.accuracy, r.accuracy_stderr, r.word_error_rate, r.real_time_factor, r.decode_tokens_per_second,
    r.prefill_tokens_per_second, r.ttft_seconds, r.latency_seconds, r.peak_process_memory_bytes,
    r.peak_device_memory_bytes, r.contamination
FROM run r WHERE r.model = {model} AND r.workload = {workload} ORDER BY r.id DESC LIMIT 20
"""
_GROUPED = """
SELECT r.model, r.strategy, r.accuracy, r.consistency, r.readability, r.quality, r.tokens_per_correct_answer,
    r.seconds_per_correct_answer, r.decode_tokens_per_second, r.ttft_seconds, r.latency_seconds
FROM run r WHERE r.machine_id = {machine} AND r.started_at >= {since} AND NOT r.contaminated
"""
_LATEST = """
SELECT r.model, r.precision, r.decode_tokens_per_second, r.latency_seconds
FROM series_key k {last} WHERE k.machine_id = {machine} AND k.workload = {workload}
"""
_CHOSEN = """
SELECT r.id, r.series_id, r.environment_id, r.device_name FROM series_key k {last}
WHERE k.machine_id = {machine} AND k.workload = {workload} AND k.model IN ({model}, {other})
ORDER BY r.series_id, r.started_at DESC
"""
_COLUMNS = """
SELECT r.*, e.*, k.definition, w.definition FROM run r JOIN environment e ON e.id = r.environment_id
JOIN series_key k ON k.id = r.series_id JOIN workload w ON w.hash = r.workload_hash WHERE r.id IN ({ids})
"""
_SAMPLES = """
SELECT run_id, latency_seconds, ttft_seconds, decode_tokens_per_second, prefill_tokens_per_second
FROM sample WHERE run_id IN ({ids}) ORDER BY run_id, iteration
"""
_FIGURES = """
SELECT r.id, r.series_id, r.environment_id, r.device_name, r.started_at, r.decode_tokens_per_second, r.ttft_seconds,
    r.latency_seconds, r.prefill_tokens_per_second, r.real_time_factor
FROM series_key k {last} WHERE k.id IN ({ids})
"""
_SPEED_SERIES = "SELECT k.id FROM series_key k {last} WHERE k.machine_id = {machine} AND r.new_tokens IS NOT NULL"
_MEDIANS = """
SELECT r.id, r.latency_seconds FROM run r
WHERE r.series_id = {series_id} AND r.new_tokens IS NOT NULL AND {clean} ORDER BY r.id
"""
_CHANGES = "SELECT c.* FROM change c WHERE c.series_id = {series_id}"


class ByHand:
    """A connection of the bare driver."""

    def __init__(self, url: str, kind: DatabaseKind) -> None:
        self._kind = kind
        self._connection: Any
        if kind == "sqlite":
            self._connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        else:
            self._connection = psycopg.connect(url.replace("+psycopg", ""), prepare_threshold=None, autocommit=True)

    def close(self) -> None:
        """Close it."""
        self._connection.close()

    def begin(self) -> None:
        """Open a transaction, as the command's reading is one."""
        self._connection.execute("BEGIN")

    def commit(self) -> None:
        """End it."""
        self._connection.execute("COMMIT")

    def ask(self, statement: str, values: dict[str, Any], *, most: int = 1, ids: Sequence[int] = ()) -> list[Any]:
        """Return the rows of a statement."""
        mark = ":{0}" if self._kind == "sqlite" else "%({0})s"
        parts = {name: mark.format(name) for name in values}
        parts |= {
            "time": _TIME[self._kind],
            "last": _LAST[self._kind].format(most=most),
            "ids": ", ".join(map(str, ids)) or "NULL",
            "clean": "r.contaminated IS 0" if self._kind == "sqlite" else "r.contaminated IS false",
        }
        rows: list[Any] = self._connection.execute(statement.format(**parts), values).fetchall()
        return rows


def history(hand: ByHand, values: dict[str, Any]) -> list[Any]:
    """Return the ids of the newest 20 runs of a model and workload, all columns having been read."""
    return sorted(row[0] for row in hand.ask(_HISTORY, values))


def grouped(hand: ByHand, values: dict[str, Any]) -> list[Any]:
    """Return the groups of a machine's month by model and strategy, with their medians."""
    groups: dict[Any, list[Any]] = defaultdict(list)
    for row in hand.ask(_GROUPED, values):
        groups[row[:2]].append(row[2:])
    found = []
    for key, rows in groups.items():
        columns = ([value for value in column if value is not None] for column in zip(*rows, strict=True))
        found.append((key, [median(column) if column else None for column in columns]))
    return sorted(str(key) for key, _ in found)


def latest(hand: ByHand, values: dict[str, Any]) -> list[Any]:
    """Return the last clean speed run of each series of a machine."""
    return sorted(map(str, hand.ask(_LATEST, values)))


def compared(hand: ByHand, values: dict[str, Any]) -> list[Any]:
    """Return the ids of the runs that a comparison of two models shows, all that it stands on having been read."""
    rows = hand.ask(_CHOSEN, values, most=20)
    newest = {series_id: run_id for run_id, series_id, *_ in reversed(rows)}
    for row in hand.ask(_COLUMNS, values, ids=[*newest.values()]):
        json.loads(row[-1]), json.loads(row[-2])
    hand.ask(_SAMPLES, values, ids=[*newest.values()])
    hand.ask(_FIGURES, values, most=100, ids=[*newest])
    hand.ask(_FIGURES, values, most=100, ids=[row[0] for row in hand.ask(_SPEED_SERIES, values)])
    return sorted(newest.values())


def changes(hand: ByHand, values: dict[str, Any]) -> list[Any]:
    """Return the changes of one series, judged as the command judges them."""
    rows = hand.ask(_MEDIANS, values)
    hand.ask(_CHANGES, values)
    hand.ask("SELECT count(*) FROM unjudged", values)
    found = past_changes({0: np.array([float(value) for _, value in rows])})
    return [point.place for points in found.values() for point in points]
