"""The session's ends of its pipes: orders come in on one, events go out on another."""

import os
from collections.abc import Callable
from queue import SimpleQueue

from pydantic import ValidationError

from worker.protocol import Event, Failed, Order

#: tells the worker's main process
Emit = Callable[[Event], None]


def read_orders(descriptor: int, orders: "SimpleQueue[bytes]") -> None:
    """Put each line into the queue; end the process at the end of input.

    Reads the descriptor, not `sys.stdin`: a buffered reader in a thread aborts the interpreter at its exit.
    """
    parts: list[bytes] = []
    while chunk := os.read(descriptor, 1 << 16):
        first, *others = chunk.split(b"\n")
        parts.append(first)
        for line in others:
            orders.put(b"".join(parts))
            parts = [line]
    # The parent is gone or wants us gone: nothing here is worth a tidy end.
    os._exit(0)


def writer(descriptor: int) -> Emit:
    """Return a function that writes events to a descriptor, a line each; it ends the process where nobody reads."""

    def emit(event: Event) -> None:
        line = memoryview(event.model_dump_json().encode() + b"\n")
        try:
            while line:
                line = line[os.write(descriptor, line) :]
        except BrokenPipeError:
            os._exit(0)

    return emit


def parse_order(line: bytes) -> Order | Failed:
    """Return the order on a line, or what to answer where it is none."""
    try:
        return Order.model_validate_json(line)
    except ValidationError as error:
        message = f"the session can't read its order: {error.errors(include_url=False)[0]['msg']}"
        return Failed(job_id=0, attempt=0, kind="error", message=message, details=str(error))
