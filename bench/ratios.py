"""The ratio between two runs' times over the same calls, with its interval."""

import random
from collections.abc import Sequence
from math import fsum
from typing import NamedTuple

from bench.pairs import CONFIDENCE
from bench.statistics import percentile

#: below it the resamples reach less far than their interval should
LEAST_READINGS = 5
_RESAMPLES = 2000
_SEED = 20260101


class Ratio(NamedTuple):
    """How many times the baseline the other run is."""

    #: pairs of readings
    n: int
    #: other / baseline
    value: float
    #: 95 % confidence interval of it; None where there are fewer than five readings
    low: float | None
    high: float | None


def ratio_of_totals(baseline: Sequence[float], other: Sequence[float]) -> Ratio | None:
    """Return the ratio of two sums of readings that belong to each other: of the same clip, the same picture.

    The interval is the percentile interval of 2,000 resamples of the pairs. None where there is no reading, one that
    is not positive, or one that has no partner.
    """
    if not baseline or len(baseline) != len(other) or min(*baseline, *other) <= 0:
        return None
    pairs = list(zip(baseline, other, strict=True))
    value = fsum(other) / fsum(baseline)
    if len(pairs) < LEAST_READINGS:
        return Ratio(len(pairs), value, None, None)
    draw = random.Random(_SEED)
    ratios = []
    for _ in range(_RESAMPLES):
        chosen = draw.choices(pairs, k=len(pairs))
        ratios.append(sum(after for _, after in chosen) / sum(before for before, _ in chosen))
    return Ratio(len(pairs), value, *_interval(ratios))


def _interval(ratios: Sequence[float]) -> tuple[float, float]:
    outside = (1 - CONFIDENCE) / 2 * 100
    return percentile(ratios, outside), percentile(ratios, 100 - outside)
