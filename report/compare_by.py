"""Runs that differ in a column, in tables: a line for each value, under its baseline's."""

from collections.abc import Iterable, Sequence
from typing import Any

from db.changes import Change
from db.compare import Comparison, Line, said
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

#: what the settings of a speed run are, as far as quality runs share them
_SHARED = ("model", "revision", "precision", "quantiser", "attention", "compile", "cache", "device", "machine")

#: columns that change what is asked, not how fast it is answered
_ASKED = (
    "strategy",
    "temperature",
    "top_p",
    "top_k",
    "repetition_penalty",
    "max_new_tokens",
    "seed",
    "samples",
    "items",
)
_OWN_SPEED = (
    "Tokens per second are those of the speed run with the same settings; without one, of these runs themselves."
)

_SPEED_EXPENDABLE = (
    "prefill_tokens_per_second",
    "peak_device_memory_bytes",
    "peak_process_memory_bytes",
    "latency_seconds",
    "ttft_seconds",
    "weights_ratio",
    "machine",
    "real_time_factor",
    "runs",
    "weights_bytes",
)
_QUALITY_EXPENDABLE = ("quality", "items", "speed", "decode_tokens_per_second", "weights_bytes", "machine")


def speed_section(comparison: Comparison, lines: Sequence[Line]) -> Section | None:
    """Return the table of speed and memory of lines that are timed; None for no lines."""
    if not lines:
        return None
    figures = ["weights_bytes", "weights_ratio", "peak_process_memory_bytes", "peak_device_memory_bytes"]
    figures += ["ttft_seconds", "latency_seconds", "real_time_factor", "decode_tokens_per_second"]
    figures += parts_timed(lines, comparison.by)
    shown = [*telling(lines, comparison.by), comparison.by, "runs", *figures, "speed", "99 % interval", "verdict"]
    are_several = any(line.run.beside for line in lines)
    rows = []
    for line in lines:
        named: dict[str, Any] = {**line.run.columns, **line.figures} | {
            "weights_ratio": _ratio(line.changes.get("weights_bytes"))
        }
        named["runs"] = len(line.run.runs) if are_several else None
        if not line.run.is_speed:
            named["decode_tokens_per_second"] = None
        change = speed_of(line)
        named |= {comparison.by: line.value, "verdict": speed_verdict(line, change), "speed_of": part_timed(change)}
        if line.is_baseline:
            named |= {"speed": "1", "weights_ratio": "1"}
        elif change is not None:
            named |= {"speed": times(faster(change.change, change)), "99 % interval": times_interval(change)}
        rows.append([named.get(name) for name in shown])
    title = f"Speed and memory{_by(comparison)}"
    changes = [change for line in lines if (change := speed_of(line)) is not None]
    return section(
        title, shown, rows, _SPEED_EXPENDABLE, speed_methods(lines, changes, "how many times as fast as the baseline")
    )


def quality_section(comparison: Comparison, lines: Sequence[Line], speed: Sequence[Line]) -> Section | None:
    """Return the table of quality; `speed` are the lines whose speed stands beside it. None for no lines."""
    if not lines:
        return None
    shown = [
        *telling(lines, comparison.by),
        comparison.by,
        "weights_bytes",
        "decode_tokens_per_second",
        "speed",
    ]
    shown += ["items", "word_error_rate", "quality", "accuracy", "difference", "95 % interval", "verdict"]
    beside = _speeds(speed)
    rows = []
    for line in lines:
        change = line.changes.get("accuracy")
        named = dict(line.run.columns) | {comparison.by: line.value, "verdict": quality_verdict(line, change)}
        fast = beside.get(_shared(line), line)
        if line.run.columns["task"] == "text" and comparison.by not in _ASKED:
            named |= {name: fast.run.columns[name] for name in ("decode_tokens_per_second", "weights_bytes")}
            ratio = fast.changes.get("decode_tokens_per_second")
            named["speed"] = "1" if fast.is_baseline else None if ratio is None else times(ratio.change)
        else:
            named |= {"decode_tokens_per_second": None, "weights_bytes": None}
        if change is not None:
            named |= {"accuracy": change.figure, "difference": signed(change.change)}
            named["95 % interval"] = signed_interval(change)
        named["accuracy"] = None if named["accuracy"] is None else f"{named['accuracy']:.3f}"
        rows.append([named.get(name) for name in shown])
    below = [_OWN_SPEED] if any(row[shown.index("speed")] for row in rows) else []
    changes = [line.changes["accuracy"] for line in lines if "accuracy" in line.changes]
    return section(f"Quality{_by(comparison)}", shown, rows, _QUALITY_EXPENDABLE, below + quality_methods(changes))


def _by(comparison: Comparison) -> str:
    baselines = dict.fromkeys(said(line.baseline_value) for line in comparison.lines)
    first = " or ".join(baselines) if len(baselines) < 4 else "the first line of each group"
    return f" by {comparison.by}; the baseline is {first}"


def _speeds(lines: Iterable[Line]) -> dict[tuple[Any, ...], Line]:
    """Return the speed run that stands for a model and value: the one with the smallest batch and prompt."""
    found: dict[tuple[Any, ...], Line] = {}
    ordered = [line for line in lines if line.run.is_speed]
    ordered.sort(
        key=lambda line: [line.run.columns[name] or 0 for name in ("batch_size", "prompt_tokens", "new_tokens")]
    )
    for line in ordered:
        found.setdefault(_shared(line), line)
    return found


def _shared(line: Line) -> tuple[Any, ...]:
    return (line.value, *(line.run.columns[name] for name in _SHARED))


def _ratio(change: Change | None) -> str | None:
    return None if change is None else f"{change.change:.3g}"
