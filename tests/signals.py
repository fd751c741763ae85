"""What a process does when it is to end, and what it did before it was told otherwise."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_Handler = Callable[[int, FrameType | None], object] | int | None


def handlers() -> dict[signal.Signals, _Handler]:
    """Return what Ctrl-C and TERM do."""
    return {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}


@contextmanager
def kept() -> Iterator[None]:
    """Have both do afterwards what they did before."""
    before = handlers()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
