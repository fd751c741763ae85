"""What a report is written from: the answers to its statements, each with its source, and figures made of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from bench.pairs import Difference, wilson
from bench.statistics import median_interval
from db import report_queries as queries
from db.report_pairs import differences, is_shown
from db.report_scope import Scope, ask
from report.document.parts import Figure, Source

Row = Mapping[str, Any]
Couple = tuple[int, int]

WILSON = "95 %, Wilson"
STDERR = "95 %, 1.96 standard errors"
MEDIAN = "95 %, of the median, by order statistics"
PAIRED = {"newcombe": "95 %, paired by item, Newcombe", "bootstrap": "95 %, paired by item, bootstrap"}
_CHOICES = "chosen-from"
_Z = 1.959963984540054
#: units by the columns of a run
UNITS = {
    "decode_tokens_per_second": "tokens/s",
    "prefill_tokens_per_second": "tokens/s",
    "accuracy": "share",
    "consistency": "share",
    "word_error_rate": "share",
    "real_time_factor": "ratio",
    "quality": "of 10",
    "readability": "of 100",
}


@dataclass
class Evidence:
    """The connection and what was asked through it, in order."""

    connection: Connection
    scope: Scope
    sources: dict[str, Source] = field(default_factory=dict)

    def ask(self, source: str, statement: str) -> list[dict[str, Any]]:
        """Return the rows of a statement, and keep it as a source of figures."""
        self.sources[source] = Source(source, statement)
        return ask(self.connection, statement)


@dataclass
class Choices:
    """How many were chosen from, each as a figure: one statement counts them all."""

    evidence: Evidence
    _runs: dict[str, Sequence[int]] = field(default_factory=dict)

    def figure(self, choice: str, rows: Iterable[Row], column: str = "runs") -> Figure:
        """Return the number of `runs`, or of the `models` that they are of, under a name of its own."""
        found = {row["run_id"]: row["model"] for row in rows}
        self._runs[choice] = sorted(found)
        self.evidence.sources[_CHOICES] = Source(_CHOICES, queries.chosen_from(self._runs))
        count = len(found) if column == "runs" else len(set(found.values()))
        return Figure(count, "count", _CHOICES, column, {"choice": choice})


def unit_of(column: str) -> str:
    """Return the unit of a run's column."""
    if column in UNITS:
        return UNITS[column]
    return "bytes" if column.endswith("_bytes") else "s" if column.endswith("_seconds") else "count"


def figure(
    row: Row, column: str, source: str, *, key: Sequence[str] = ("run_id",), unit: str | None = None, **more: Any
) -> Figure | None:
    """Return the figure of a row's column; None where it was not measured."""
    value = row[column]
    if value is None:
        return None
    runs = (row["run_id"],) if "run_id" in row and "run_ids" not in more else more.pop("run_ids", ())
    return Figure(
        value, unit or unit_of(column), source, column, {name: row[name] for name in key}, run_ids=runs, **more
    )


def accuracy(row: Row, source: str) -> Figure | None:
    """Return a run's accuracy with its interval: Wilson's where answers are right or wrong and given once."""
    share, items, error = row["accuracy"], row["items"], row["accuracy_stderr"]
    if share is None or not items:
        return figure(row, "accuracy", source, n=items or None)
    right = share * items
    if (row["samples"] or 1) == 1 and abs(right - round(right)) < 1e-9 * items:
        low, high = wilson(round(right), items)
        return figure(row, "accuracy", source, n=items, low=low, high=high, interval=WILSON)
    if error is None:
        return figure(row, "accuracy", source, n=items)
    low, high = max(share - _Z * error, 0.0), min(share + _Z * error, 1.0)
    return figure(row, "accuracy", source, n=items, low=low, high=high, interval=STDERR)


def latency(row: Row, source: str) -> Figure | None:
    """Return a run's latency with the interval that was stored with it."""
    low, high = row["latency_low_seconds"], row["latency_high_seconds"]
    both = low is not None and high is not None
    interval = {"low": low, "high": high, "interval": MEDIAN} if both else {}
    return figure(row, "latency_seconds", source, n=row["items"] or row["iterations"], **interval)


class Speeds:
    """Decoding speeds with intervals from the timed calls, which are read at once for all the runs that are shown."""

    def __init__(self, evidence: Evidence, rows: Iterable[Row]) -> None:
        ids = sorted({row["run_id"] for row in rows if row["new_tokens"] is not None})
        self._rates: dict[int, list[float]] = {}
        for call in evidence.ask("timed-calls", queries.timed_calls(ids)) if ids else ():
            self._rates.setdefault(call["run_id"], []).append(call["decode_tokens_per_second"])

    def figure(self, row: Row, source: str) -> Figure | None:
        """Return a run's decoding speed; without an interval where its samples are pruned or too few."""
        found = median_interval(self._rates.get(row["run_id"], ()))
        n = row["items"] or row["iterations"]
        if found is None or not found[0] <= (row["decode_tokens_per_second"] or 0) <= found[1]:
            return figure(row, "decode_tokens_per_second", source, n=n)
        low, high = found
        return figure(row, "decode_tokens_per_second", source, n=n, low=low, high=high, interval=MEDIAN)


class Pairs:
    """Differences of pairs of runs (baseline, run) in one metric, as figures and as they are tested."""

    def __init__(self, evidence: Evidence, couples: Iterable[Couple], metric: str) -> None:
        wanted = sorted(set(couples))
        self.source = f"pairs-{metric}"
        self._tested: Mapping[Couple, Difference] = {}
        self._rows: dict[Couple, Row] = {}
        if not wanted:
            return
        column = {"accuracy": "score", "readability": "readability"}.get(metric)
        make = queries.column_pairs(wanted, metric) if column is None else queries.pairs(wanted, column)
        for row in evidence.ask(self.source, make):
            self._rows[row["baseline_run_id"], row["run_id"]] = row
        tested = differences(evidence.connection, list(self._rows), metric)
        # A figure that its answers do not give (they were removed, say) is not tested by them.
        self._tested = {couple: found for couple, found in tested.items() if self._is_of(couple, found)}
        self.unit = {"accuracy": "points", "consistency": "points"}.get(metric, unit_of(metric))

    @property
    def couples(self) -> list[Couple]:
        """The pairs that have items in common."""
        return list(self._rows)

    def tested(self, couple: Couple) -> Difference | None:
        """Return what the test says of a pair; None where nothing is common."""
        return self._tested.get(couple)

    def is_shown(self, couple: Couple) -> bool:
        """Return whether the difference of a pair is shown."""
        return is_shown(self._tested.get(couple))

    def figure(self, couple: Couple, column: str = "gain") -> Figure | None:
        """Return the difference, or `baseline` or `value`, of a pair."""
        row, found = self._rows.get(couple), self._tested.get(couple)
        if row is None:
            return None
        unit = self.unit if column == "gain" else {"points": "share"}.get(self.unit, self.unit)
        more: dict[str, Any] = {"n": row["items"], "run_ids": couple, "is_difference": column == "gain"}
        if column == "gain" and found is not None and found.low is not None:
            more |= {"low": found.low, "high": found.high, "interval": PAIRED[found.method]}
        return figure(row, column, self.source, key=("baseline_run_id", "run_id"), unit=unit, **more)

    def _is_of(self, couple: Couple, found: Difference) -> bool:
        return abs(found.mean - (self._rows[couple]["gain"] or 0)) < 1e-6 * max(1.0, abs(found.mean))
