"""How far runs of the same thing lie apart, and whether two sides of runs lie further apart than that.

The readings of one run tell how well its own median is known, not what the next run of the same job will give: another
process, another hour. So the run is what is counted here, and its figure one value. All values are natural logarithms,
so that a difference is a ratio.
"""

from collections.abc import Iterable, Sequence
from math import exp, expm1, fsum, log, pi, sqrt
from typing import NamedTuple

from bench.statistics import median, median_interval
from bench.student import digamma, quantile, trigamma, trigamma_inverse, two_sided

#: two sides are called different where chance alone would set them so far apart less often than this
LEVEL = 0.01
#: of the intervals, which agree with the verdict
CONFIDENCE = 1 - LEVEL
#: so many series, with so many degrees of freedom together, must have a spread before another one is judged by them
LEAST_SERIES = 3
LEAST_FREEDOM = 12
#: of the side that has fewer, each run is worth at most so many degrees of freedom: runs on real machines stray further
#: than a normal distribution has it, and the mean of several less so (by the A/A runs of tests/aa)
MOST_FREEDOM = 3.0
#: degrees of freedom that a spread is worth which nothing was measured for
ASSUMED_FREEDOM = 3.0
#: the standard deviation that is assumed then: so many times that of single readings, within these bounds
ASSUMED_TIMES = 1.5
ASSUMED_LEAST = 0.02
ASSUMED_MOST = 0.3
#: what lies further apart is not told apart, as a logarithm
MOST = log(100)
#: two-sided 95 % quantile of the normal distribution, as of `median_interval`
_Z = 1.959963984540054
#: the least that a variance counts for beside the others, as a share of their median
_FLOOR = 1e-5


class Spread(NamedTuple):
    """How far runs of the same thing lie apart."""

    #: of the logarithm
    variance: float
    #: degrees of freedom: how well the variance is known
    freedom: float


class Reading(NamedTuple):
    """What a run's own readings tell about its median."""

    #: standard error of the median's logarithm
    error: float
    #: standard deviation of one reading's logarithm
    deviation: float


class RunRatio(NamedTuple):
    """How many times the baseline the other side is, and whether that can be chance."""

    #: other / baseline, of the geometric means of their runs
    value: float
    #: ends of the 99 % interval
    low: float
    high: float
    p_value: float
    #: the least change that would have been called one, a share
    smallest: float
    #: degrees of freedom of the test
    freedom: float


def spread_within(groups: Iterable[Sequence[float]]) -> Spread | None:
    """Return the spread within groups of runs that were alike, pooled; None where no group has two runs."""
    squares, freedom = [], 0
    for group in groups:
        mean = fsum(group) / len(group) if group else 0.0
        squares += [(value - mean) ** 2 for value in group]
        freedom += max(len(group) - 1, 0)
    return Spread(fsum(squares) / freedom, freedom) if freedom else None


def prior_of(spreads: Sequence[Spread]) -> Spread | None:
    """Return what the spreads of other series say about one that has few runs; None for fewer than three of them.

    The fit of a scaled F distribution to the variances by the moments of their logarithms (Smyth 2004, "Linear models
    and empirical Bayes methods", Statistical Applications in Genetics and Molecular Biology 3, section 6.2): the more
    the series differ in their spread, the fewer degrees of freedom. There are never more than there are series.
    """
    if len(spreads) < LEAST_SERIES:
        return None
    least = _FLOOR * median([each.variance for each in spreads])
    if least <= 0:
        return None
    logs = [log(max(each.variance, least)) - digamma(each.freedom / 2) + log(each.freedom / 2) for each in spreads]
    mean = fsum(logs) / len(logs)
    differing = fsum((each - mean) ** 2 for each in logs) / (len(logs) - 1)
    differing -= fsum(trigamma(each.freedom / 2) for each in spreads) / len(spreads)
    freedom = 2 * trigamma_inverse(max(differing, 1e-6))
    variance = exp(mean + digamma(freedom / 2) - log(freedom / 2))
    return Spread(variance, min(freedom, float(len(spreads))))


def assumed_spread(deviation: float) -> Spread:
    """Return the spread to be reckoned with where nothing is known but what single readings differ by."""
    return Spread(min(max(ASSUMED_TIMES * deviation, ASSUMED_LEAST), ASSUMED_MOST) ** 2, ASSUMED_FREEDOM)


def moderated(own: Spread | None, prior: Spread) -> Spread:
    """Return a spread that stands on its own runs and on what was known before, each by its degrees of freedom."""
    if own is None:
        return prior
    freedom = own.freedom + prior.freedom
    return Spread((own.freedom * own.variance + prior.freedom * prior.variance) / freedom, freedom)


def reading_of(low: float, high: float, count: int) -> Reading | None:
    """Return what the 95 % interval of a median of so many readings tells; None for one that is not positive."""
    if low <= 0 or high < low or count < 1:
        return None
    error = log(high / low) / (2 * _Z)
    # A median's standard error is sqrt(pi / 2) times the mean's.
    return Reading(error, error * sqrt(count * 2 / pi))


def reading_of_values(values: Sequence[float]) -> Reading | None:
    """Return what a run's readings tell; None for fewer than six."""
    interval = median_interval(values)
    return None if interval is None else reading_of(*interval, len(values))


def ratio_of_runs(
    baseline: Sequence[float], other: Sequence[float], spread: Spread, least_variance: float = 0.0
) -> RunRatio | None:
    """Compare two sides of runs by a t-test with the spread's degrees of freedom, though never very many.

    With a moderated spread that is Smyth's moderated t. `least_variance` is what is known of the difference's variance
    from the readings alone: it is never taken for less. None where not even a hundredfold change could be shown.
    Raises ValueError for a side without runs.
    """
    if not baseline or not other:
        raise ValueError("both sides need a run")
    difference = fsum(other) / len(other) - fsum(baseline) / len(baseline)
    error = sqrt(max(spread.variance * (1 / len(baseline) + 1 / len(other)), least_variance))
    freedom = min(spread.freedom, MOST_FREEDOM * min(len(baseline), len(other)))
    reach = quantile(LEVEL, freedom) * error
    if reach > MOST:
        return None
    p_value = two_sided(difference / error, freedom) if error else float(difference == 0)
    return RunRatio(exp(difference), exp(difference - reach), exp(difference + reach), p_value, expm1(reach), freedom)
