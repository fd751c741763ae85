"""Changes of level in a series of medians: where, how large, and whether it was a step or a drift."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, isfinite, log, sqrt
from typing import TYPE_CHECKING, Literal, NamedTuple

from bench.noise import Noise, estimate, middle
from bench.student import quantile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: a smaller change is none: 1 %
LEAST_CHANGE = 0.01
#: a drift must explain the readings so much better than a step (log likelihood ratio), over so many readings
_DRIFT_BY, _DRIFT_OVER = 3.0, 8
#: variance of a median of n normal readings, in units of the variance of a mean, for n = 1, 2, ...; pi / 2 in the end
_MEDIAN_VARIANCE = (1.0, 1.0, 1.35, 1.19, 1.43, 1.29, 1.47)


class ChangePoint(NamedTuple):
    """A change of a series' level."""

    #: place of the first reading after the change, among the values as given
    place: int
    #: medians of the readings on either side, up to the changes next to it
    before: float
    after: float
    #: after / before, with its 95 % interval
    ratio: float
    low: float
    high: float
    #: natural logarithm of the evidence, a likelihood ratio of expectation 1 without a change: see `bench.evidence`
    log_evidence: float
    #: `drift` where a slope explains the readings better than a step does
    kind: Literal["step", "drift"]
    #: a drift that was already under way at the change before: one finding with it, no new alert
    goes_on: bool

    @property
    def p_value(self) -> float:
        """How probable so much evidence is at most without a change: 1 / evidence (Markov's inequality)."""
        return exp(-max(self.log_evidence, 0.0))


def logarithms(values: Sequence[float | None]) -> tuple[NDArray[np.float64], list[int]]:
    """Return the logarithms of the values, and their places; what is no finite positive figure is left out."""
    import numpy as np

    places = [place for place, value in enumerate(values) if value is not None and isfinite(value) and value > 0]
    return np.log([float(values[place] or 1.0) for place in places]), places


def describe(
    logs: NDArray[np.float64], start: int, place: int, log_evidence: float, prior: Noise | None = None
) -> ChangePoint:
    """Return the change at `start` of the two regimes that `logs` holds; `place` is where it is among all values."""
    import numpy as np

    before, after = logs[:start], logs[start:]
    levels = middle(np.sort(before)), middle(np.sort(after))
    noise = estimate(before, prior) if len(before) >= len(after) or prior is not None else estimate(after)
    half = (
        quantile(0.05, float(noise.freedom[0]))
        * noise.spread
        * sqrt(_variance(len(before), noise) + _variance(len(after), noise))
    )
    change = levels[1] - levels[0]
    hinge = _hinge(logs, start, noise)
    return ChangePoint(
        place=place,
        before=exp(levels[0]),
        after=exp(levels[1]),
        ratio=exp(change),
        low=exp(change - half),
        high=exp(change + half),
        log_evidence=log_evidence,
        kind="step" if hinge is None else "drift",
        goes_on=hinge is not None and hinge <= 1 and prior is not None,
    )


def _variance(n: int, noise: Noise) -> float:
    """Return the variance of a median of n readings in units of one reading's."""
    share = _MEDIAN_VARIANCE[n - 1] if n <= len(_MEDIAN_VARIANCE) else 1.57
    return share / max(n * noise.independent_share, 1.0)


def _hinge(logs: NDArray[np.float64], start: int, noise: Noise) -> int | None:
    """Return where a slope begins that explains the readings better than a step at `start`; None where none does."""
    import numpy as np

    n = len(logs)
    if n - start < _DRIFT_OVER // 2 or n < _DRIFT_OVER:
        return None
    step = np.where(np.arange(n) < start, middle(np.sort(logs[:start])), middle(np.sort(logs[start:])))
    inside = np.abs(logs - step) <= 4 * noise.spread
    y, t = logs[inside], np.arange(n)[inside]
    if len(y) < _DRIFT_OVER:
        return None
    of_step = sum(float(np.var(part) * len(part)) for part in (y[t < start], y[t >= start]) if len(part))
    hinges = np.unique(np.linspace(0, n - _DRIFT_OVER, 33).astype(int))
    ramps = np.maximum(t - hinges[:, None], 0.0)
    ramps -= ramps.mean(axis=1, keepdims=True)
    centred = y - y.mean()
    of_slopes = centred @ centred - (ramps @ centred) ** 2 / (ramps**2).sum(axis=1)
    best = int(of_slopes.argmin())
    floor = len(y) * noise.spread**2 * 1e-3
    gain = len(y) / 2 * log((of_step + floor) / (float(of_slopes[best]) + floor)) * noise.independent_share
    return int(hinges[best]) if gain > _DRIFT_BY else None
