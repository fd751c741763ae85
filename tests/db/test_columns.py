"""What the columns of the views hold is what the databases say."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from db.columns import KINDS, Kind, plain
from db.engine import Database
from db.views import VIEWS
from tests.db.builders import populate

_NUMERIC: set[Kind] = {"integer", "number"}
_POSTGRESQL: dict[str, set[Kind]] = {
    "text": {"text"},
    "integer": _NUMERIC,
    "bigint": _NUMERIC,
    "double precision": _NUMERIC,
    "boolean": {"boolean"},
    "timestamp with time zone": {"time"},
    "jsonb": {"json"},
}


def test_every_column_of_every_view_is_known(database: Database) -> None:
    assert list(KINDS) == list(VIEWS)
    for view, kinds in KINDS.items():
        with database.read() as connection:
            columns = list(connection.execute(text(f"SELECT * FROM {view}")).keys())
        assert columns == list(kinds), view


def test_the_kinds_are_postgresql_s_types(shared_postgresql: Database) -> None:
    query = "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_name = ANY(:views)"
    with shared_postgresql.read() as connection:
        rows = connection.execute(text(query), {"views": list(VIEWS)}).all()
    assert len(rows) == sum(map(len, KINDS.values()))
    for view, column, type_name in rows:
        assert KINDS[view][column] in _POSTGRESQL[type_name], (view, column, type_name)


def test_the_rows_of_both_databases_hold_these_kinds(database: Database) -> None:
    populate(database)
    types: dict[Kind, type[Any] | tuple[type[Any], ...]] = {
        "text": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "time": str,
        "json": str,
    }
    for view, kinds in KINDS.items():
        with database.read() as connection:
            row = connection.execute(text(f"SELECT * FROM {view}")).mappings().first()
        assert row is not None
        for name, kind in kinds.items():
            value = plain(row[name], kind)
            assert value is None or isinstance(value, types[kind]), (view, name, value)


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (None, "boolean", None),
        (1, "boolean", True),
        (0, "boolean", False),
        (datetime(2026, 5, 1, 2, 3, 4, 567_890, tzinfo=UTC), "time", "2026-05-01 02:03:04.567"),
        ("2026-05-01 02:03:04.567", "time", "2026-05-01 02:03:04.567"),
        ({"b": "ü", "a": "1"}, "json", '{"a": "1", "b": "ü"}'),
        ('{"b":"ü","a":"1"}', "json", '{"a": "1", "b": "ü"}'),
        (0.5, "number", 0.5),
    ],
)
def test_values_come_alike_from_both(value: Any, kind: Kind, expected: Any) -> None:
    found = plain(value, kind)
    assert found == expected
    assert type(found) is type(expected)
