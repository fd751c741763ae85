"""Two sides in tables: a line for each series, with what the first measured and what the second did."""

from collections.abc import Iterable, Sequence
from typing import Any

from db.changes import Change
from db.compare import Line
from report.cells import NOTHING, shown
from report.sections import (
    Section,
    part_timed,
    parts_timed,
    section,
    signed,
    signed_interval,
    telling,
    times,
    times_interval,
)
from report.verdicts import faster, quality_methods, quality_verdict, speed_methods, speed_of, speed_verdict

#: shown where the sides differ in them
_MEMORY = ("weights_bytes", "peak_process_memory_bytes", "peak_device_memory_bytes")
_SPEED = ("ttft_seconds", "latency_seconds", "real_time_factor", "decode_tokens_per_second")
_QUALITY = ("decode_tokens_per_second", "word_error_rate", "quality", "accuracy")
#: what may go in a narrow terminal, the first of them first
_SPEED_EXPENDABLE = (
    *("prefill_tokens_per_second", "peak_device_memory_bytes", "peak_process_memory_bytes"),
    *("latency_seconds", "ttft_seconds"),
    *("machine", "real_time_factor", "runs", "weights_bytes"),
)
_QUALITY_EXPENDABLE = ("decode_tokens_per_second", "quality", "word_error_rate", "machine", "items")


def speed_section(lines: Sequence[Line]) -> Section | None:
    """Return the table of speed and memory of lines that are timed; None for no lines."""
    others = [line for line in lines if not line.is_baseline]
    if not others:
        return None
    memory = [name for name in _MEMORY if any(_differs(name, line) for line in others)]
    parts = parts_timed(others, "side")
    names = [*telling(others, "side"), "runs", *memory, *_SPEED, *parts, "speed", "99 % interval", "verdict"]
    are_several = any(line.run.beside or line.baseline.beside for line in others)
    rows = []
    for line in others:
        change = speed_of(line)
        named = dict(line.run.columns) | {
            name: _beside(name, line) for name in (*memory, *_SPEED, "prefill_tokens_per_second")
        }
        if not line.run.is_speed:
            # Calls differ in length, so their rates say nothing.
            named["decode_tokens_per_second"] = None
        named |= {"verdict": speed_verdict(line, change), "speed_of": part_timed(change)}
        named |= {"runs": _runs(line) if are_several else None}
        if change is not None:
            named |= {"speed": times(faster(change.change, change)), "99 % interval": times_interval(change)}
        rows.append([named.get(name) for name in names])
    changes = [change for line in others if (change := speed_of(line)) is not None]
    below = speed_methods(others, changes, f"how many times as fast as {others[0].baseline_value}")
    return section(f"Speed and memory: {_sides(others)}", names, rows, _SPEED_EXPENDABLE, below)


def quality_section(lines: Sequence[Line]) -> Section | None:
    """Return the table of quality; None for no lines."""
    others = [line for line in lines if not line.is_baseline]
    if not others:
        return None
    names = [*telling(others, "side"), "items", *_QUALITY, "difference", "95 % interval", "verdict"]
    rows = []
    for line in others:
        change = line.changes.get("accuracy")
        named = dict(line.run.columns) | {name: _beside(name, line) for name in _QUALITY}
        if line.run.columns["task"] != "text":
            named["decode_tokens_per_second"] = None
        named["verdict"] = quality_verdict(line, change)
        if change is not None:
            named |= {"items": change.n, "accuracy": f"{change.baseline:.3f} -> {change.figure:.3f}"}
            named |= {"difference": signed(change.change), "95 % interval": signed_interval(change)}
        rows.append([named.get(name) for name in names])
    changes = [line.changes["accuracy"] for line in others if "accuracy" in line.changes]
    return section(f"Quality: {_sides(others)}", names, rows, _QUALITY_EXPENDABLE, quality_methods(changes))


def _sides(lines: Sequence[Line]) -> str:
    return f"{lines[0].baseline_value} -> {lines[0].value}"


def _beside(name: str, line: Line) -> str | None:
    """Return a figure of both sides; None where neither has it."""
    change: Change | None = line.changes.get(name)
    if change is not None:
        figures: Iterable[Any] = change.baseline, change.figure
    else:
        figures = line.baseline.columns[name], line.run.columns[name]
    said = [shown(figure, name) for figure in figures]
    return None if said == [NOTHING, NOTHING] else " -> ".join(said)


def _differs(name: str, line: Line) -> bool:
    before, after = (shown(run.columns[name], name) for run in (line.baseline, line.run))
    return before != after


def _runs(line: Line) -> str:
    return f"{len(line.baseline.runs)} -> {len(line.run.runs)}"
