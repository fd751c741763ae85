"""The tables of a comparison: what they have in common, and their figures in words."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from db.changes import Change
from db.compare import Line
from report.narrow import without_one_machine
from report.verdicts import faster, speed_of

#: settings that tell the lines of a comparison apart
SETTINGS = (
    "model",
    "workload",
    "strategy",
    "temperature",
    "prompt_tokens",
    "new_tokens",
    "precision",
    "attention",
    "compile",
    "cache",
    "batch_size",
    "device",
    "machine",
)


#: what was timed, by the figure that tells how fast it was
_TIMED = {
    "decode_tokens_per_second": "answer",
    "prefill_tokens_per_second": "prompt",
    "latency_seconds": "both",
}


class Section(NamedTuple):
    """A table with its title and what is said below it."""

    title: str
    columns: list[str]
    rows: list[Sequence[Any]]
    #: columns that may go in a narrow terminal, the first of them first
    expendable: list[str]
    below: list[str]


def section(
    title: str, columns: list[str], rows: list[list[Any]], expendable: Iterable[str], below: list[str]
) -> Section:
    """Return a section without columns that are empty in every row."""
    kept = [n for n in range(len(columns)) if any(row[n] is not None for row in rows)]
    names, shown = without_one_machine([columns[n] for n in kept], [[row[n] for n in kept] for row in rows])
    return Section(title, names, shown, [name for name in expendable if name in names], below)


def telling(lines: Sequence[Line], by: str) -> list[str]:
    """Return model and workload, and the other settings that differ between the lines."""
    # What another tool calls its attention and its cache tells nothing apart.
    names = [name for name in SETTINGS if name != by and not (by == "source" and name in ("attention", "cache"))]
    return [
        name
        for name in names
        if name in ("model", "workload", "machine") or len({line.run.columns[name] for line in lines}) > 1
    ]


def is_timed_line(line: Line) -> bool:
    """Whether a line has figures of speed that can be compared."""
    return line.run.is_speed or line.run.columns["task"] in ("vision", "speech")


def parts_timed(lines: Sequence[Line], by: str) -> list[str]:
    """Return the columns that tell which part of a generation was timed, where that is to be told.

    Other tools time a prompt and an answer apart; among our own runs it is the same in every line.
    """
    is_prompt = any(run.columns["new_tokens"] == 0 for line in lines for run in (line.run, line.baseline))
    timed = {change.metric for line in lines if (change := speed_of(line)) is not None}
    is_told = by == "source" or "prefill_tokens_per_second" in timed
    return ["prefill_tokens_per_second"] * is_prompt + ["speed_of"] * is_told


def part_timed(change: Change | None) -> str | None:
    """Return which part of a generation a change of speed tells of."""
    return None if change is None else _TIMED.get(change.metric)


def times(value: float | None) -> str | None:
    """Return how many times as fast something is, to a thousandth where that says something."""
    return None if value is None else f"{value:.3f}" if value < 9.9995 else f"{value:.3g}"


def times_interval(change: Change) -> str | None:
    """Return the interval of a ratio as that of speeds."""
    low, high = faster(change.low, change), faster(change.high, change)
    if low is None or high is None:
        return None
    ends = sorted((low, high))
    # As many digits as the interval's width makes sense of.
    digits = 3 if ends[1] - ends[0] < 0.05 else 2
    return " to ".join(f"{end:.{digits}f}" if end < 100 else f"{end:.3g}" for end in ends)


def signed(value: float) -> str:
    """Return a difference with its sign."""
    # Not `-0.000`.
    return f"{value if abs(value) >= 0.0005 else 0.0:+.3f}"


def signed_interval(change: Change) -> str | None:
    """Return the interval of a difference."""
    if change.low is None or change.high is None:
        return None
    return f"{signed(change.low)} to {signed(change.high)}"
