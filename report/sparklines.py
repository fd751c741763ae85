"""A line of figures as a word: one block a figure."""

from collections.abc import Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"
_PLAIN = "_.-=+*#@"
#: noise of a per cent or two is to look like it: the blocks span at least this share of the middle
_LEAST_SPAN = 0.1


def sparkline(values: Sequence[float | None], *, is_plain: bool = False) -> str:
    """Return figures as blocks from the least to the largest, a space for None; `is_plain` takes ASCII.

    The blocks span at least a tenth of the middle between both, so that noise does not look like a change.
    """
    marks = _PLAIN if is_plain else _BLOCKS
    known = [value for value in values if value is not None]
    if not known:
        return " " * len(values)
    low, high = min(known), max(known)
    middle = (low + high) / 2
    span = max(high - low, _LEAST_SPAN * abs(middle))
    if span == 0:
        return "".join(" " if value is None else marks[len(marks) // 2] for value in values)
    return "".join(" " if value is None else marks[_step(value, middle - span / 2, span)] for value in values)


def _step(value: float, low: float, span: float) -> int:
    return min(int((value - low) / span * len(_BLOCKS)), len(_BLOCKS) - 1)
