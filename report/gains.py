"""What strategies gain over `direct`, printed."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from db.gains import Gain
from report.narrow import without_one_machine
from report.printing import print_fitting, print_rows, print_text

#: columns for programs
COLUMNS = (*Gain.__dataclass_fields__, "verdict")

_METHODS = {
    "newcombe": "Scores of 0 and 1: Newcombe's interval, p of McNemar's exact test",
    "bootstrap": "Other scores: percentile interval of 2,000 bootstrap resamples",
}

_EXPENDABLE = ("precision", "machine", "p_value", "direct", "temperature")

#: with fewer items the bootstrap's interval is too narrow
_ENOUGH = 20
#: so many comparisons mislead by their number
_MANY = 10


def print_gains(gains: Sequence[Gain], output: str) -> None:
    """Print gains; a table says each with its interval in one cell, and the method below."""
    if output != "table":
        print_rows(COLUMNS, [[*asdict(gain).values(), verdict(gain)] for gain in gains], output)
        return
    metric = gains[0].metric
    columns = ["model", "workload", "strategy", "temperature", "precision", "machine", "items", "direct"]
    columns += [metric, "gain", "95 % interval", "p_value", "verdict"]
    rows = [_row(gain) for gain in gains]
    columns, shown = without_one_machine(columns, rows)
    print_fitting(columns, shown, "table", say_equal=True, expendable=_EXPENDABLE)
    for method in dict.fromkeys(gain.method for gain in gains):
        print_text(f"Paired by item. {_METHODS[method]}.")
    if len(gains) >= _MANY:
        chance = round(len(gains) * 0.05)
        print_text(f"Of {len(gains)} intervals of 95 %, about {chance} leave zero out by chance alone.")


def verdict(gain: Gain) -> str:
    """Return what the data show, in words: a difference only where interval and p agree and there are enough items."""
    if gain.low is None or gain.high is None or (gain.method == "bootstrap" and gain.items < _ENOUGH):
        return "too few items"
    if gain.low <= 0 <= gain.high or (gain.p_value is not None and gain.p_value > 0.05):
        return "no difference shown"
    return "better" if gain.low > 0 else "worse"


def _row(gain: Gain) -> list[Any]:
    p_value = None if gain.p_value is None else f"{gain.p_value:.3f}" if gain.p_value >= 0.001 else "< 0.001"
    return [
        gain.model,
        gain.workload,
        gain.strategy,
        gain.temperature,
        gain.precision,
        gain.machine,
        gain.items,
        _figure(gain.baseline),
        _figure(gain.value),
        _signed(gain.gain),
        None if gain.low is None or gain.high is None else f"{_signed(gain.low)} to {_signed(gain.high)}",
        p_value,
        verdict(gain),
    ]


def _figure(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.4g}"


def _signed(value: float) -> str:
    # Not `-0.000`.
    return f"{value if abs(value) >= 0.0005 else 0.0:+.3f}" if abs(value) < 1 else f"{value:+.4g}"
