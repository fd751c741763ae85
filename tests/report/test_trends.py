"""Trends, printed: a word of blocks for people, the values for programs."""

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from db.trends import Trend
from report.sparklines import sparkline
from report.trends import print_trends
from tests.report.conftest import Terminal

_KEY = {
    "series": "0123456789abcdef",
    "model": "qwen2.5-1.5b",
    "workload": "speed",
    "strategy": None,
    "temperature": None,
    "precision": "float16",
    "prompt_tokens": 128,
    "new_tokens": 64,
    "device": "mps",
    "machine": "mini",
}
_TREND = Trend(
    _KEY,
    "decode_tokens_per_second",
    (10.0, None, 12.0, 20.0),
    datetime(2026, 5, 5, tzinfo=UTC),
    "latency_seconds",
    0.92,
    datetime(2026, 5, 4, 12, tzinfo=UTC),
)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ((1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0), "▁▂▃▄▅▆▇█"),
        ((1.0, None, 8.0), "▁ █"),
        ((0.0, 0.0), "▅▅"),
        ((100.0, 101.0, 100.0), "▄▅▄"),
        ((None, None), "  "),
        ((), ""),
    ],
)
def test_a_line_spans_what_is_there_and_noise_stays_flat(values: tuple[float | None, ...], line: str) -> None:
    assert sparkline(values) == line


def test_ascii_serves_where_there_are_no_blocks() -> None:
    assert sparkline((1.0, 8.0), is_plain=True) == "_@"


@pytest.mark.parametrize("width", [80, 100, 160])
def test_a_terminal_gets_lines_of_its_width(terminal: Callable[[int], Terminal], width: int) -> None:
    out = terminal(width)
    print_trends([_TREND, _TREND], "table")
    assert max(map(len, out.lines)) <= width
    text = " ".join(out.lines)
    assert "▁ ▂█" in text
    assert "0.920" in text


def test_a_stream_without_unicode_gets_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", out)
    print_trends([_TREND], "table")
    out.flush()
    assert isinstance(out.buffer, io.BytesIO)
    assert b"_ .@" in out.buffer.getvalue()


def test_programs_get_the_values(capsys: pytest.CaptureFixture[str]) -> None:
    print_trends([_TREND], "json")
    (row,) = json.loads(capsys.readouterr().out)
    assert row["values"] == [10.0, None, 12.0, 20.0]
    assert (row["last"], row["n"], row["figure"]) == (20.0, 4, "decode_tokens_per_second")
    assert (row["changed"], row["change_ratio"], row["changed_at"]) == (
        "latency_seconds",
        0.92,
        "2026-05-04 12:00:00.000",
    )
