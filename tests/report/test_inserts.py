"""Rows as SQL, taken by SQLite as they were given."""

import io
import math
import sqlite3
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from report.inserts import write_inserts

COLUMNS = ["by", 'a "b"', "n", "x", "yes"]
KINDS = ["text", "text", "integer", "number", "boolean"]

_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
_row = st.tuples(
    st.none() | _text,
    st.none() | _text,
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.none() | st.booleans(),
)


@given(st.lists(_row, max_size=5))
def test_rows_come_back_as_they_were(rows: list[tuple[Any, ...]]) -> None:
    stream = io.StringIO()
    assert write_inserts("order", COLUMNS, KINDS, rows, stream) == len(rows)
    database = sqlite3.connect(":memory:")
    database.executescript(stream.getvalue())
    assert database.execute('SELECT * FROM "order"').fetchall() == rows
    database.close()


def test_what_is_no_number_is_null() -> None:
    stream = io.StringIO()
    write_inserts("t", ["x"], ["number"], [(math.nan,), (math.inf,), (-math.inf,)], stream)
    assert stream.getvalue().count("VALUES (NULL);") == 3


def test_a_table_without_a_row_is_one() -> None:
    stream = io.StringIO()
    assert write_inserts("t", ["x", "at"], ["number", "time"], [], stream) == 0
    assert stream.getvalue() == (
        'BEGIN;\nCREATE TABLE IF NOT EXISTS "t" ("x" double precision, "at" timestamp);\nCOMMIT;\n'
    )
