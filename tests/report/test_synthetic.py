"""Synthetic histories: the views read them as they read what was measured."""

from typing import Any

import pytest
from sqlalchemy import text

from db.columns import KINDS
from db.engine import Database
from tests.report.synthetic_night import DEVICE_NAME, MACHINE
from tests.report.synthetic_runs import write_runs
from tests.report.synthetic_year import write_year


def asked(database_url: str, statement: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    database = Database(database_url)
    with database.read() as connection:
        rows = [tuple(row) for row in connection.execute(text(statement))]
    database.dispose()
    return rows


def test_the_year_is_marked_and_has_of_everything(database_url: str) -> None:
    write_year(database_url, nights=30)
    marks = "SELECT DISTINCT machine, device_name, labels ->> 'synthetic', batch_name LIKE 'synthetic%' FROM history"
    assert asked(database_url, marks) == [(MACHINE, DEVICE_NAME, "true", True)]
    empty = {view for view in KINDS if not asked(database_url, f"SELECT 1 FROM {view} LIMIT 1")}
    assert empty == {"metrics"}
    models = "SELECT count(DISTINCT model) FROM history"
    assert asked(database_url, models) == [(7,)]
    gated = "SELECT DISTINCT model, state FROM jobs WHERE error LIKE '%gated%'"
    assert asked(database_url, gated) == [("llama-3.2-3b", "failed")]
    states = dict(asked(database_url, "SELECT state, count(*) FROM changes GROUP BY state"))
    assert states["confirmed"] > states["refuted"] >= 1
    outcomes = "SELECT outcome FROM firings GROUP BY outcome ORDER BY outcome"
    assert asked(database_url, outcomes) == [("fired",), ("missed",), ("overlapped",)]


def test_the_same_seed_gives_the_same_year(sqlite_url: str, postgresql_url: str) -> None:
    for url in (sqlite_url, postgresql_url):
        write_year(url, nights=10, seed=7)
    statement = "SELECT run_id, model, latency_seconds, accuracy, contaminated FROM history ORDER BY run_id"
    ours, theirs = asked(sqlite_url, statement), asked(postgresql_url, statement)
    assert ours
    assert ours == theirs


@pytest.mark.parametrize(("runs", "samples"), [(1001, 3)])
def test_runs_are_of_the_number_asked_for(database_url: str, runs: int, samples: int) -> None:
    write_runs(database_url, runs, samples=samples)
    assert asked(database_url, "SELECT count(*), max(run_id) FROM history") == [(runs, runs)]
    assert asked(database_url, "SELECT count(*) FROM samples") == [(runs * samples,)]
    assert asked(database_url, "SELECT runs FROM series ORDER BY runs") == [(500,), (501,)]
    assert asked(database_url, "SELECT count(*) FROM jobs WHERE run_id IS NULL") == [(0,)]
    later = "history a JOIN history b ON b.run_id = a.run_id + 1 WHERE b.started_at < a.started_at"
    assert asked(database_url, f"SELECT count(*) FROM {later}") == [(0,)]
