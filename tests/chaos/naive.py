"""What most people would write: a Celery task with acks_late that stores its result. No claim, no lease, no lock.

`python -m tests.chaos.naive HOME BROKER RESULTS`; RESULTS is a folder, in which each result is a file of its own, so
that no database stands in its way.
"""

import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from celery import Celery

from tests.chaos.session import hold_seconds, note

TASK = "naive.run"
QUEUE = "naive"
#: longer than any of its jobs takes
VISIBILITY_SECONDS = 4


def make_app(broker: str) -> Any:
    """Return the app, as its documentation advises for tasks that must not be lost."""
    app = Celery("naive", broker=broker, set_as_current=False)
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        worker_prefetch_multiplier=1,
        worker_concurrency=1,
        worker_pool="threads",
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={"visibility_timeout": VISIBILITY_SECONDS, "socket_timeout": 2.0},
        task_default_queue=QUEUE,
    )
    return app


def send(broker: str, jobs: list[int]) -> None:
    """Send the jobs."""
    app = make_app(broker)
    with app.connection_for_write() as connection:
        for job in jobs:
            app.send_task(TASK, args=(job,), connection=connection)


def main(home: Path, broker: str, results: Path) -> None:
    """Work until told to stop."""
    app = make_app(broker)

    def run(job: int) -> None:
        note(home, what="begin", job=job, attempt=1)
        time.sleep(hold_seconds(job))
        note(home, what="end", job=job, attempt=1)
        (results / f"{job}.{uuid4().hex}").touch()

    app.task(name=TASK)(run)
    app.Worker(loglevel="WARNING", quiet=True, without_gossip=True, without_mingle=True).start()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
