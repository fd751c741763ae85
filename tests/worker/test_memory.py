import mmap
from pathlib import Path

import pytest

from worker import memory
from worker.memory import ProcessMemory, current_bytes, kernel_peak_bytes, reset_kernel_peak

MIB = 2**20


def _touch(mebibytes: int) -> None:
    """Use memory and give it back to the system."""
    with mmap.mmap(-1, mebibytes * MIB) as block:
        for place in range(0, len(block), mmap.PAGESIZE):
            block[place] = 1


def _without_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "reset_kernel_peak", lambda: False)


def test_a_peak_is_seen_after_the_memory_was_given_back() -> None:
    span = ProcessMemory()
    span.reset()
    before = current_bytes()
    _touch(200)
    peak = span.peak_bytes()
    span.close()
    assert before is not None
    assert peak is not None
    assert 190 * MIB < peak - before < 260 * MIB


def test_a_new_span_forgets_the_peak_of_the_last() -> None:
    span = ProcessMemory()
    span.reset()
    _touch(200)
    first = span.peak_bytes()
    span.reset()
    second = span.peak_bytes()
    span.close()
    assert first is not None
    assert second is not None
    assert first - second > 150 * MIB


def test_where_the_kernel_does_not_help_a_thread_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    _without_kernel(monkeypatch)
    readings = iter([100, 900, 300])
    last = [300]

    def read() -> int:
        last[0] = next(readings, last[0])
        return last[0]

    monkeypatch.setattr(memory, "current_bytes", read)
    monkeypatch.setattr(memory, "SAMPLING_SECONDS", 3600)
    span = ProcessMemory()
    span.reset()
    assert span.peak_bytes() == 900
    assert span.peak_bytes() == 900
    span.close()


def test_the_sampling_thread_ends_with_its_span(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    _without_kernel(monkeypatch)
    span = ProcessMemory()
    span.reset()
    assert any(thread.name == "memory sampler" for thread in threading.enumerate())
    span.close()
    assert not any(thread.name == "memory sampler" for thread in threading.enumerate())
    assert span.peak_bytes() is None


def test_a_kernel_that_keeps_no_peak_is_told_from_one_that_does(tmp_path: Path) -> None:
    (tmp_path / "clear_refs").write_text("")
    (tmp_path / "status").write_text("Name:\tpython\nVmRSS:\t 10 kB\n")
    assert not reset_kernel_peak(tmp_path)
    (tmp_path / "status").write_text("VmHWM:\t 10 kB\n")
    assert reset_kernel_peak(tmp_path)
    assert kernel_peak_bytes(tmp_path) == 10 * 1024
    assert not reset_kernel_peak(tmp_path / "missing")
