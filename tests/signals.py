"""What the tests' own process does when it is to end: each test finds and leaves that alike."""

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
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
