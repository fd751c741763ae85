"""Changes of level in whole series at once: a history that nobody watched as it grew, imported or older than the watch.

Nothing is measured again here, so what is found is likely, not confirmed. The evidence that a series has changed is a
Bayes factor: one change at any place against none, for normal noise of unknown level and spread and with a g-prior on
the size (Liang et al., 2008, "Mixtures of g priors", section 2), averaged over the places. Without a change its
expectation is 1, so that the series are judged together by the e-Benjamini-Hochberg procedure (Wang and Ramdas, 2022),
which bounds the share of false ones among those reported, however they hang together.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log, sqrt
from typing import TYPE_CHECKING, NamedTuple

from bench.change_points import LEAST_CHANGE, ChangePoint, describe
from bench.noise import LEAST_SPREAD

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: readings that a level has at least: fewer may be outliers
LEAST_LEVEL = 5
#: readings over which an outlier is told from its neighbours, and how far off it lies, in spreads
_NEIGHBOURS, _OUTSIDE = 9, 3.0
#: a larger difference of neighbours, in spreads of these, counts as one of that size
_JUMP = 2.0
#: how large a change is thought to be, in spreads (1 would be the unit-information prior)
_SIZE = 3.0
#: the most that one reading is taken to tell of the next
_MOST_CORRELATION = 0.9
#: of the estimate of that correlation, times the square root of the number of readings
_STANDARD_ERROR = 1.0


class _Split(NamedTuple):
    """The likeliest change of some readings."""

    #: place of the first reading after it
    place: int
    #: natural logarithm of the evidence that there is one, wherever it is
    log_evidence: float


def past_changes(
    series: Mapping[int, NDArray[np.float64]], false_discoveries: float = 0.05, least_change: float = LEAST_CHANGE
) -> dict[int, list[ChangePoint]]:
    """Return the changes of each series in which there are any, in order of time.

    `series` has each one's readings in order of time, positive figures of one unit; what is no finite positive figure
    is left out. Of the series with changes, the share that may have none is at most `false_discoveries`.
    """
    import numpy as np

    logs: dict[int, NDArray[np.float64]] = {}
    splits: dict[int, _Split] = {}
    for key, values in series.items():
        readings = np.log(values[_is_figure(values)])
        if len(readings) >= 2 * LEAST_LEVEL:
            logs[key] = _without_outliers(readings)
            splits[key] = _likeliest(logs[key])
    least = least_log_evidence([each.log_evidence for each in splits.values()], false_discoveries)
    found = {}
    for key, split in splits.items():
        if split.log_evidence >= least:
            changes = _changes(series[key], logs[key], least, least_change)
            if changes:
                found[key] = changes
    return found


def least_log_evidence(log_evidence: list[float], false_discoveries: float) -> float:
    """Return the log evidence from which on a series counts as changed (e-BH); more than any has where none does."""
    count = len(log_evidence)
    least = float("inf")
    for number, value in enumerate(sorted(log_evidence, reverse=True), start=1):
        asked = log(count / (number * false_discoveries))
        if value >= asked:
            least = asked
    return least


def _changes(
    values: NDArray[np.float64], clipped: NDArray[np.float64], least: float, least_change: float
) -> list[ChangePoint]:
    """Return the changes of one series: split as long as the evidence lasts, then described by the readings."""
    import numpy as np

    places = np.flatnonzero(_is_figure(values))
    logs = np.log(values[places])
    splits = _split(clipped, 0, least)
    bounds = [0, *(split.place for split in splits), len(logs)]
    changes = []
    for number, split in enumerate(splits):
        begin, end = bounds[number], bounds[number + 2]
        found = describe(logs[begin:end], split.place - begin, int(places[split.place]), split.log_evidence)
        if abs(log(found.ratio)) >= log(1 + least_change):
            changes.append(found)
    return changes


def _split(clipped: NDArray[np.float64], begin: int, least: float) -> list[_Split]:
    split = _likeliest(clipped)
    if split.log_evidence < least:
        return []
    here = _Split(begin + split.place, split.log_evidence)
    left, right = clipped[: split.place], clipped[split.place :]
    return [*_split(left, begin, least), here, *_split(right, here.place, least)]


def _is_figure(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    import numpy as np

    with np.errstate(invalid="ignore"):
        return np.asarray(np.isfinite(values) & (values > 0))


def _without_outliers(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the readings, those far from the median of their neighbours moved nearer; a change of level stays."""
    import numpy as np

    half = _NEIGHBOURS // 2
    windows = np.lib.stride_tricks.sliding_window_view(logs, _NEIGHBOURS)
    middles = np.pad(np.partition(windows, half, axis=1)[:, half], half, mode="edge")
    apart = np.abs(logs - middles)
    spread = max(1.4826 * float(np.partition(apart, len(apart) // 2)[len(apart) // 2]), LEAST_SPREAD)
    return np.asarray(np.clip(logs, middles - _OUTSIDE * spread, middles + _OUTSIDE * spread))


def _likeliest(logs: NDArray[np.float64]) -> _Split:
    """Return the likeliest change of readings without outliers."""
    import numpy as np

    n = len(logs)
    if n < 2 * LEAST_LEVEL:
        return _Split(0, float("-inf"))
    before = np.arange(LEAST_LEVEL, n - LEAST_LEVEL + 1)
    centred = logs - logs.mean()
    sums = np.cumsum(centred)[before - 1]
    between = sums * sums * (n / (before * (n - before)))
    best = int(between.argmax())
    place = int(before[best])
    residuals = centred - np.where(np.arange(n) < place, sums[best] / place, -sums[best] / (n - place))
    correlation, variance = _local_noise(logs, residuals)
    worth = max(n * (1 - correlation) / (1 + correlation), 3.0)
    within = np.minimum(float(centred @ centred) - between, n * variance) + n * LEAST_SPREAD**2
    g = _SIZE**2 * worth
    factors = (worth - 2) / 2 * log(1 + g) - (worth - 1) / 2 * np.log1p(g * within / (within + between))
    top = float(factors.max())
    return _Split(place, top + log(float(np.exp(factors - top).mean())))


def _local_noise(logs: NDArray[np.float64], residuals: NDArray[np.float64]) -> tuple[float, float]:
    """Return the correlation of neighbours, and the variance of a reading, rather too large than too small.

    What remains of the likeliest change tells both where it is the only one. Where there are more, differences do:
    those of neighbours have 2 (1 - rho) times the variance of a reading, those of readings two apart 1 + rho times as
    much as these, whatever the levels are. They are less certain, so the smaller correlation counts.
    """
    n = len(logs)
    of_residuals = float(residuals[1:] @ residuals[:-1]) / (float(residuals @ residuals) + n * LEAST_SPREAD**2)
    # Too low by about (1 + 3 rho) / n (Kendall, 1954), more so with a level fitted on either side.
    of_residuals = max(of_residuals, 0.0)
    of_residuals += 2 * (1 + 3 * of_residuals) / n
    neighbours = _square(logs[1:] - logs[:-1])
    of_differences = _square(logs[2:] - logs[:-2]) / neighbours - 1
    correlation = max(min(of_residuals, of_differences), 0.0) + _STANDARD_ERROR / sqrt(n)
    correlation = min(correlation, _MOST_CORRELATION)
    return correlation, neighbours / (2 * (1 - correlation)) * (1 + 2 / sqrt(n))


def _square(differences: NDArray[np.float64]) -> float:
    """Return the mean square of differences, the largest of which are changes of level and count for less."""
    import numpy as np

    apart = np.abs(differences)
    usual = max(1.4826 * float(np.partition(apart, len(apart) // 2)[len(apart) // 2]), LEAST_SPREAD)
    apart = np.minimum(apart, _JUMP * usual)
    return float(apart @ apart) / len(apart) + LEAST_SPREAD**2
