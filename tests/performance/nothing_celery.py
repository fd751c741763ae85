"""A bare Celery worker whose one task tells that it ran: what the transport costs with our settings of Celery.

`python -P -m tests.performance.nothing_celery BROKER_URL`
"""

import sys
import warnings

from scheduler.app import make_app
from tests.performance.nothing_worker import tell

TASK = "nothing"
QUEUE = "nothing"


def _nothing(number: int) -> None:
    tell()


def main() -> None:
    """Work until told to stop."""
    from celery.platforms import SecurityWarning

    app = make_app(sys.argv[1])
    app.task(name=TASK, ignore_result=True, acks_late=True)(_nothing)
    warnings.simplefilter("ignore", SecurityWarning)
    options = {"queues": [QUEUE], "without_gossip": True, "without_mingle": True, "loglevel": "WARNING", "quiet": True}
    app.Worker(hostname="nothing@bare", **options).start()


if __name__ == "__main__":
    main()
