"""The noise of a regime: the readings of a series between two changes, as logarithms of positive figures.

Its level, its spread, how much one reading tells of the next, and how often a reading lies outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: correlations of neighbouring readings that are thought possible, each weighed by how well it fits (see `estimate`)
CORRELATIONS = (0.0, 0.3, 0.6)
_PRIOR_OF_CORRELATIONS = (0.6, 0.25, 0.15)
#: a reading farther from the level than so many spreads is an outlier
OUTSIDE = 4.0
#: spread that a short history is taken to have at least, and the number of readings that this belief is worth
_PRIOR_SPREAD = 0.01
_PRIOR_READINGS = 4.0
#: no spread is smaller: clocks and rounding
LEAST_SPREAD = 0.002
#: outliers in so many readings, believed before any was looked at
_PRIOR_OUTLIERS, _PRIOR_LOOKS = 3.0, 60.0
#: what an earlier regime of the same series is worth, in readings, as a prior for the next
_CARRIED_READINGS = 20.0


@dataclass(frozen=True, slots=True)
class Noise:
    """The noise of a regime; arrays have one value for each of CORRELATIONS."""

    #: mean of the readings that lie inside, a logarithm
    level: float
    #: logarithms of the weights of the correlations, which sum to 1
    log_weights: NDArray[np.float64]
    #: standard deviation of a reading that lies inside, of the logarithm
    spreads: NDArray[np.float64]
    #: degrees of freedom with which the spread is known
    freedom: NDArray[np.float64]
    #: how many independent readings the level is worth
    effective: NDArray[np.float64]
    #: share of the readings that lie outside, as a posterior mean; never 0
    outlier_share: float
    #: distances of the outliers from the level, of the logarithm
    outliers: NDArray[np.float64]

    @property
    def spread(self) -> float:
        """The spread, averaged over the correlations."""
        import numpy as np

        return float(np.exp(self.log_weights) @ self.spreads)

    @property
    def independent_share(self) -> float:
        """How many independent readings one reading is worth, 0 to 1."""
        import numpy as np

        rho = np.array(CORRELATIONS)
        return float(np.exp(self.log_weights) @ ((1 - rho) / (1 + rho)))


def middle(ordered: NDArray[np.float64]) -> float:
    """Return the median of values in order; several times as fast as numpy's."""
    half = len(ordered) // 2
    return float(ordered[half]) if len(ordered) % 2 else float(ordered[half - 1] + ordered[half]) / 2


def estimate(logs: NDArray[np.float64], prior: Noise | None = None) -> Noise:
    """Return the noise of the readings, of shape (n,) with n >= 1, in order of time.

    Outliers are told by their distance from the median in units of the median absolute deviation, and level and spread
    are taken from the rest. The correlations are weighed by the profile likelihood of a first-order autoregression.
    `prior` is the noise of the series' earlier regime: its spread, correlation and outliers go on, its level does not.
    """
    import numpy as np

    believed, worth = (_PRIOR_SPREAD, _PRIOR_READINGS) if prior is None else _carried(prior)
    n = len(logs)
    centre = middle(np.sort(logs))
    distances = np.abs(logs - centre)
    deviation = 1.4826 * middle(np.sort(distances))
    inside = distances <= OUTSIDE * sqrt((n * deviation**2 + worth * believed**2) / (n + worth))
    level = float(logs[inside].mean())
    residuals = np.where(inside, logs - level, 0.0)
    squares = float(residuals @ residuals)
    count = int(inside.sum())

    rho = np.array(CORRELATIONS)
    inflation = (1 + rho) / (1 - rho)
    log_weights = _weigh(residuals, rho, worth * believed**2, prior)
    freedom = np.maximum(count - inflation, 1.0)
    variance = (squares + worth * believed**2) / (freedom + worth)
    if prior is None:
        # The belief in a usual spread keeps a short quiet history from looking exact; it never narrows a wide one.
        variance = np.maximum(variance, squares / freedom)
    effective = count / inflation
    seen = n - count + (_PRIOR_OUTLIERS if prior is None else prior.outlier_share * _PRIOR_LOOKS)
    outliers = logs[~inside] - level
    return Noise(
        level=level,
        log_weights=log_weights,
        spreads=np.maximum(np.sqrt(variance), LEAST_SPREAD),
        freedom=np.maximum(effective - 1, 1.0) + worth,
        effective=effective,
        outlier_share=seen / (n + _PRIOR_LOOKS),
        outliers=outliers if prior is None else np.concatenate([prior.outliers, outliers]),
    )


def _carried(prior: Noise) -> tuple[float, float]:
    return prior.spread, min(float(prior.freedom[0]), _CARRIED_READINGS)


def _weigh(
    residuals: NDArray[np.float64], rho: NDArray[np.float64], believed_squares: float, prior: Noise | None
) -> NDArray[np.float64]:
    import numpy as np

    now, before = residuals[1:], residuals[:-1]
    n = len(now)
    innovations = (now @ now - 2 * rho * (now @ before) + rho**2 * (before @ before)) / (1 - rho**2)
    start = np.log(_PRIOR_OF_CORRELATIONS) if prior is None else prior.log_weights
    fit = -(n / 2) * np.log((innovations + believed_squares) * (1 - rho**2))
    weights = np.exp(fit + start - np.max(fit + start))
    logs: NDArray[np.float64] = np.log(weights / weights.sum() + 1e-12)
    return logs
