"""Student's t distribution, and the functions that the fitting of a variance needs, without a numerical library."""

from collections.abc import Callable
from functools import lru_cache
from math import exp, lgamma, log, log1p

_STEPS = 500
_TINY = 1e-300
_CLOSE = 1e-14
#: below it the series of digamma and trigamma are too short
_ASYMPTOTIC = 8.0


def two_sided(t: float, freedom: float) -> float:
    """Return how likely a value at least as far from nought as t is, of so many degrees of freedom (any above 0)."""
    if freedom <= 0:
        raise ValueError(f"degrees of freedom are above 0, not {freedom}")
    # t * t alone would overflow, and lose what a small t leaves of it.
    share = 1 / (1 + (t / freedom) * t) if abs(t) < 1e100 else 0.0
    return _beta(share, freedom / 2, 0.5)


@lru_cache(maxsize=4096)
def quantile(p_value: float, freedom: float) -> float:
    """Return the t of which `two_sided` is that p-value, from above 0 to 1."""
    if not 0 < p_value <= 1:
        raise ValueError(f"a p-value lies above 0 and up to 1, not {p_value}")
    high = 1.0
    while two_sided(high, freedom) > p_value:
        high *= 2
    return _root(lambda t: two_sided(t, freedom) - p_value, 0.0, high)


def digamma(x: float) -> float:
    """Return the derivative of log gamma, for x above 0 (Abramowitz and Stegun 6.3.5, 6.3.18)."""
    value = 0.0
    while x < _ASYMPTOTIC:
        value -= 1 / x
        x += 1
    square = 1 / (x * x)
    return value + log(x) - 0.5 / x - square * (1 / 12 - square * (1 / 120 - square * (1 / 252 - square / 240)))


def trigamma(x: float) -> float:
    """Return the derivative of digamma, for x above 0 (Abramowitz and Stegun 6.4.6, 6.4.12)."""
    value = 0.0
    while x < _ASYMPTOTIC:
        value += 1 / (x * x)
        x += 1
    square = 1 / (x * x)
    tail = square * (1 / 6 - square * (1 / 30 - square * (1 / 42 - square / 30)))
    return value + 1 / x + square / 2 + tail / x


def trigamma_inverse(y: float) -> float:
    """Return the x of which trigamma is y, for y from 1e-7 to 1e7."""
    low, high = 1e-4, 1e8
    return exp(_root(lambda power: y - trigamma(exp(power)), log(low), log(high)))


def _root(rising_or_falling: Callable[[float], float], low: float, high: float) -> float:
    """Return where a monotone function crosses nought between two points, by halving."""
    is_rising = rising_or_falling(high) > 0
    for _ in range(200):
        middle = (low + high) / 2
        if high - low <= _CLOSE * abs(middle):
            break
        if (rising_or_falling(middle) > 0) == is_rising:
            high = middle
        else:
            low = middle
    return (low + high) / 2


def _beta(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function (DLMF 8.17.22, by Lentz's method)."""
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(1 - x, b, a)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) / a
    c, d = 1.0, 1 / _not_nought(1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, _STEPS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _not_nought(1 + term * d)
            c = _not_nought(1 + term / c)
            fraction *= c * d
        if abs(c * d - 1) < _CLOSE:
            break
    return front * fraction


def _not_nought(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
