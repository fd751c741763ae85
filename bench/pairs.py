"""The difference between two runs over the same items, paired item by item, with its interval."""

import random
from collections.abc import Mapping, Sequence
from math import comb, fsum, sqrt
from typing import Literal, NamedTuple

from bench.statistics import percentile

#: of the interval, as of all others
CONFIDENCE = 0.95
#: two-sided 95 % quantile of the normal distribution
_Z = 1.959963984540054
_RESAMPLES = 2000
_SEED = 20260101


class Difference(NamedTuple):
    """How much better, on average, the other run is than the baseline."""

    #: items that both runs answered
    items: int
    #: mean of other - baseline, in the unit of the scores
    mean: float
    #: 95 % confidence interval of it; None for a single item that is not scored right or wrong
    low: float | None
    high: float | None
    #: two-sided, of McNemar's exact test; None for scores that are not right or wrong
    p_value: float | None
    #: `newcombe` (with McNemar's test) or `bootstrap`
    method: Literal["newcombe", "bootstrap"]


def paired_difference(baseline: Mapping[str, float], other: Mapping[str, float]) -> Difference:
    """Return the difference of two runs' scores by item, over the items that both have.

    Where every score is 0 or 1, the interval is Newcombe's (1998, "Improved confidence intervals for the difference
    between binomial proportions based on paired data", Statistics in Medicine 17, method 10) and the p-value that of
    McNemar's exact test. Otherwise the interval is the percentile interval of 2,000 resamples of the items, drawn from
    a fixed seed, so the same scores give the same figures. Raises ValueError where no item is common.
    """
    # In the order of their names, so that neither run's own order changes the resamples.
    pairs = [(baseline[item], other[item]) for item in sorted(baseline.keys() & other.keys())]
    if not pairs:
        raise ValueError("the two runs have no item in common")
    if all(score in (0, 1) for pair in pairs for score in pair):
        return _of_proportions(pairs)
    differences = [after - before for before, after in pairs]
    low, high = _bootstrap(differences) if len(differences) > 1 else (None, None)
    return Difference(len(pairs), fsum(differences) / len(pairs), low, high, None, "bootstrap")


def _of_proportions(pairs: Sequence[tuple[float, float]]) -> Difference:
    both = sum(before == after == 1 for before, after in pairs)
    gained = sum(before < after for before, after in pairs)
    lost = sum(before > after for before, after in pairs)
    low, high = newcombe(both, gained, lost, len(pairs) - both - gained - lost)
    return Difference(len(pairs), (gained - lost) / len(pairs), low, high, mcnemar(gained, lost), "newcombe")


def newcombe(both: int, first: int, second: int, neither: int) -> tuple[float, float]:
    """Return Newcombe's method 10 interval, at 95 %, of the difference of two paired proportions, first - second.

    The four numbers are of items that are right in both, in the first only, in the second only and in neither.
    """
    n = both + first + second + neither
    p1, p2 = (both + first) / n, (both + second) / n
    (l1, u1), (l2, u2) = wilson(both + first, n), wilson(both + second, n)
    phi = _phi(both, first, second, neither)
    below = (p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2
    above = (u1 - p1) ** 2 - 2 * phi * (u1 - p1) * (p2 - l2) + (p2 - l2) ** 2
    difference = (first - second) / n
    # A rounding error can take a perfect correlation's root below nought, or a bound beyond what is possible.
    return max(difference - sqrt(max(below, 0)), -1), min(difference + sqrt(max(above, 0)), 1)


def _phi(both: int, first: int, second: int, neither: int) -> float:
    """Return the correlation of the paired proportions, corrected for continuity where it is positive."""
    margins = (both + first) * (second + neither) * (both + second) * (first + neither)
    if not margins:
        return 0
    excess = float(both * neither - first * second)
    if excess > 0:
        excess = max(excess - (both + first + second + neither) / 2, 0)
    return excess / sqrt(margins)


def wilson(right: int, n: int) -> tuple[float, float]:
    """Return Wilson's score interval, at 95 %, of a proportion (Wilson 1927)."""
    centre = right + _Z**2 / 2
    half = _Z * sqrt(right * (n - right) / n + _Z**2 / 4)
    return (centre - half) / (n + _Z**2), (centre + half) / (n + _Z**2)


def mcnemar(gained: int, lost: int) -> float:
    """Return the two-sided p-value of McNemar's exact test: of so uneven a split of the items that changed."""
    changed = gained + lost
    tail = sum(comb(changed, k) for k in range(min(gained, lost) + 1))
    # Whole numbers until the end, as 2^-n is no float for a long run.
    return min(2 * tail / 2**changed, 1.0) if changed else 1.0


def _bootstrap(differences: Sequence[float]) -> tuple[float, float]:
    draw = random.Random(_SEED)
    n = len(differences)
    means = [fsum(draw.choices(differences, k=n)) / n for _ in range(_RESAMPLES)]
    outside = (1 - CONFIDENCE) / 2 * 100
    return percentile(means, outside), percentile(means, 100 - outside)
