"""A table of `make bench --json` as runs of ours: what benchbeat itself costs, in the same history as what it measures.

Each row of the table is a run whose model is `benchbeat`. One that is a time is a speed run of no tokens: its readings
are samples, so that `compare` and `regressions` judge them as they judge a model's. docs/import.md has the mapping.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from bench.errors import InputError
from bench.imports.fields import INT32, INT64, Fields, as_number
from bench.imports.records import UNKNOWN, Imported, one_line
from bench.results import Environment, Figures, Metric, Sample
from bench.statistics import median, median_interval
from bench.workloads import Workload

#: what such a table has
MARKS = frozenset({"results", "taken_at", "processors"})
#: the name under which benchbeat itself is measured
MODEL = "benchbeat"

#: seconds in a unit of time, bytes in one of memory
_SECONDS = {"s": 1.0, "ms": 0.001}
_BYTES = {"MB": 1_000_000}
#: libraries whose version may explain a change, beside those that have a column of their own
_LIBRARIES = ("sqlalchemy", "celery", "psycopg")


def read_table(table: Mapping[str, Any], place: str) -> Iterator[Imported]:
    """Yield a run for each row of a table. Raises InputError where it tells of none."""
    rows = table["results"]
    if not isinstance(rows, list) or not all(isinstance(each, dict) for each in rows):
        raise InputError("is no table of `make bench`: its results are no list of rows", where=place)
    head = _Head(Fields(table, place))
    for position, row in enumerate(rows, start=1):
        yield _Row(Fields(row, f"{place} (row {position})"), head).run(position)


class _Head:
    """What all rows of a table have in common."""

    def __init__(self, fields: Fields) -> None:
        self.began = _moment(fields, "taken_at")
        self.ended = _moment(fields, "finished_at") if fields.values.get("finished_at") else self.began
        if self.ended < self.began:
            raise InputError("finished_at lies before taken_at", where=fields.place)
        self.device_name = fields.text("device_name") or UNKNOWN
        self.is_quick = fields.values.get("quick") is True
        self.load_average = fields.values.get("load_average")
        dirty = fields.values.get("git_dirty")
        self.environment = Environment(
            os_build=fields.text("os_build") or fields.text("system") or UNKNOWN,
            python_version=fields.text("python") or UNKNOWN,
            torch_version=fields.text("torch") or UNKNOWN,
            transformers_version=fields.text("transformers") or UNKNOWN,
            benchbeat_version=fields.text("benchbeat") or UNKNOWN,
            git_commit=fields.text("git_commit") or None,
            git_dirty=dirty if isinstance(dirty, bool) else None,
            threads=fields.whole("processors"),
            libraries={name: fields.text(name) for name in _LIBRARIES if fields.text(name)},
        )


class _Row:
    """One row of a table."""

    def __init__(self, fields: Fields, head: _Head) -> None:
        self._fields = fields
        self._head = head
        self._name, self._what = fields.text("row"), fields.text("what")
        if not self._name or not self._what:
            raise InputError("row and what must say what was measured", where=fields.place)
        self._unit = fields.text("unit")
        self._values = _numbers(fields, "values")
        if not self._values:
            raise InputError("values must hold at least one reading", where=fields.place)
        self._size = None if fields.values.get("size") is None else fields.whole("size", most=INT32)
        self._seconds = _SECONDS.get(self._unit)

    def run(self, position: int) -> Imported:
        """Return the run."""
        is_time = self._seconds is not None
        return Imported(
            source="make-bench",
            place=self._fields.place,
            position=position,
            model=MODEL,
            workload=self._workload(),
            precision=UNKNOWN,
            device="cpu",
            device_name=self._head.device_name,
            batch_size=1,
            environment=self._head.environment,
            figures=self._figures(),
            started_at=self._head.began,
            finished_at=self._head.ended,
            # No tokens at all: what is timed is a shape that never changes, as for a speed run.
            prompt_tokens=0 if is_time else None,
            new_tokens=0 if is_time else None,
            items=self._size,
            settings={"unit": self._unit},
            told=self._told(),
            readings=self._samples(),
            metrics=tuple(self._metrics()),
        )

    def _workload(self) -> Workload:
        """Return row and figure as a workload, its size at the end of the name, so that sizes make a line."""
        what = self._what if self._size is None else self._what.replace(f"{self._size:,}", "n")
        name = re.sub(r"[^\w.%+]+", "-", what.replace("'", ""), flags=re.ASCII).strip("-")
        # Small sizes with a tiny model are another thing than what they stand for.
        quick = "@quick" if self._head.is_quick else ""
        size = "" if self._size is None else f"@{self._size}"
        return Workload(name=f"{self._name}/{name}{quick}{size}", task="text", kind="speed", description=self._what)

    def _figures(self) -> Figures:
        """Return a time with its interval, or memory; any other figure is in the metrics only."""
        middle = median(self._values)
        common: dict[str, Any] = {"iterations": self._count(), "items": self._size}
        if self._unit in _BYTES:
            return Figures(peak_process_memory_bytes=round(middle * _BYTES[self._unit]), **common)
        if self._seconds is None:
            return Figures(**common)
        low, high = median_interval(self._values) or (None, None)
        return Figures(
            latency_seconds=middle * self._seconds,
            latency_low_seconds=None if low is None else low * self._seconds,
            latency_high_seconds=None if high is None else high * self._seconds,
            **common,
        )

    def _count(self) -> int:
        """Return how many readings the figure stands on: a percentile is one figure of many."""
        return self._fields.whole("n", missing=len(self._values)) or len(self._values)

    def _samples(self) -> tuple[Sample, ...]:
        if self._seconds is None:
            return ()
        return tuple(
            Sample(iteration=number, batch_size=1, prompt_tokens=0, new_tokens=0, latency_seconds=each * self._seconds)
            for number, each in enumerate(self._values)
        )

    def _metrics(self) -> Iterator[Metric]:
        """Give the figure in its own unit, and what stands beside it."""
        unit = self._unit or "count"
        yield self._metric("figure", unit, median(self._values))
        beside = _numbers(self._fields, "beside_values")
        if beside:
            yield self._metric("beside", unit, median(beside))
            if self._seconds is not None:
                yield self._metric("beside_seconds", "s", median(beside) * self._seconds)
        ratio = as_number(self._fields.values.get("ratio"))
        if ratio is not None:
            yield self._metric("ratio", "ratio", ratio)
        interval = self._fields.values.get("ratio_interval")
        if interval is not None:
            ends = _numbers(self._fields, "ratio_interval")
            if len(ends) != 2:
                raise InputError("ratio_interval must be two numbers", where=self._fields.place)
            yield self._metric("ratio_low", "ratio", ends[0])
            yield self._metric("ratio_high", "ratio", ends[1])
        met = self._fields.values.get("met")
        if isinstance(met, bool):
            yield self._metric("goal_met", "count", float(met))

    def _metric(self, name: str, unit: str, value: float) -> Metric:
        return Metric(task=self._name, name=name, filter=one_line(unit), value=value)

    def _told(self) -> dict[str, Any]:
        names = ("row", "what", "unit", "size", "beside", "goal", "met", "note")
        told = {name: self._fields.values.get(name) for name in names}
        return told | {"load_average": self._head.load_average}


def _numbers(fields: Fields, name: str) -> tuple[float, ...]:
    """Return a list of finite numbers; empty where there is none."""
    given = fields.values.get(name)
    if given is None:
        return ()
    if not isinstance(given, list):
        raise InputError(f"{name} must be a list of numbers", where=fields.place)
    numbers = []
    for number, each in enumerate(given, start=1):
        value = as_number(each)
        if value is None or abs(value) > INT64:
            raise InputError(f"{name}: reading {number} must be a number (it is {str(each)[:100]})", where=fields.place)
        numbers.append(float(value))
    return tuple(numbers)


def _moment(fields: Fields, name: str) -> float:
    text = fields.text(name)
    try:
        moment = datetime.fromisoformat(text)
        began = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise InputError(f"{name} must be a time (it is {text[:100]!r})", where=fields.place) from None
    if began < 0:
        raise InputError(f"{name} must be after 1970 (it is {text[:100]!r})", where=fields.place)
    return began
