"""Quality: one figure from 0 to 10 for how good a run's answers are."""

from math import fsum

#: number of the formula below, stored with each figure: a change of the formula takes the next number
QUALITY_FORMULA = 1

_ACCURACY, _COMPLETED, _CONSISTENCY, _READABILITY = 0.7, 0.1, 0.1, 0.1


def quality(
    *, accuracy: float, completed: float, consistency: float | None = None, readability: float | None = None
) -> float:
    """Return the quality, 0 to 10, by formula 1.

    It is ten times the weighted mean of accuracy (0.7), the share of completed answers (0.1), consistency (0.1) and
    readability / 100 (0.1), over those that were measured, so a run of one sample an item is not marked down for its
    missing consistency. Readability counts where the workload asks for prose; elsewhere leave it out. Raises
    ValueError for a value outside 0 to 1, or outside 0 to 100 for readability.
    """
    parts = [
        (_ACCURACY, accuracy),
        (_COMPLETED, completed),
        *([(_CONSISTENCY, consistency)] if consistency is not None else []),
        *([(_READABILITY, readability / 100)] if readability is not None else []),
    ]
    if not all(0 <= value <= 1 for _, value in parts):
        raise ValueError("accuracy, completed and consistency lie between 0 and 1, readability between 0 and 100")
    return 10 * fsum(weight * value for weight, value in parts) / fsum(weight for weight, _ in parts)
