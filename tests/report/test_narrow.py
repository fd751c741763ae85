"""Making a table narrower: what is equal is said once, what matters least is left out, the rest stays what it was."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from report.layout import Column, fits
from report.narrow import narrow
from report.printing import print_fitting, print_text
from tests.report.conftest import Terminal

COLUMNS = ["model", "accuracy", "latency_seconds", "device"]
ROWS = [("tiny", 0.5, 1.25, "cpu"), ("larger-model", 0.75, 3.5, "cpu")]


def test_a_table_that_fits_is_left_alone() -> None:
    table = narrow(COLUMNS, ROWS, 60, expendable=["device"])
    assert (table.columns, table.rows, table.same, table.left_out) == (COLUMNS, [list(row) for row in ROWS], {}, [])


def test_what_is_equal_in_every_row_goes_first() -> None:
    table = narrow(COLUMNS, ROWS, 36, say_equal=True, expendable=["accuracy"])
    assert table.columns == ["model", "accuracy", "latency_seconds"]
    assert table.same == {"device": "cpu"}
    assert table.left_out == []


def test_then_what_matters_least() -> None:
    table = narrow(COLUMNS, ROWS, 24, say_equal=True, expendable=["latency_seconds", "accuracy"])
    assert table.columns == ["model", "accuracy"]
    assert table.left_out == ["latency_seconds"]
    assert table.rows == [["tiny", 0.5], ["larger-model", 0.75]]


def test_one_row_has_nothing_that_is_equal() -> None:
    table = narrow(COLUMNS, ROWS[:1], 30, say_equal=True, expendable=["device"])
    assert table.same == {}
    assert table.left_out == ["device"]


def test_rows_that_are_all_the_same_are_still_shown() -> None:
    table = narrow(["a", "b"], [("x" * 30, "y" * 30)] * 3, 20, say_equal=True, expendable=["b", "a"])
    assert len(table.columns) == 1
    assert len(table.rows) == 3


def test_prose_may_be_folded() -> None:
    sentence = "The session process ended with signal 9 while it loaded the model; see the last output."
    assert fits([Column("job", True, 3), Column("note", False, len(sentence))], 40, 2)
    assert not fits([Column("job", True, 3), Column("name", False, 40)], 40, 2)


CELLS = st.one_of(st.none(), st.integers(-5, 5), st.text("abc ", max_size=30))


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=6), st.integers(1, 120), st.permutations(["x", "y", "z"]))
def test_no_column_is_lost_without_a_word(rows: list[tuple[object, ...]], width: int, order: list[str]) -> None:
    table = narrow(["x", "y", "z"], rows, width, say_equal=True, expendable=order)
    assert sorted([*table.columns, *table.same, *table.left_out]) == ["x", "y", "z"]
    assert table.columns
    for row, whole in zip(table.rows, rows, strict=True):
        assert list(row) == [whole["xyz".index(name)] for name in table.columns]


def test_a_column_that_must_stay_stays() -> None:
    table = narrow(COLUMNS, ROWS, 10, expendable=["latency_seconds"])
    assert (table.columns, table.same) == (["model", "accuracy", "device"], {})


def test_a_terminal_is_told_what_is_equal_and_what_is_left_out(terminal: Callable[[int], Terminal]) -> None:
    out = terminal(24)
    print_fitting(COLUMNS, ROWS, "table", say_equal=True, expendable=["latency_seconds", "accuracy"])
    assert out.lines[0] == "In every row: device cpu"
    assert out.lines[1].split() == ["model", "accuracy"]
    assert " ".join(out.lines[-3:]) == "Left out for want of room: latency_seconds (-o md shows it)"


def test_a_pipe_gets_every_column(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    print_fitting(COLUMNS, ROWS, "table", say_equal=True, expendable=["device"])
    print_text("a sentence that is longer than twenty characters")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == COLUMNS
    assert lines[-1] == "a sentence that is longer than twenty characters"


def test_a_sentence_is_broken_between_words(terminal: Callable[[int], Terminal]) -> None:
    out = terminal(20)
    print_text("a sentence that is longer than twenty characters")
    assert out.lines == ["a sentence that is", "longer than twenty", "characters"]
