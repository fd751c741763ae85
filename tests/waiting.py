"""Waiting in tests: for a described condition, never for a length of time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_POLL_SECONDS = 0.02


def wait_until(predicate: Callable[[], T], description: str, timeout_seconds: float = 20) -> T:
    """Call `predicate` until what it returns is true, and return that.

    Raises AssertionError with the description after `timeout_seconds`.
    """
    deadline = time.monotonic() + timeout_seconds
    while not (outcome := predicate()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_seconds:g} s in vain until {description}; last seen: {outcome!r}")
        time.sleep(_POLL_SECONDS)
    return outcome
