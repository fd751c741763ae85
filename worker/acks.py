"""Messages that Celery could not acknowledge: it says so in its log and takes no other one, for ever."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: where Celery says it, and how that begins
_LOGGER = "celery.worker.request"
_SAID = "Couldn't ack"


class _Watch(logging.Filter):
    def __init__(self, failed: Callable[[str], None]) -> None:
        super().__init__()
        self._failed = failed

    def filter(self, record: logging.LogRecord) -> bool:
        """Pass on everything but a failure to acknowledge, whose traceback helps nobody."""
        if not str(record.msg).startswith(_SAID):
            return True
        # ('Couldn't ack %r, reason:%r', tag, error)
        reason = record.args[1] if isinstance(record.args, tuple) and len(record.args) > 1 else ""
        self._failed(type(reason).__name__ if isinstance(reason, BaseException) else str(reason))
        return False


@contextmanager
def watched(failed: Callable[[str], None]) -> Iterator[None]:
    """Call `failed` with the reason whenever Celery could not acknowledge a message."""
    logger, watch = logging.getLogger(_LOGGER), _Watch(failed)
    logger.addFilter(watch)
    try:
        yield
    finally:
        logger.removeFilter(watch)
