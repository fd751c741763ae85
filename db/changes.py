"""How far a run's figures lie from its baseline's, with intervals from readings and answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import log, sqrt
from typing import Literal, NamedTuple

from bench.pairs import mcnemar, paired_difference
from bench.ratios import ratio_of_totals
from bench.replicates import assumed_spread, moderated, ratio_of_runs, reading_of, reading_of_values
from db.compared_runs import ChosenRun
from db.spreads import SPEED, Basis, Spreads

MEMORY = ("weights_bytes", "peak_device_memory_bytes", "peak_process_memory_bytes")
#: of an answer, of a prompt
SPEED_RATES = ("decode_tokens_per_second", "prefill_tokens_per_second")
_Z = 1.959963984540054

#: readings by run and column
Readings = Mapping[int, Mapping[str, Sequence[float]]]
#: values by metric, run and item
Values = Mapping[str, Mapping[int, Mapping[str, float]]]


@dataclass(frozen=True)
class Change:
    """One figure beside its baseline's."""

    #: the column of `history`
    metric: str
    baseline: float
    figure: float
    #: figure / baseline, or figure - baseline
    kind: Literal["ratio", "difference"]
    change: float
    #: ends of its interval, where the runs or answers give one: of 99 % for a ratio, else of 95 %
    low: float | None = None
    high: float | None = None
    #: items that both answered, or readings of the run that has fewer
    n: int | None = None
    #: None where the method gives none
    p_value: float | None = None
    #: `t-test`, `bootstrap`, `newcombe` or `normal`
    method: str | None = None
    #: the least that the test takes for a change: a share for a ratio, else in the figure's unit
    least: float = 0.0
    #: runs that stand for each side, the baseline first
    runs: tuple[int, int] = (1, 1)
    #: of a t-test: what its spread from run to run stands on, and with how many degrees of freedom
    basis: Basis | None = None
    freedom: float | None = None

    @property
    def smallest(self) -> float | None:
        """The least change that these data could have shown: a share for a ratio, else in the figure's unit."""
        if self.low is None or self.high is None:
            return None
        return (
            max(self.change - self.low, self.high - self.change, self.least)
            if self.kind == "difference"
            else self.least
        )


def is_timed(run: ChosenRun) -> bool:
    """Whether a run's samples can be compared: answers in text differ in length, pictures and clips are the same."""
    return run.is_speed or run.columns["task"] != "text"


def changes_of(
    baseline: ChosenRun, run: ChosenRun, timed: Readings, values: Values, spreads: Spreads
) -> dict[str, Change]:
    """Return the change of each metric that both runs have: ratios of speed and memory, differences of quality."""
    found: dict[str, Change] = {}
    for metric in (*_speed_metrics(baseline, run), "real_time_factor", *MEMORY):
        before, after = spreads.figure(metric, baseline), spreads.figure(metric, run)
        if before is not None and after is not None and min(before, after) > 0:
            change = Change(metric, before, after, "ratio", after / before)
            found[metric] = _tested(change, baseline, run, timed, spreads)
    for metric in ("accuracy", "quality", "word_error_rate"):
        difference = _difference(metric, baseline, run, values)
        if difference is not None:
            found[metric] = difference
    return found


def _speed_metrics(baseline: ChosenRun, run: ChosenRun) -> tuple[str, ...]:
    """Return the figures of speed that mean the same in both runs; llama-bench times prompt and answer apart."""
    for length, timed in (("new_tokens", "prefill_tokens_per_second"), ("prompt_tokens", "decode_tokens_per_second")):
        if (baseline.columns[length] == 0) != (run.columns[length] == 0):
            return (timed,)
    # Of a run that timed a first token its rate of reading is the same figure once more.
    has_first = any(each.columns["ttft_seconds"] is not None for each in (baseline, run))
    return SPEED if has_first else (*SPEED, "prefill_tokens_per_second")


class _Read(NamedTuple):
    """What the readings of two runs tell about the ratio between them."""

    #: of the ratio's logarithm
    variance: float
    #: standard deviation of a single reading's logarithm
    deviation: float
    #: of the run that has fewer
    readings: int


def _tested(change: Change, baseline: ChosenRun, run: ChosenRun, timed: Readings, spreads: Spreads) -> Change:
    """Return a ratio with its interval and test, where there is enough to test it."""
    metric = change.metric
    if not _is_testable(metric, baseline, run):
        return change
    sides = [spreads.logs(metric, side) for side in (baseline, run)]
    read = _read_apart(metric, baseline, run, timed) if run.is_speed else _read_in_pairs(baseline, run, timed)
    own, near = spreads.own(metric, baseline, run), spreads.near(metric, baseline, run)
    if own is None and near is None and read is None:
        return change
    spread = moderated(own, near or assumed_spread(0.0 if read is None else read.deviation))
    least = 0.0 if read is None else read.variance / min(map(len, sides))
    result = ratio_of_runs(sides[0], sides[1], spread, least)
    basis: Basis = "history" if own is not None else "machine" if near is not None else "assumed"
    runs = len(sides[0]), len(sides[1])
    known = replace(change, method="t-test", runs=runs, basis=basis)
    if result is None:
        return known
    return replace(
        known,
        change=result.value,
        low=result.low,
        high=result.high,
        n=None if read is None else read.readings,
        p_value=result.p_value,
        least=result.smallest,
        freedom=result.freedom,
    )


def _is_testable(metric: str, baseline: ChosenRun, run: ChosenRun) -> bool:
    if run.is_speed:
        # Calls of other lengths take other times, whatever was changed.
        same = all(baseline.columns[name] == run.columns[name] for name in ("prompt_tokens", "new_tokens"))
        return metric in SPEED_RATES or metric == "ttft_seconds" or (same and metric == "latency_seconds")
    same_calls = baseline.columns["batch_size"] == run.columns["batch_size"]
    return is_timed(run) and same_calls and metric in ("latency_seconds", "real_time_factor")


def _read_apart(metric: str, baseline: ChosenRun, run: ChosenRun, timed: Readings) -> _Read | None:
    """Return what two runs of a fixed shape read, each by itself."""
    found = []
    for side in (baseline, run):
        values = timed.get(side.id, {}).get(metric, ())
        reading = reading_of_values(values)
        if reading is None and not timed.get(side.id) and metric in ("latency_seconds", _mostly(side)):
            # Its samples were pruned, so the interval of the whole call serves.
            low, high = side.columns["latency_low_seconds"], side.columns["latency_high_seconds"]
            values = range(side.columns["iterations"])
            reading = None if low is None or high is None else reading_of(low, high, len(values))
        if reading is None:
            return None
        found.append((reading, len(values)))
    (first, before), (second, after) = found
    deviation = sqrt((first.deviation**2 + second.deviation**2) / 2)
    return _Read(first.error**2 + second.error**2, deviation, min(before, after))


def _mostly(run: ChosenRun) -> str:
    """Return the rate at which nearly all of a call's time is spent: decoding, but for a prompt alone."""
    return SPEED_RATES[run.columns["new_tokens"] == 0]


def _read_in_pairs(baseline: ChosenRun, run: ChosenRun, timed: Readings) -> _Read | None:
    """Return what two runs read over the same pictures or clips."""
    ratio = ratio_of_totals(*(timed.get(side.id, {}).get("latency_seconds", ()) for side in (baseline, run)))
    if ratio is None or ratio.low is None or ratio.high is None:
        return None
    variance = (log(ratio.high / ratio.low) / (2 * _Z)) ** 2
    return _Read(variance, sqrt(variance * ratio.n / 2), ratio.n)


def _difference(metric: str, baseline: ChosenRun, run: ChosenRun, values: Values) -> Change | None:
    before, after = baseline.columns[metric], run.columns[metric]
    if before is None or after is None:
        return None
    plain = Change(metric, before, after, "difference", after - before)
    by_run = values.get(metric, {})
    items = by_run.get(baseline.id, {}), by_run.get(run.id, {})
    common = items[0].keys() & items[1].keys()
    if common:
        paired = paired_difference(*items)
        means = [sum(side[item] for item in common) / len(common) for side in items]
        _, mean, low, high, p_value, method = paired
        change = Change(metric, means[0], means[1], "difference", mean, low, high, paired.items, p_value, method)
        changed = sum(items[0][item] != items[1][item] for item in common)
        return replace(change, least=_least(changed) / len(common)) if method == "newcombe" else change
    errors = baseline.columns["accuracy_stderr"], run.columns["accuracy_stderr"]
    if metric == "accuracy" and None not in errors:
        # Of a foreign harness there are no answers, so nothing is paired.
        half = _Z * sqrt(errors[0] ** 2 + errors[1] ** 2)
        asked = run.columns["items"]
        return replace(plain, low=plain.change - half, high=plain.change + half, n=asked, method="normal")
    return plain


def _least(changed: int) -> int:
    """Return how many more items must get better than worse for McNemar's test, where so many or six changed."""
    changed = max(changed, 6)
    lost = next(lost for lost in range(changed // 2, -1, -1) if mcnemar(changed - lost, lost) <= 0.05)
    return changed - 2 * lost
