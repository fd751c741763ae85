"""llama-bench's SQL, read as data."""

import io
import sqlite3
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import InputError
from bench.imports.sql_rows import sql_rows
from tests.bench.imports.reading import data

_HEAD = "INSERT INTO llama_bench (a, b) VALUES "
_TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=20)


def rows(text: str) -> list[Any]:
    return [each.value for each in sql_rows(io.StringIO(text).readline, "f")]


def test_the_rows_are_those_that_sqlite_would_hold() -> None:
    text = data("llama-bench.sql")
    connection = sqlite3.connect(":memory:")
    connection.executescript(text)
    cursor = connection.execute("SELECT * FROM llama_bench")
    names = [each[0] for each in cursor.description]
    held = [{name: str(value) for name, value in zip(names, row, strict=True)} for row in cursor]
    connection.close()
    assert rows(text) == held


@given(_TEXTS, _TEXTS)
def test_texts_come_back_whatever_is_in_them(first: str, second: str) -> None:
    quoted = ", ".join("'" + each.replace("'", "''") + "'" for each in (first, second))
    assert rows(f"{_HEAD}({quoted});\n") == [{"a": first, "b": second}]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("'it's.gguf', '1'", ("it's.gguf", "1")),
        ("'', ''", ("", "")),
        ("'a;b', '); DROP TABLE run; --'", ("a;b", "); DROP TABLE run; --")),
        ("12, -0.5e3", ("12", "-0.5e3")),
        ("NULL, true", (None, "1")),
    ],
)
def test_values_are_read_as_llama_bench_writes_them(values: str, expected: tuple[Any, ...]) -> None:
    assert rows(f"{_HEAD}({values});") == [dict(zip("ab", expected, strict=True))]


def test_the_table_s_old_name_and_comments_are_read() -> None:
    text = "-- by llama-bench\nCREATE TABLE IF NOT EXISTS test (\n  a TEXT,\n  b INTEGER\n);\n\n"
    assert rows(text + "insert into test (a, b) values ('x', '1')\n") == [{"a": "x", "b": "1"}]


_OTHER = "is neither llama-bench's CREATE TABLE nor an INSERT of it: "


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("DROP TABLE run;", f"f:1: {_OTHER}DROP TABLE run;"),
        (_HEAD + "('1', '2');\nDELETE FROM run;", f"f:2: {_OTHER}DELETE FROM run;"),
        (_HEAD + "('1', '2'); DELETE FROM run;", "f:1: the INSERT does not end as llama-bench ends one"),
        ("INSERT INTO run (a) VALUES ('1');", f"f:1: {_OTHER}INSERT INTO run"),
        ("CREATE TABLE run (\n  a TEXT\n);", f"f:1: {_OTHER}CREATE TABLE run ("),
        ("CREATE TABLE llama_bench (\n  a TEXT DEFAULT (evil())\n);", f"f:2: {_OTHER}a TEXT DEFAULT (evil())"),
        ("CREATE TABLE llama_bench (\n  a TEXT,", "f: the file ends in the middle of CREATE TABLE: it was cut off"),
        (_HEAD + "('1', (SELECT 1));", f"f:1: {_OTHER}(SELECT 1));"),
        (_HEAD + "('1', '2'), ('3', '4');", "f:1: the INSERT names 2 columns and has 3 values"),
        (_HEAD + "('1');", "f:1: the INSERT names 2 columns and has 1 values"),
        (_HEAD + "('1', '2', '3');", "f:1: the INSERT names 2 columns and has 3 values"),
        ("INSERT INTO llama_bench (a, a) VALUES ('1', '2');", "f:1: the INSERT names 2 columns and has 2 values"),
        (_HEAD + "('1', '2", "f:1: the INSERT does not end as llama-bench ends one"),
        (_HEAD + "('1',", "f:1: the INSERT does not end as llama-bench ends one"),
        (_HEAD + "('1', '2'", "f:1: the INSERT does not end as llama-bench ends one"),
        (_HEAD + "('" + "x" * (1 << 20), "f:1: the line is too long for one of llama-bench"),
        (_HEAD + "('" + "'" * 100_001 + "x", "f:1: the INSERT does not end as llama-bench ends one"),
    ],
)
def test_anything_else_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        rows(text)
    assert str(caught.value).startswith(said)
