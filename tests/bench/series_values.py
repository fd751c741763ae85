"""Series of medians with noise from a seed."""

import numpy as np
from numpy.typing import NDArray


def noisy(*levels: tuple[float, int], variation: float = 0.01, seed: int = 1) -> NDArray[np.float64]:
    """Return readings at each level, so many of them, one level after the other."""
    dice = np.random.default_rng(seed)
    level = np.concatenate([np.full(count, value) for value, count in levels])
    return np.asarray(level * np.exp(dice.normal(0, variation, len(level))))
