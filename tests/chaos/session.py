"""A session without torch: it takes the device's real lock and holds it, and notes when. `worker.session` in all else.

The number of prompt tokens says how it behaves: see `Behaviour`.
"""

import argparse
import ctypes
import json
import os
import signal
import sys
import threading
import time
from enum import IntEnum
from pathlib import Path
from queue import SimpleQueue
from random import Random
from typing import Any

from bench.results import Environment, Figures, Measurement, Resolved
from tests.waiting import wait_until
from worker.channel import Emit, parse_order, read_orders, writer
from worker.device_lock import held
from worker.protocol import Failed, Finished, Locked, Order, Progress

#: where the beginning and end of every execution is noted, in the home
EXECUTIONS = "executions.jsonl"
#: what lets jobs end that are held
LET_GO = "let-go"

_VERSION = "chaos"


class Behaviour(IntEnum):
    """Numbers of prompt tokens that mean something else."""

    #: heeds neither TERM nor its input, and never ends
    STUBBORN = 131_001
    #: complains and ends
    CRASH = 131_002
    #: never gives the interpreter's lock back
    FROZEN = 131_003
    #: ends as the kernel ends who takes too much memory
    OUT_OF_MEMORY = 131_004
    #: measures until the file `LET_GO` is in the home
    HELD = 131_005


def hold_seconds(job_id: int) -> float:
    """Return for how long a job holds the device: 20 to 200 ms."""
    return Random(job_id).uniform(0.02, 0.2)


def note(home: Path, **facts: Any) -> None:
    """Append a line that is either whole or not there."""
    line = json.dumps(facts | {"pid": os.getpid(), "at": time.monotonic()}) + "\n"
    descriptor = os.open(home / EXECUTIONS, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def _misbehave(how: int, home: Path) -> None:
    if how == Behaviour.STUBBORN:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        threading.Event().wait()
    elif how == Behaviour.CRASH:
        print("the driver is gone", file=sys.stderr, flush=True)  # noqa: T201
        os._exit(3)
    elif how == Behaviour.FROZEN:
        ctypes.PyDLL(None).sleep(3600)  # unlike CDLL it keeps the lock
    elif how == Behaviour.OUT_OF_MEMORY:
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == Behaviour.HELD:
        wait_until((home / LET_GO).exists, "the job is let go", 180)


def _measure(order: Order, emit: Emit, home: Path, lock_dir: Path | None, position: int) -> None:
    emit(Progress(phase="waiting for the device"))
    with held("machine", lock_dir) as waited:
        emit(Locked(waited_seconds=waited))
        emit(Progress(phase="measuring"))
        note(home, what="begin", job=order.job_id, attempt=order.attempt)
        began = time.time()
        _misbehave(order.spec.prompt_tokens or 0, home)
        time.sleep(hold_seconds(order.job_id))
        ended = time.time()
        note(home, what="end", job=order.job_id, attempt=order.attempt)
    measurement = Measurement(
        resolved=Resolved(device="cpu", device_name="Chaos", revision="chaos"),
        environment=Environment(
            os_build="-", python_version="3", torch_version="-", transformers_version="-", benchbeat_version=_VERSION
        ),
        figures=Figures(iterations=1, latency_seconds=ended - began),
        session=f"session-{os.getpid()}",
        session_position=position,
        started_at=began,
        finished_at=ended,
    )
    emit(Finished(job_id=order.job_id, attempt=order.attempt, measurement=measurement))


def main() -> None:
    """Serve orders until the end of input."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--lock-dir", type=Path)
    options, _ = parser.parse_known_args()
    orders: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=read_orders, args=(sys.stdin.fileno(), orders), daemon=True).start()
    emit = writer(options.events)
    position = 0
    while True:
        order = parse_order(orders.get())
        if isinstance(order, Failed):
            emit(order)
            continue
        position += 1
        _measure(order, emit, options.home, options.lock_dir, position)


if __name__ == "__main__":
    main()
