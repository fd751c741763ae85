"""How series went: the last clean runs of each, and the last confirmed change."""

import pytest
from sqlalchemy import update

from bench.errors import InputError
from db.conditions import Condition
from db.engine import Database
from db.history import Query
from db.tables import change
from db.trends import trends
from tests.db.built_history import build

_SPEED = Query((Condition.parse("workload=speed"), Condition.parse("precision=float32")))


@pytest.fixture
def built(database: Database) -> Database:
    """Give the history of three nights."""
    build(database)
    return database


def test_the_values_are_those_of_the_clean_runs_in_order(built: Database) -> None:
    with built.read() as connection:
        (trend,) = trends(connection, _SPEED)
        (timed,) = trends(connection, _SPEED, "latency_seconds")
    assert trend.figure == "decode_tokens_per_second"
    assert trend.series["model"] == "qwen2.5-1.5b"
    assert timed.values == pytest.approx((2.0, 2.1, 2.2))
    assert trend.values == pytest.approx([64 / value for value in timed.values if value])
    assert (trend.changed, trend.change_ratio, trend.changed_at) == (None, None, None)


def test_the_figure_is_what_the_workload_is_for(built: Database) -> None:
    with built.read() as connection:
        found = trends(connection, Query())
    assert {each.figure for each in found if each.series["workload"] == "speed"} == {"decode_tokens_per_second"}
    assert {each.figure for each in found if each.series["workload"] != "speed"} == {"accuracy"}
    names = [(each.series["model"], each.series["workload"]) for each in found]
    assert names == sorted(names)


def test_the_last_confirmed_change_is_told(built: Database) -> None:
    with built.write() as connection:
        connection.execute(update(change).values(state="confirmed", ratio=1.25))
    with built.read() as connection:
        changed = [each for each in trends(connection, Query()) if each.changed is not None]
    assert [(each.changed, each.change_ratio) for each in changed] == [("latency_seconds", 1.25)]
    assert changed[0].changed_at is not None


def test_so_many_runs_and_series_are_shown(built: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("db.trends._RUNS", 2)
    with built.read() as connection:
        found = trends(connection, Query(limit=3))
        (timed,) = trends(connection, _SPEED, "latency_seconds")
    assert len(found) == 3
    assert timed.values == pytest.approx((2.1, 2.2))


def test_what_is_no_figure_is_refused(built: Database) -> None:
    with (
        built.read() as connection,
        pytest.raises(InputError, match="'acuracy' is no figure that has a trend"),
    ):
        trends(connection, Query(), "acuracy")
