"""What a comparison says of each change, in words, and by which tests."""

from collections import Counter
from collections.abc import Sequence

from bench.pairs import CONFIDENCE
from bench.replicates import CONFIDENCE as TIMES_CONFIDENCE
from bench.replicates import LEVEL
from db.changes import Change
from db.compare import Line

NOTHING_SHOWN = "no difference shown"
NOT_ENOUGH_RUNS = "not enough runs to tell"
#: what a t-test's spread from run to run is taken from
_BASES = {
    "history": "earlier runs of the same series",
    "machine": "the machine's other series, for want of earlier runs",
    "assumed": "single readings, for want of any runs",
}
#: with fewer items the bootstrap's interval is too narrow
_ENOUGH = 20
#: so many comparisons mislead by their number
_MANY = 20
#: of the tests of quality
_QUALITY_LEVEL = 0.05
#: figures of which less is faster
_TIMES = ("ttft_seconds", "latency_seconds", "real_time_factor")
_RATES = ("decode_tokens_per_second", "prefill_tokens_per_second")


def verdict(change: Change) -> str | None:
    """Return what the data show, in words; None for a figure that has no interval."""
    if change.low is None or change.high is None:
        return None
    if change.method == "bootstrap" and change.kind == "difference" and (change.n or 0) < _ENOUGH:
        return "too few items"
    if change.metric == "accuracy" and change.smallest is not None and change.smallest > 1:
        return "too few items"
    nothing = 1 if change.kind == "ratio" else 0
    least_p = LEVEL if change.kind == "ratio" else _QUALITY_LEVEL
    if change.low <= nothing <= change.high or (change.p_value is not None and change.p_value > least_p):
        return NOT_ENOUGH_RUNS if change.basis == "assumed" else NOTHING_SHOWN
    is_more = change.low > nothing
    if change.metric in _RATES:
        return "faster" if is_more else "slower"
    if change.metric in _TIMES:
        return "slower" if is_more else "faster"
    return "better" if is_more else "worse"


def confidence(change: Change) -> float | None:
    """Return the confidence of a change's interval; None without one."""
    if change.low is None:
        return None
    return TIMES_CONFIDENCE if change.kind == "ratio" else CONFIDENCE


def speed_of(line: Line) -> Change | None:
    """Return the change that says how fast a run was: of decoding, else of a call's time, else of the prompt."""
    rates = "decode_tokens_per_second", "latency_seconds", "prefill_tokens_per_second"
    names = rates if line.run.is_speed else ("latency_seconds",)
    found = [line.changes[name] for name in names if name in line.changes]
    return next((change for change in found if change.low is not None), found[0] if found else None)


def faster(value: float | None, change: Change) -> float | None:
    """Return a ratio as that of speeds, whatever it is a ratio of."""
    if value is None or change.metric not in _TIMES:
        return value
    return 1 / value if value else None


def speed_verdict(line: Line, change: Change | None) -> str | None:
    """Return what a line's speed shows, with the least that could have been shown where that is nothing."""
    if line.is_baseline:
        return "baseline"
    if change is None:
        return None
    said = verdict(change) or ("too few readings" if change.method is None else NOT_ENOUGH_RUNS)
    if said in (NOTHING_SHOWN, NOT_ENOUGH_RUNS) and change.smallest is not None:
        said += f" ({_percent(change.smallest)})"
    first = line.changes.get("ttft_seconds")
    if first is not None and line.run.is_speed and (word := verdict(first)) in ("faster", "slower") and word != said:
        said += f"; first token {word}"
    return said


def quality_verdict(line: Line, change: Change | None) -> str | None:
    """Return what a line's accuracy shows, with the least that could have been shown where that is nothing."""
    if line.is_baseline:
        return "baseline"
    if change is None:
        return None
    said = verdict(change) or "too few items"
    return f"{said} ({change.smallest:.2g})" if said == NOTHING_SHOWN and change.smallest is not None else said


def speed_methods(lines: Sequence[Line], changes: Sequence[Change], speed: str) -> list[str]:
    """Return what is to be said below a table of speed: what `speed` in it is, and how it was tested."""
    below = [f"speed: {speed}; in brackets the least change that could have been shown."]
    bases = Counter(change.basis for change in changes if change.basis is not None)
    if bases:
        from_what = [
            _BASES[basis] + ("" if len(bases) == 1 else f" ({count} {'line' if count == 1 else 'lines'})")
            for basis, count in sorted(bases.items(), key=lambda each: list(_BASES).index(each[0]))
        ]
        below.append(
            "Test: moderated t-test at the 1 % level, on the logarithm of each run's median. How far runs of one thing "
            f"lie apart is taken from {'; '.join(from_what)}."
        )
    if sum(bases.values()) >= _MANY:
        below.append(_by_chance(sum(bases.values()), LEVEL))
    pruned = {run.id for line in lines for run in (line.run, line.baseline) if run.columns["samples_pruned_at"]}
    if pruned:
        below.append(
            f"The samples of {len(pruned)} {'run' if len(pruned) == 1 else 'runs'} were pruned; "
            "the stored interval of the latency stands for them."
        )
    return below


def _by_chance(count: int, level: float) -> str:
    share = f"{100 - level * 100:.0f} %"
    return f"Of {count} intervals of {share}, about {round(count * level)} leave no change out by chance alone."


def quality_methods(changes: Sequence[Change]) -> list[str]:
    """Return what is to be said below a table of quality: how it was tested."""
    said = {
        "newcombe": "Test, of scores of 0 and 1: McNemar's exact test at the 5 % level, paired by item, and Newcombe's "
        "interval.",
        "bootstrap": "Test, of other scores: whether the 95 % interval of 2,000 bootstrap resamples, paired by item, "
        "leaves zero out.",
        "normal": "Test, without answers to pair: whether the normal interval of both standard errors leaves zero out.",
    }
    found = list(dict.fromkeys(change.method for change in changes if change.method))
    below = [said[method] for method in found]
    if found:
        below.insert(0, "In brackets: the least change that these items could have shown.")
    if len(changes) >= _MANY:
        below.append(_by_chance(len(changes), _QUALITY_LEVEL))
    return below


def _percent(share: float) -> str:
    """Return a share with two significant digits below 100 %, and whole above."""
    return f"{share * 100:.0f} %" if share >= 0.995 else f"{share * 100:.2g} %"
