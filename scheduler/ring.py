"""Ringing: a message in a queue wakes a worker, whose claim decides which job runs."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from bench.errors import UnavailableError
from scheduler.app import RUN_JOB, make_app
from scheduler.broker import safe_url

#: rings that wait in a queue at most; more would cost memory and wake nobody sooner
MAX_RINGS = 1000
#: stands in a message where Celery would write the host's name
_ORIGIN = "benchbeat"


class Bell:
    """A connection for ringing. Every fault of the broker is an UnavailableError; ringing again is harmless."""

    def __init__(self, broker_url: str) -> None:
        self._url = broker_url
        self._app = make_app(broker_url)
        self._connection: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        if self._connection is not None:
            self._connection.release()
            self._connection = None

    def waiting(self, queues: Iterable[str]) -> dict[str, int]:
        """Return how many rings wait in each queue."""
        names = list(queues)

        def lengths(channel: Any) -> dict[str, int]:
            pipeline = channel.client.pipeline(transaction=False)
            for name in names:
                pipeline.llen(name)
            return dict(zip(names, pipeline.execute(), strict=True))

        return self._with_channel(lengths) if names else {}

    def ring(self, jobs: Mapping[str, Iterable[int]]) -> int:
        """Publish a message for each job id, by queue. Returns how many."""
        messages = [(queue, job_id) for queue, ids in jobs.items() for job_id in ids]
        if messages:
            self._with_channel(lambda channel: self._publish(channel, messages))
        return len(messages)

    def forget(self, queue: str) -> None:
        """Delete a queue with its rings, and what kombu notes of it."""
        keys = (queue, f"_kombu.binding.{queue}", f"_kombu.binding_permanent.{queue}")
        self._with_channel(lambda channel: channel.client.delete(*keys))

    def _publish(self, channel: Any, messages: list[tuple[str, int]]) -> None:
        # One level below `send_task`, which takes four times as long: what is the same in all messages is made once.
        like = self._app.amqp.as_task_v2("", RUN_JOB, origin=_ORIGIN)
        producer = self._app.amqp.Producer(channel, serializer="json")
        with producer.batch(max_size=MAX_RINGS):
            for queue, job_id in messages:
                task_id = str(uuid4())
                own = {"id": task_id, "root_id": task_id, "argsrepr": f"({job_id},)"}
                producer.publish(
                    ((job_id,), *like.body[1:]),
                    routing_key=queue,
                    headers=like.headers | own,
                    **(like.properties | {"correlation_id": task_id, "origin": _ORIGIN}),
                )

    def _with_channel(self, action: Any) -> Any:
        try:
            if self._connection is None:
                self._connection = self._app.connection_for_write()
            return action(self._connection.default_channel)
        except Exception as error:
            from redis.exceptions import ResponseError

            self._drop()
            does = "refuses" if isinstance(error, ResponseError) else "does not answer"
            raise UnavailableError(f"Redis at {safe_url(self._url)} {does} ({_cause(error)})") from error

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # in whatever state it is
                connection.collect()


def _cause(error: BaseException) -> str:
    """Return the system's own words for a failure ("Connection refused") where it has any, else the library's."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OSError) and link.strerror:
            return link.strerror
        link = link.__cause__ or link.__context__
    return (str(error) or type(error).__name__).rstrip(".")
