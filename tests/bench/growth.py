"""How a function's processor time grows with what it is given: a ratio within one process, not a machine's speed."""

import time
from collections.abc import Callable

_SHORT, _LONG = 25_000, 100_000
#: four times as long may take this many times as long: what is linear takes 4, what is quadratic 16
_AT_MOST = 9.0
#: below, the clock and the collector are measured
_FLOOR_SECONDS = 0.01
_TRIES = 3


def assert_linear(judge: Callable[[str], object], unit: str, end: str = "") -> None:
    """Judge a unit's endless repetition, short and long.

    Raises:
        AssertionError: the long one takes more than its length explains, each of three times
    """
    short, long = (unit * (characters // len(unit)) + end for characters in (_SHORT, _LONG))
    grown = []
    for _ in range(_TRIES):
        quick, slow = seconds(lambda: judge(short)), seconds(lambda: judge(long))
        grown.append(slow / max(quick, _FLOOR_SECONDS))
        if grown[-1] < _AT_MOST:
            return
    raise AssertionError(f"{_LONG // _SHORT} times as many {unit!r} took {grown} times as long")


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time that work takes."""
    start = time.process_time()
    work()
    return time.process_time() - start
