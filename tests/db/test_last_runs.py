"""The last clean runs of each series: found by a probe of each, they are those that reading all of them finds."""

from dataclasses import replace

import pytest
from sqlalchemy import text

from db.compared_runs import MOST_RUNS, chosen_runs
from db.conditions import Condition
from db.engine import Database
from db.history import Query
from db.last_runs import chooses_series
from db.level_changes import changes_in_history
from tests.db.compared import store_speed

#: no run is older, so that it chooses all of them, and not whole series
_SINCE = "2001-01-01"


@pytest.fixture
def measured(database: Database) -> Database:
    """Give two precisions of a model, each measured more often than a side holds, and disturbed now and then."""
    for day in range(MOST_RUNS + 3):
        for precision in ("float16", "float32"):
            disturbed = ("others used 2 cores",) if day % 7 == 6 else ()
            store_speed(database, [0.5 + day / 100], day=day, spec={"precision": precision}, contamination=disturbed)
    return database


@pytest.mark.parametrize("by", [None, "precision"])
@pytest.mark.parametrize("column", ["model=tiny", "machine=machine-a", "precision=float16"])
def test_probing_finds_what_reading_all_finds(measured: Database, by: str | None, column: str) -> None:
    query = Query((Condition.parse(column),))
    assert chooses_series(query, by or "series")
    assert not chooses_series(replace(query, since=_SINCE))
    with measured.read() as connection:
        probed, read = (chosen_runs(connection, each, by) for each in (query, replace(query, since=_SINCE)))
    assert probed == read
    assert {len(run.runs) for run in probed} == {MOST_RUNS}


def test_what_changes_within_a_series_is_no_choice_of_series() -> None:
    for condition in (
        "batch=3",
        "run_id=7",
        "accuracy>0.5",
        "torch_version=2.13",
        "contaminated=true",
        "labels.host=a",
    ):
        assert not chooses_series(Query((Condition.parse(condition),)))
    assert not chooses_series(Query(labels={"host": "a"}))
    assert not chooses_series(Query(), "torch_version")
    assert chooses_series(Query())


def test_regressions_count_the_runs_of_whole_series_and_of_a_time_alike(measured: Database) -> None:
    query = Query((Condition("precision", "=", "float16"),))
    with measured.read() as connection:
        found = [changes_in_history(connection, each) for each in (query, replace(query, since=_SINCE))]
    assert found[0] == found[1]
    assert found[0].runs == MOST_RUNS


def test_a_series_says_what_it_is_of(measured: Database) -> None:
    statement = "SELECT DISTINCT model, workload, machine_id FROM series_key"
    with measured.read() as connection:
        assert connection.execute(text(statement)).all() == [("tiny", "speed", "machine-a")]
