"""Evidence that the newest readings of a regime stand on another level, as a likelihood ratio.

The ratio is a Bayes factor: how likely the newest readings are if the level moved, over sizes and moments weighed
beforehand, against how likely they are if it did not. Under noise as the model takes it to be, its expectation is 1
(an e-value), so it exceeds c with a probability of at most 1 / c however often one looks (Ville), and values of many
series may be judged together (`bench.confirmation.needed`).
"""

from __future__ import annotations

from functools import lru_cache
from math import lgamma, log, pi
from typing import TYPE_CHECKING, NamedTuple

from bench.noise import CORRELATIONS, OUTSIDE, Noise, estimate, middle

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: readings before a change without which nothing is judged, in a series' first regime and in a later one
LEAST_HISTORY, LEAST_REGIME = 8, 3
#: how far back a change is looked for, in readings
REACH = 32
#: log evidence where there is too little history to have any
NOTHING = -99.0

#: a change within so many newest readings lies at least so many spreads from the level: the fewer readings, the more.
#: The noise is that of the readings before them, and all of them together reach REACH.
_WINDOWS = ((2, 2.25), (8, 1.75), (REACH, 1.0))
#: beyond it, in spreads, distances count by their logarithm
_LINEAR = 6.0
_FARTHEST = 14.0
#: how far apart the sizes are that are thought of, in spreads
_SIZE_STEP = 0.5
#: in spreads, the half-width of the outliers' distribution, a Cauchy's
_OUTLIERS_WIDTH = 4.0
#: no mean of newest readings is farther from the rest than so many standard errors: nothing to see
_UNREMARKABLE = 2.5


class Evidence(NamedTuple):
    """How much speaks for a change, and for which."""

    #: natural logarithm of the likelihood ratio
    log: float
    #: place of the first reading after the most likely change, counted from the regime's start
    start: int
    #: what one reading after it spoke for it, on average, whatever was thought of it beforehand
    per_reading: float


def evidence_of_change(logs: NDArray[np.float64], prior: Noise | None = None, least_change: float = 0.01) -> Evidence:
    """Return the evidence that the level moved somewhere in the newest half of the readings, or the newest 32.

    `logs`, of shape (n,), are the logarithms of a regime's readings in order of time, `prior` the noise of the regime
    before. Changes smaller than `least_change`, a share, count for nothing.
    """
    import numpy as np

    n = len(logs)
    least = LEAST_HISTORY if prior is None else LEAST_REGIME
    reach = min(REACH, n // 2, n - least)
    best = Evidence(NOTHING, n, 0.0)
    if reach < 1 or _unremarkable(logs, prior):
        return best
    parts, done = [], 0
    for newest, least_spreads in _WINDOWS:
        tail = min(newest, reach)
        if tail <= done:
            break
        noise = estimate(logs[: n - tail], prior)
        sizes, log_weights = _sizes(_least_size(noise, least_change, least_spreads))
        ratios = log_ratios(noise, logs[n - tail - 1 :], sizes)[: tail - done]
        distances = np.arange(tail, done, -1)
        weighed = ratios + log_weights - (np.log(distances + 1) + _log_total())[:, None]
        row, column = divmod(int(weighed.argmax()), len(sizes))
        if weighed[row, column] > best.log:
            distance = int(distances[row])
            best = Evidence(float(weighed[row, column]), n - distance, float(ratios[row, column]) / distance)
        parts.append(weighed.ravel())
        done = tail
    return best._replace(log=_log_sum(np.concatenate(parts)))


def log_ratios(noise: Noise, newest: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log likelihood ratios, of shape (n, sizes): a change by each size at each of the n newest readings.

    `newest`, of shape (1 + n,), begins with the reading before them, `noise` is that of all before, and the sizes of
    change are in spreads (see `compress`).
    """
    import numpy as np

    errors, error_weights = _level_errors()
    rho = np.array(CORRELATIONS)[:, None, None]
    moved_by = np.broadcast_to(sizes, (len(rho), len(sizes)))
    wrong_by = errors / np.sqrt(noise.effective)[:, None]
    shifts = np.concatenate([moved_by, wrong_by], axis=1)[:, None, :]
    weights = np.concatenate([np.zeros(len(sizes)), error_weights]) + noise.log_weights[:, None, None]
    likelihoods = _log_likelihoods(noise, newest, rho, shifts) + weights
    # Over the correlations; then, of no change, over the errors that the level may have.
    top = likelihoods.max(axis=0)
    summed = top + np.log(np.exp(likelihoods - top).sum(axis=0))
    moved, stayed = summed[:, : len(sizes)], summed[:, len(sizes) :]
    top = stayed.max(axis=1)
    return np.asarray(moved - (top + np.log(np.exp(stayed - top[:, None]).sum(axis=1)))[:, None])


def _log_likelihoods(
    noise: Noise, newest: NDArray[np.float64], rho: NDArray[np.float64], shifts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return, of shape (correlations, n, shifts), the log likelihood of the newest from each reading to the end.

    The level is shifted from that reading on. An outlier tells nothing of the reading after it.
    """
    import numpy as np

    spreads = noise.spreads[:, None]
    z = compress((newest[None, :] - noise.level) / spreads)
    before, z = z[:, :-1, None], z[:, 1:, None]
    freedom = noise.freedom[:, None, None]
    scale = np.sqrt(1 - rho**2)
    outlying = noise.outlier_share * _outliers_density(noise, z)
    height = (1 - noise.outlier_share) * _t_heights(noise)[:, None, None]

    def density(residual: NDArray[np.float64], neighbour: NDArray[np.float64]) -> NDArray[np.float64]:
        told = np.abs(neighbour) < OUTSIDE
        width = np.where(told, scale, 1.0)
        r = (residual - rho * np.where(told, neighbour, 0.0)) / width
        return np.exp(-(freedom + 1) / 2 * np.log1p(r * r / freedom)) * (height / width)

    shifted = z - shifts
    likelihoods = np.log(density(shifted, before) + outlying)
    if len(newest) > 2:
        later = np.log(density(shifted[:, 1:], shifted[:, :-1]) + outlying[:, 1:])
        likelihoods[:, :-1] += np.cumsum(later[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(likelihoods)


def compress(spreads: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return distances in spreads, those beyond six by their logarithm, so that none is beyond all sizes thought of."""
    import numpy as np

    far = np.abs(spreads)
    squeezed = np.copysign(_LINEAR + _LINEAR / 2 * np.log(np.maximum(far, _LINEAR) / _LINEAR), spreads)
    return np.clip(np.where(far > _LINEAR, squeezed, spreads), -_FARTHEST, _FARTHEST)


def _outliers_density(noise: Noise, z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the density of outliers at z, of shape (correlations, n, 1): wide, and higher where some were seen."""
    import numpy as np

    wide = 1 / (pi * _OUTLIERS_WIDTH * (1 + (z / _OUTLIERS_WIDTH) ** 2))
    count = len(noise.outliers)
    if not count:
        return np.asarray(wide)
    seen = compress(noise.outliers[None, None, :] / noise.spreads[:, None, None])
    near = np.exp(-0.5 * (z - seen) ** 2).mean(axis=2, keepdims=True) / np.sqrt(2 * pi)
    share = count / (count + 1)
    return np.asarray((1 - share) * wide + share * near)


def _t_heights(noise: Noise) -> NDArray[np.float64]:
    import numpy as np

    return np.exp([lgamma((f + 1) / 2) - lgamma(f / 2) - 0.5 * log(f * pi) for f in noise.freedom.tolist()])


def _least_size(noise: Noise, least_change: float, least: float) -> float:
    import numpy as np

    size = max(least, float(compress(np.array(log(1 + least_change) / noise.spread))))
    return min(round(size * 4) / 4, _FARTHEST - 1)


@lru_cache(maxsize=64)
def _sizes(least: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sizes of change that are thought of, in spreads, up and then down, with their log weights."""
    import numpy as np

    up = np.arange(least, _FARTHEST + 0.01, _SIZE_STEP)
    # Small changes are likelier than large ones, but these are no rarity.
    small = up**-2.0
    weights = 0.75 * small / small.sum() + 0.25 / len(up)
    log_weights = np.log(weights / 2)
    return np.concatenate([up, -up]), np.concatenate([log_weights, log_weights])


@lru_cache(maxsize=1)
def _level_errors() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how wrong the level may be, in standard errors, with the log weights of a normal distribution."""
    import numpy as np

    errors = np.arange(-3, 3.01, 0.5)
    weights = np.exp(-(errors**2) / 2)
    return errors, np.log(weights / weights.sum())


@lru_cache(maxsize=1)
def _log_total() -> float:
    """Return the logarithm of what the weights of all places sum to, so that they sum to 1: a late change is likelier.

    A place so many readings back weighs 1 / (1 + readings).
    """
    return log(sum(1 / (1 + distance) for distance in range(1, REACH + 1)))


def _log_sum(logs: NDArray[np.float64]) -> float:
    import numpy as np

    top = float(logs.max())
    return top + log(float(np.exp(logs - top).sum()))


def _unremarkable(logs: NDArray[np.float64], prior: Noise | None) -> bool:
    """Whether no mean of newest readings stands out from the rest; spares nine of ten a closer look."""
    import numpy as np

    n = len(logs)
    centre = middle(np.sort(logs))
    deviation = 1.4826 * middle(np.sort(np.abs(logs - centre)))
    spread = max(deviation if prior is None else min(deviation, prior.spread), 0.002)
    z = np.clip((logs - centre) / spread, -_LINEAR, _LINEAR)
    count = np.arange(1, n)
    newest = np.cumsum(z[::-1])[:-1]
    apart = np.abs(newest / count - (z.sum() - newest) / (n - count)) * np.sqrt(count * (n - count) / n)
    return bool(apart[:REACH].max() < _UNREMARKABLE)
