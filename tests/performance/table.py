"""The results as a table for people and as JSON for programs."""

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from bench import __version__
from bench.statistics import median
from report.cells import number_in_words
from report.printing import print_rows
from tests.performance.results import Result
from worker.facts import chip_name, os_build, source_state

COLUMNS = ("row", "figure", "median", "range", "n", "beside", "its median", "ratio", "95 %", "goal", "met")

_PACKAGES = ("sqlalchemy", "celery", "psycopg", "torch", "transformers")


def head(*, quick: bool = False) -> dict[str, Any]:
    """Return on what the figures are taken: processors, load, versions; nothing that names the machine."""
    state = source_state()
    return {
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "system": f"{platform.system()} {platform.machine()}",
        "os_build": os_build(),
        "processors": os.cpu_count(),
        "device_name": chip_name(),
        "load_average": load_average(),
        "quick": quick,
        "benchbeat": __version__,
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
        "git_commit": state.commit,
        "git_dirty": state.dirty,
    }


def load_average() -> list[float]:
    """Return the processes that run or wait for a processor, averaged over 1, 5 and 15 minutes."""
    return [round(load, 2) for load in os.getloadavg()]


def head_in_words(facts: dict[str, Any]) -> str:
    """Return the head of the table."""
    load = " ".join(f"{load:.2f}" for load in facts["load_average"])
    versions = ", ".join(f"{name} {facts[name]}" for name in ("python", *_PACKAGES) if facts[name])
    return f"{facts['system']}, nproc {facts['processors']}, load average {load}\n{versions}"


def print_table(results: Sequence[Result], output: str = "table", *, judged: bool = True) -> None:
    """Print the results on standard output, `table` or `md`; unless `judged`, without their goals."""
    columns = len(COLUMNS) if judged else COLUMNS.index("goal")
    print_rows(COLUMNS[:columns], [_cells(result)[:columns] for result in results], output)


def as_json(facts: dict[str, Any], results: Sequence[Result]) -> str:
    """Return head and results, every single reading among them; `benchbeat import` reads it."""
    return json.dumps({**facts, "results": [_entry(result) for result in results]}, indent=1) + "\n"


def verdict(results: Sequence[Result]) -> str:
    """Return a sentence about the goals."""
    judged = [result for result in results if result.met is not None]
    missed = [f"{result.row} ({result.what})" for result in judged if not result.met]
    if not missed:
        return f"all {len(judged)} goals met"
    return f"{len(missed)} of {len(judged)} goals missed: {', '.join(missed)}"


def figure(result: Result) -> str:
    """Return the median and, where there is one, the ratio: "47.1 ms, ratio 1.230"."""
    ratio = "" if result.ratio is None else f", ratio {result.ratio:.3f}"
    return _figure(median(result.ours), result.unit) + ratio


def _cells(result: Result) -> list[str | int | None]:
    goal = result.goal.in_words(result.unit) if result.goal else None
    return [
        result.row,
        result.what + (f" ({result.note})" if result.note else ""),
        _figure(median(result.ours), result.unit),
        _range(result.ours),
        result.n,
        result.beside or None,
        _figure(median(result.theirs), result.unit) if result.theirs else None,
        None if result.ratio is None else f"{result.ratio:.3f}",
        _interval(result.interval),
        goal,
        {True: "yes", False: "NO", None: None}[result.met],
    ]


def _entry(result: Result) -> dict[str, Any]:
    return {
        "row": result.row,
        "what": result.what,
        "unit": result.unit,
        "size": result.size,
        "n": result.n,
        "median": median(result.ours),
        "values": list(result.ours),
        "beside": result.beside or None,
        "beside_median": median(result.theirs) if result.theirs else None,
        "beside_values": list(result.theirs),
        "ratio": result.ratio,
        "ratio_interval": result.interval,
        "goal": result.goal.in_words(result.unit) if result.goal else None,
        "met": result.met,
        "note": result.note or None,
    }


def _range(figures: tuple[float, ...]) -> str | None:
    return f"{number_in_words(min(figures))} to {number_in_words(max(figures))}" if len(figures) > 1 else None


def _interval(interval: tuple[float, float] | None) -> str | None:
    return None if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"


def _figure(value: float, unit: str) -> str:
    return f"{number_in_words(value)} {unit}".strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
