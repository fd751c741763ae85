"""The session's ends of its pipes."""

import os
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

import pytest

from bench.catalog import ModelEntry
from tests.worker.sessions import entry, quality
from worker.channel import parse_order, read_orders, writer
from worker.protocol import Failed


@pytest.fixture(scope="module")
def qwen(tiny_qwen: Path) -> ModelEntry:
    return entry(f"file:{tiny_qwen}")


def test_orders_are_read_whole_whatever_the_size_of_the_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    class ProcessEndError(Exception):
        pass

    def end(code: int) -> None:
        raise ProcessEndError

    monkeypatch.setattr(os, "_exit", end)
    lines = [b"a" * 200_000, b"", b"b", b"c" * 70_000]
    pieces = [b"\n".join(lines)[at : at + 65_536] for at in range(0, 300_000, 65_536)]
    stream = iter([*pieces, b"\nlast without an end", b""])
    monkeypatch.setattr(os, "read", lambda descriptor, size: next(stream))
    orders: SimpleQueue[bytes] = SimpleQueue()
    with pytest.raises(ProcessEndError):
        read_orders(0, orders)
    assert [orders.get_nowait() for _ in range(orders.qsize())] == lines


def test_an_event_larger_than_a_pipe_arrives_whole() -> None:
    reading, writing = os.pipe()
    got: list[bytes] = []

    def read() -> None:
        with os.fdopen(reading, "rb") as lines:
            got.extend(lines)

    thread = Thread(target=read)
    thread.start()
    failed = Failed(job_id=1, attempt=1, kind="error", message="m", details="x" * 1_000_000)
    writer(writing)(failed)
    os.close(writing)
    thread.join(20)
    assert [Failed.model_validate_json(line) for line in got] == [failed]


def test_an_order_survives_the_line(qwen: ModelEntry) -> None:
    order = quality(qwen, {"line\nbreak and \u2028 and ü": "x"})
    line = order.model_dump_json().encode()
    assert b"\n" not in line
    assert parse_order(line) == order
