"""Statistics of small samples: medians with their intervals, percentiles that are earned, figures over items."""

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from math import comb, fsum, sqrt


def median(values: Sequence[float]) -> float:
    """Return the middle value, or the mean of the two in the middle. Raises ValueError for no values."""
    if not values:
        raise ValueError("no values have a median")
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def median_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float] | None:
    """Return a confidence interval of the median, whatever the distribution: the k-th smallest and k-th largest value.

    k is the largest rank for which a Binomial(n, 1/2) count leaves at most 1 - confidence outside (David and
    Nagaraja, Order Statistics, section 7.1). None where n is too small for that: 95 % takes 6 values.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}")
    rank = _interval_rank(len(values), confidence)
    if rank == 0:
        return None
    ordered = sorted(values)
    return ordered[rank - 1], ordered[-rank]


@lru_cache(maxsize=4096)
def _interval_rank(n: int, confidence: float) -> int:
    """Return the largest k with 2 P(Binomial(n, 1/2) < k) <= 1 - confidence, 0 where there is none."""
    # Whole numbers, as 2^-n is no float for a long run.
    budget = int(Fraction(1 - confidence) * 2**n / 2)
    k, term, total = 0, 1, 1
    while total <= budget:
        term = term * (n - k) // (k + 1)
        k += 1
        total += term
    return k


def percentile(values: Sequence[float], q: float) -> float:
    """Return the q-th percentile, q from 0 to 100 in percent, interpolating linearly between neighbours.

    Raises ValueError for no values, and for a q outside the range or between 0 and 1, which is taken for a fraction.
    """
    if not values:
        raise ValueError("no values have a percentile")
    if not 0 <= q <= 100 or 0 < q < 1:
        raise ValueError(f"q is a percentage from 0 to 100 (99 for p99), not {q}")
    ordered = sorted(values)
    place = (len(ordered) - 1) * q / 100
    below = min(int(place), len(ordered) - 1)
    low, high = ordered[below], ordered[min(below + 1, len(ordered) - 1)]
    return min(low + (high - low) * (place - below), high)


def earned_percentile(values: Sequence[float], q: float) -> float | None:
    """Return the q-th percentile where there are values enough to know it, else None. See `percentile`.

    The rule is MLPerf loadgen's early stopping at 99 % confidence with one value allowed beyond: n is enough when
    P(Binomial(n, 1 - q) <= 1) <= 0.01, which takes 11 values for p50, 64 for p90, 130 for p95 and 662 for p99.
    """
    needed = values_needed(q)
    return percentile(values, q) if needed is not None and len(values) >= needed else None


@lru_cache(maxsize=256)
def values_needed(q: float) -> int | None:
    """Return how many values earn the q-th percentile (see `earned_percentile`); None for the extremes, 0 and 100."""
    beyond = min(q, 100 - q) / 100
    if beyond <= 0:
        return None
    n = 2
    while (1 - beyond) ** n + n * beyond * (1 - beyond) ** (n - 1) > 0.01:
        n += 1
    return n


def mean_and_stderr(scores_by_item: Mapping[str, Sequence[float]]) -> tuple[float, float | None]:
    """Return the mean of the items' mean scores and its standard error, clustered by item.

    Asking an item again tells more about that item, not about more items, so the error is that of the mean of item
    means, with n - 1 (Miller 2024, "Adding error bars to evals", arXiv:2411.00640); None for a single item.
    Raises ValueError where there are no items, or one has no scores.
    """
    if not scores_by_item or not all(scores_by_item.values()):
        raise ValueError("every item needs a score, and there must be an item")
    means = [fsum(scores) / len(scores) for scores in scores_by_item.values()]
    n = len(means)
    mean = fsum(means) / n
    if n == 1:
        return mean, None
    variance = fsum((m - mean) ** 2 for m in means) / (n - 1)
    return mean, sqrt(variance / n)


def consistency(keys_by_item: Mapping[str, Sequence[str | None]]) -> float | None:
    """Return how often two answers to the same item agree, 0 to 1: the mean over items of the share of agreeing pairs.

    Answers agree where their keys are equal (see `bench.scoring.agreement_key`); None agrees with nothing, not even
    with None. Items asked once are left out; None where all were.
    """
    shares = []
    for keys in keys_by_item.values():
        pairs = comb(len(keys), 2)
        if pairs:
            alike = Counter(key for key in keys if key is not None)
            shares.append(sum(comb(count, 2) for count in alike.values()) / pairs)
    return fsum(shares) / len(shares) if shares else None
