"""Whether a run is warm: whether the latencies of its iterations have come to a steady state.

Few iterations can be afforded, and their noise has no known distribution. So the earlier half of those that count is
compared with the later half, by ranks (Mann and Whitney 1947): the run is not warm where the halves can be told apart
and their medians differ by more than what is asked to be known. What is not warm is cut off at the beginning, as
simulations are truncated (White 1997, MSER), up to a cap, since many programs never get steady (Barrett and others
2017, "Virtual machine warmup blows hot and cold", arXiv:1602.00602; Kalibera and Jones 2013, "Rigorous benchmarking in
reasonable time"). A pattern that repeats itself is steady.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import lru_cache
from math import comb, sqrt
from statistics import NormalDist

from bench.statistics import median

#: fewer values tell nothing: two halves of two lie apart by chance in one of three cases
FEWEST = 6
#: how often halves that are alike may be told apart by chance; those of three and four must lie wholly apart, which
#: happens in 10 % and 3 % of the cases
LEVEL = 0.01

#: halves up to this size are judged exactly, larger ones by the normal approximation
_EXACT = 20


def is_steady(latencies: Sequence[float], tolerance: float) -> bool | None:
    """Return whether a series of latencies, in their order, is steady; None for fewer than FEWEST.

    It is not where the halves (of an odd number, without the one in the middle) differ by the Mann-Whitney test, and
    their medians by more than `tolerance`, a fraction of the later one. Slower later on counts as well as faster.
    """
    half = len(latencies) // 2
    if len(latencies) < FEWEST:
        return None
    earlier, later = latencies[:half], latencies[-half:]
    usual = median(later)
    if abs(median(earlier) - usual) <= tolerance * usual:
        return True
    slower = _times_above(earlier, later)
    return min(slower, half * half - slower) > _critical(half)


def _times_above(values: Sequence[float], others: Sequence[float]) -> float:
    """Return Mann and Whitney's U: how many pairs have the larger value in `values`; equal ones count a half."""
    ordered = sorted(others)
    return sum(bisect_left(ordered, value) + bisect_right(ordered, value) for value in values) / 2


@lru_cache(maxsize=1024)
def _critical(half: int) -> int:
    """Return the largest U that tells two halves apart; 0, wholly apart, does so for every size."""
    if half > _EXACT:
        return int(half * half / 2 + NormalDist().inv_cdf(LEVEL / 2) * sqrt(half * half * (2 * half + 1) / 12))
    ways = _ways(half, half)
    left = comb(2 * half, half) * LEVEL / 2 - ways[0]
    critical = 0
    while left >= ways[critical + 1]:
        critical += 1
        left -= ways[critical]
    return critical


@lru_cache(maxsize=1024)
def _ways(first: int, second: int) -> tuple[int, ...]:
    """Return how many orders of so many values of two kinds have U = 0, 1, 2 ..., by the kind of the largest value."""
    if first == 0 or second == 0:
        return (1,)
    ways = [*_ways(first, second - 1), *(0 for _ in range(first))]
    for u, count in enumerate(_ways(first - 1, second), start=second):
        ways[u] += count
    return tuple(ways)
