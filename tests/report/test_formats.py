import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from report.formats import FORMATS, Format, write_rows

COLUMNS = ["model", "accuracy", "peak_process_memory_bytes", "text"]
ROWS: list[tuple[Any, ...]] = [
    ("smollm2-135m", 0.123456789, 641728512, "Paris"),
    ("tiny", None, None, 'a|b\n"c", d'),
]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS


def written(columns: list[str], rows: Any, format: Format, width: int | None = None) -> str:
    stream = io.StringIO(newline="")
    count = write_rows(columns, rows, format=format, stream=stream, width=width)
    assert count == len(list(rows))
    return stream.getvalue()


# json and jsonl


def test_json_is_a_list_of_objects_with_exact_values() -> None:
    assert json.loads(written(COLUMNS, ROWS, "json")) == [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]
    assert written(COLUMNS, [], "json") == "[]\n"


def test_jsonl_is_an_object_a_line() -> None:
    lines = written(COLUMNS, ROWS, "jsonl").splitlines()
    assert [json.loads(line) for line in lines] == [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]
    assert written(COLUMNS, [], "jsonl") == ""


@given(st.lists(st.tuples(VALUES, VALUES)))
def test_json_gives_back_every_value(rows: list[tuple[Any, Any]]) -> None:
    expected = [{"a": first, "b": second} for first, second in rows]
    assert json.loads(written(["a", "b"], rows, "json")) == expected
    lines = written(["a", "b"], rows, "jsonl")
    assert [json.loads(line) for line in lines.split("\n")[:-1]] == expected
    assert len(lines.splitlines()) == len(rows)  # also for readers that take U+2028 or U+0085 for an end of line


def test_json_has_distinct_names() -> None:
    assert json.loads(written(["a", "a", "a_2", "a"], [(1, 2, 3, 4)], "jsonl")) == {
        "a": 1,
        "a_2": 2,
        "a_2_2": 3,
        "a_3": 4,
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), None),
        (float("-inf"), None),
        (Decimal("3"), 3),
        (Decimal("0.25"), 0.25),
        (Decimal("NaN"), None),
        (b"\x00\xff", "00ff"),
        ([1, [Decimal("2")]], [1, [2]]),
        ({"a": float("inf")}, {"a": None}),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02 00:00:00+00:00"),
        ("\x1b[31m\x9b", "\x1b[31m\x9b"),
        ("\udc80", "\udc80"),
    ],
)
def test_json_says_what_it_can_of_other_types(value: Any, expected: Any) -> None:
    text = written(["a"], [(value,)], "jsonl")
    assert json.loads(text) == {"a": expected}
    assert text.rstrip("\n").isprintable()


# csv


@given(st.lists(st.tuples(TEXTS.filter(lambda text: text[:1] not in tuple("=+-@\t\r")), st.integers()), min_size=1))
def test_csv_gives_back_every_text(rows: list[tuple[str, int]]) -> None:
    text = written(["a", "b"], rows, "csv")
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["a", "b"], *([a, str(b)] for a, b in rows)]


def test_csv_is_rfc_4180() -> None:
    assert written(COLUMNS, ROWS, "csv") == (
        "model,accuracy,peak_process_memory_bytes,text\r\n"
        "smollm2-135m,0.123456789,641728512,Paris\r\n"
        'tiny,,,"a|b\n""c"", d"\r\n'
    )
    assert written(COLUMNS, [], "csv") == "model,accuracy,peak_process_memory_bytes,text\r\n"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("=1+1", "'=1+1"),
        ("+A1", "'+A1"),
        ("- a list", "'- a list"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        (" =1+1", "' =1+1"),
        ("\N{FULLWIDTH EQUALS SIGN}1", "'\N{FULLWIDTH EQUALS SIGN}1"),
        ("-5", "-5"),
        ("+1.5e-7", "+1.5e-7"),
        ("-1_000", "'-1_000"),
        ("a=1", "a=1"),
        ("", '""'),
        (-5, "-5"),
        (-0.1, "-0.1"),
        (None, '""'),
        (True, "true"),
        (0.1, "0.1"),
        (1e300, "1e+300"),
        (b"\x00\xff", "00ff"),
        (Decimal("0.30"), "0.30"),
        ([1, "a"], '"[1, ""a""]"'),
    ],
)
def test_a_cell_of_csv_is_exact_and_no_formula(value: Any, expected: str) -> None:
    assert written(["a"], [(value,)], "csv") == f"a\r\n{expected.replace(chr(13), '')}\r\n"


def test_a_header_is_no_formula_either() -> None:
    assert written(["=cmd()"], [], "csv") == "'=cmd()\r\n"


# Markdown


def test_markdown_is_a_table_with_numbers_at_the_right() -> None:
    assert written(COLUMNS, ROWS, "md") == (
        "| model | accuracy | peak_process_memory_bytes | text |\n"
        "| --- | ---: | ---: | --- |\n"
        "| smollm2-135m | 0.1235 | 641728512 | Paris |\n"
        '| tiny |  |  | a\\|b<br>"c", d |\n'
    )
    assert written(["a"], [], "md") == "| a |\n| --- |\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>1 & 2</think>", "&lt;think&gt;1 &amp; 2&lt;/think&gt;"),
        ("a\\|b", "a\\\\\\|b"),
        ("**bold** `code` [link](x)", "\\*\\*bold\\*\\* \\`code\\` \\[link\\](x)"),
        ("\x1b[31mred", "\\\\x1b\\[31mred"),
        ("a\r\nb\rc\nd", "a<br>b<br>c<br>d"),
        ("chain_of_thought", "chain_of_thought"),
    ],
)
def test_a_text_in_markdown_shows_itself(text: str, expected: str) -> None:
    assert written(["a"], [(text,)], "md").splitlines()[2] == f"| {expected} |"


@given(st.lists(st.tuples(st.text(), st.text()), min_size=1))
def test_markdown_has_a_line_a_row_and_only_its_own_bars(rows: list[tuple[str, str]]) -> None:
    lines = written(["a", "b"], rows, "md").split("\n")[:-1]
    assert len(lines) == len(rows) + 2
    for line in lines:
        assert line.replace("\\\\", "").replace("\\|", "").count("|") == 3
        assert line.isprintable() or not line.isascii()


# All of them


@pytest.mark.parametrize("format", FORMATS)
def test_rows_are_read_one_by_one(format: Format) -> None:
    class StoppedError(Exception):
        pass

    class Stream(io.StringIO):
        def write(self, text: str) -> int:
            if "row-20" in text:
                raise StoppedError
            return len(text)

    read = 0

    def rows() -> Iterator[tuple[str]]:
        nonlocal read
        while True:
            read += 1
            yield (f"row-{read}",)

    with pytest.raises(StoppedError):
        write_rows(["a"], rows(), format=format, stream=Stream())
    assert read <= 2001


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_csv_does_nothing_to_a_terminal_and_is_to_the_letter_in_a_file() -> None:
    answer = "\x1b]0;pwn\x07\u202e"
    terminal, file = _Terminal(), io.StringIO()
    for stream in (terminal, file):
        write_rows(["text"], [(answer,)], format="csv", stream=stream)
    assert "\x1b" not in terminal.getvalue()
    assert "\u202e" not in terminal.getvalue()
    assert answer in file.getvalue()
