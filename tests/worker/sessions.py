"""Orders for sessions, and a session as a real process."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

from bench.catalog import ModelEntry
from bench.results import Measurement
from bench.spec import JobSpec, StopRule
from bench.workloads import Item
from worker.protocol import Failed, Finished, Go, Order, Prompt


def entry(source: str, **fields: Any) -> ModelEntry:
    return ModelEntry.model_validate(
        {"name": "m", "task": "text", "source": source, "memory_gib": {"float32": 1.0, "float16": 1.0}, **fields}
    )


def speed(model: ModelEntry, job_id: int = 1, **fields: Any) -> Order:
    spec = {"model": "m", "workload": "speed", "prompt_tokens": 16, "new_tokens": 4, "stop": StopRule(max_iterations=6)}
    return Order(job_id=job_id, attempt=1, spec=JobSpec.model_validate({**spec, **fields}), model=model)


def quality(model: ModelEntry, questions: dict[str, str], job_id: int = 1, **fields: Any) -> Order:
    prompts = tuple(
        Prompt(item=Item(id=str(n), prompt=text, answer=answer), messages=({"role": "user", "content": text},))
        for n, (text, answer) in enumerate(questions.items())
    )
    spec = {"model": "m", "workload": "facts", "strategy": "direct", "max_new_tokens": 8, "batch_size": 2, **fields}
    return Order(
        job_id=job_id,
        attempt=1,
        spec=JobSpec.model_validate(spec),
        model=model,
        score="contains",
        strategy_hash="h" * 64,
        prompts=prompts,
    )


class Child:
    """A session process; its events are kept with the time at which they came."""

    def __init__(self, tmp_path: Path, *arguments: str) -> None:
        reading, writing = os.pipe()
        self.log = tmp_path / "session.log"
        (tmp_path / "locks").mkdir(exist_ok=True)
        command = [sys.executable, "-P", "-m", "worker.session", "--events", str(writing), "--device", "cpu"]
        command += ["--home", str(tmp_path / "home"), "--lock-dir", str(tmp_path / "locks"), *arguments]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, pass_fds=(writing,), start_new_session=True
            )
        os.close(writing)
        self._events: SimpleQueue[tuple[float, dict[str, Any]]] = SimpleQueue()
        self._reader = Thread(target=self._read, args=(reading,))
        self._reader.start()

    def _read(self, descriptor: int) -> None:
        with os.fdopen(descriptor, "rb") as lines:
            for line in lines:
                self._events.put((time.monotonic(), json.loads(line)))

    def send(self, order: Order | Go) -> float:
        """Send an order, or let one begin; return when."""
        assert self.process.stdin is not None
        sent = time.monotonic()
        self.process.stdin.write(order.model_dump_json().encode() + b"\n")
        self.process.stdin.flush()
        return sent

    def next(self) -> tuple[float, dict[str, Any]]:
        return self._events.get(timeout=60)

    def until(self, *events: str, phase: str | None = None) -> tuple[float, list[dict[str, Any]]]:
        """Return the events up to one of these (or of this phase), and when that came."""
        seen = []
        while True:
            at, event = self.next()
            seen.append(event)
            if event["event"] in events or (phase and event.get("phase") == phase):
                return at, seen

    def measure(self, order: Order) -> Measurement:
        self.send(order)
        last = self.until("finished", "failed")[1][-1]
        return Finished.model_validate(last).measurement

    def fail(self, order: Order) -> Failed:
        self.send(order)
        return Failed.model_validate(self.until("finished", "failed")[1][-1])

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self._reader.join(20)


@contextmanager
def running(tmp_path: Path, *arguments: str) -> Iterator[Child]:
    child = Child(tmp_path, *arguments)
    try:
        yield child
    finally:
        child.close()
