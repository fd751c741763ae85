"""A view's rows for a file: whole, in order, alike from both databases."""

from collections.abc import Iterator

import pytest

from bench.errors import InputError
from db.columns import KINDS
from db.conditions import Condition
from db.engine import Database
from db.export import export
from tests.db.built_history import built


@pytest.fixture(scope="module")
def histories(shared_sqlite: Database, shared_postgresql: Database) -> Iterator[list[Database]]:
    """Give the built history in both databases."""
    with built(shared_sqlite, shared_postgresql):
        yield [shared_sqlite, shared_postgresql]


@pytest.mark.parametrize("view", KINDS)
def test_every_view_comes_whole_and_alike(histories: list[Database], view: str) -> None:
    found = []
    for database in histories:
        with export(database, view) as exported:
            rows = list(exported.rows)
            assert exported.columns == list(KINDS[view])
            assert exported.kinds == list(KINDS[view].values())
        assert rows
        assert len(set(rows)) == len(rows)
        # written by each database's own clock
        skipped = {
            n
            for n, name in enumerate(KINDS[view])
            if view in ("jobs", "attempts", "batches", "schedules", "firings", "changes", "alerts")
            and name.endswith(("_at", "_seconds"))
        }
        found.append([tuple(value for n, value in enumerate(row) if n not in skipped) for row in rows])
    assert found[0] == found[1]


def test_what_is_asked_for_comes(histories: list[Database]) -> None:
    for database in histories:
        conditions = (Condition.parse("workload=speed"), Condition.parse("contaminated=true"))
        columns = ("model", "contaminated", "labels.who", "started_at")
        with export(database, "history", conditions, {"purpose": "nightly"}, columns) as exported:
            assert exported.columns == list(columns)
            assert [row[:3] for row in exported.rows] == [("qwen2.5-1.5b", True, "lab")]
        with export(database, "answers", (Condition.parse("finish=thinking", "answers"),)) as exported:
            assert len(list(exported.rows)) == 3


def test_rows_are_read_while_they_are_taken(histories: list[Database], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("db.export._ROWS_AT_ONCE", 7)
    for database in histories:
        with export(database, "answers") as exported:
            assert next(exported.rows)[0] == 1
            assert len(list(exported.rows)) > 200


@pytest.mark.parametrize(
    ("view", "labels", "columns", "message"),
    [
        ("histroy", None, (), "there is no view 'histroy'; did you mean 'history'"),
        ("run", None, (), "there is no view 'run'"),
        ("answers", {"a": "b"}, (), "answers has no labels"),
        ("answers", None, ("scroe",), "answers has no column 'scroe'; did you mean 'score'"),
    ],
)
def test_what_there_is_not_is_said(
    histories: list[Database], view: str, labels: dict[str, str] | None, columns: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message), export(histories[0], view, (), labels, columns):
        pass
