"""The history, printed."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from db.history import COLUMNS, Rows
from report.runs import local_time, print_runs
from tests.report.conftest import Terminal

VALUES = {
    "run_id": 3,
    "started_at": "2026-11-22 17:42:18.250",
    "model": "deepseek-r1-distill-qwen-1.5b",
    "workload": "arithmetic",
    "strategy": "chain_of_thought",
    "temperature": 0.0,
    "precision": "float16",
    "device": "mps",
    "accuracy": 0.7083333,
    "accuracy_stderr": 0.045,
    "decode_tokens_per_second": 81.2345,
    "latency_seconds": 1.2345,
    "peak_process_memory_bytes": 2**30,
}
RUNS = Rows(
    list(COLUMNS),
    [
        tuple(VALUES.get(name) for name in COLUMNS),
        tuple((VALUES | {"run_id": 4, "strategy": "direct", "accuracy": 0.5}).get(name) for name in COLUMNS),
    ],
)


@pytest.fixture(autouse=True)
def _in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this machine stand in a time zone that is not UTC."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_pipe_gets_every_column_that_was_measured(capsys: pytest.CaptureFixture[str]) -> None:
    print_runs(RUNS, "table")
    header, _, first, _ = capsys.readouterr().out.splitlines()
    assert header.split() == [name for name in COLUMNS if name in VALUES]
    assert "2026-11-22 18:42:18" in first


def test_programs_get_everything_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    print_runs(RUNS, "json")
    (first, _) = json.loads(capsys.readouterr().out)
    assert tuple(first) == COLUMNS
    assert first["started_at"] == "2026-11-22 17:42:18.250"
    assert first["accuracy"] == 0.7083333


@pytest.mark.parametrize("width", [80, 100, 140, 200])
def test_a_terminal_gets_a_table_of_its_width(terminal: Callable[[int], Terminal], width: int) -> None:
    out = terminal(width)
    print_runs(RUNS, "table")
    assert max(map(len, out.lines)) <= width
    text = " ".join(out.lines)
    assert "accuracy" in text
    assert "0.7083" in text
    assert "each row is a block" not in text


def test_a_narrow_terminal_is_told_what_all_runs_have_in_common(terminal: Callable[[int], Terminal]) -> None:
    out = terminal(80)
    print_runs(RUNS, "table")
    said = " ".join(out.lines)
    assert said.startswith("In every row: started_at 2026-11-22 18:42:18, model deepseek-r1-distill-qwen-1.5b,")


@pytest.mark.parametrize(
    "value", ["2026-11-22 17:42:18.250", datetime(2026, 11, 22, 17, 42, 18, tzinfo=UTC), "2026-11-22T17:42:18+00:00"]
)
def test_a_time_of_either_database_is_shown_in_this_machines_zone(value: object) -> None:
    assert local_time(value) == "2026-11-22 18:42:18"


def test_no_time_is_none() -> None:
    assert local_time(None) is None
