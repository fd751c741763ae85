"""Changes in a history that nobody watched as it grew."""

from dataclasses import replace

import pytest
from sqlalchemy import select, text, update

from bench.level_changes import LevelChange, told
from db.conditions import Condition
from db.engine import Database
from db.history import Query
from db.level_changes import changes_in_history
from db.tables import change, run
from tests.bench.series_values import noisy
from tests.db.builders import suspect
from tests.db.long_history import write_series


def read(database: Database, *conditions: str, since: str | None = None) -> list[LevelChange]:
    with database.read() as connection:
        return changes_in_history(connection, Query(tuple(map(Condition.parse, conditions)), since=since)).changes


@pytest.fixture
def runs(database: Database) -> dict[str, list[int]]:
    """Give two series, the second of which became slower by a tenth at its 31st run."""
    values = {"even": list(noisy((0.5, 60))), "slower": list(noisy((0.5, 30), (0.55, 30), seed=2))}
    return write_series(database, values)


def test_a_change_is_found_where_nobody_watched(database: Database, runs: dict[str, list[int]]) -> None:
    (found,) = read(database)
    assert (found.state, found.change_id, found.is_slower, found.stands) == ("found", None, True, True)
    assert (found.last_run_id, found.first_run_id) == (runs["slower"][29], runs["slower"][30])
    assert found.series.startswith("slower")
    assert found.ratio == pytest.approx(1.1, rel=0.02)
    first, series, _, why = told(found)
    assert first == "Slower, found in the history; nothing was measured again to confirm it"
    assert series == "tiny speed 32+8 float32, cpu of machine-a"
    assert why == "nothing that is recorded changed with it"


def test_what_is_asked_of_its_first_run_chooses_it(database: Database, runs: dict[str, list[int]]) -> None:
    assert len(read(database, "model=tiny")) == 1
    assert read(database, "model=other") == []
    # The whole series is looked at, not what matches alone.
    assert len(read(database, f"run_id={runs['slower'][30]}")) == 1


def test_disturbed_runs_are_left_out(database: Database, runs: dict[str, list[int]]) -> None:
    with database.write() as connection:
        connection.execute(update(run).where(run.c.id.in_(runs["slower"][30:])).values(contaminated=True))
    assert read(database) == []


def test_what_was_suspected_already_is_not_found_again(database: Database, runs: dict[str, list[int]]) -> None:
    with database.write() as connection:
        suspect(connection)
        series_id = connection.execute(select(run.c.series_id).where(run.c.id == runs["slower"][0])).scalar_one()
        known = {"series_id": series_id, "run_id": runs["slower"][34], "first_run_id": runs["slower"][33]}
        connection.execute(update(change).values(state="refuted", **known))
    assert [each.state for each in read(database)] == ["refuted"]
    with database.write() as connection:
        connection.execute(update(change).values(first_run_id=runs["slower"][45]))
    assert [each.state for each in read(database)] == ["found", "refuted"]


def test_a_change_that_another_followed_does_not_stand(database: Database) -> None:
    write_series(database, {"bump": list(noisy((0.5, 30), (0.6, 30), (0.5, 30)))})
    slower, faster = read(database)
    assert [slower.stands, faster.stands] == [False, True]
    assert told(replace(faster, stands=True))[0].startswith("Faster, found in the history")


def test_the_history_is_read_from_its_index(database: Database, runs: dict[str, list[int]]) -> None:
    query = (
        "SELECT series_id, id, latency_seconds FROM run WHERE new_tokens IS NOT NULL AND contaminated IS {} "
        "ORDER BY series_id, id"
    )
    with database.read() as connection:
        if connection.dialect.name == "sqlite":
            plan = connection.execute(text("EXPLAIN QUERY PLAN " + query.format("0"))).all()
            assert "COVERING INDEX run_judged" in str(plan)
        else:
            # Few rows, and statistics of other tests' rows: a plan that needs none of these is taken whatever they say.
            for step in ("seqscan", "sort", "incremental_sort"):
                connection.execute(text(f"SET LOCAL enable_{step} = off"))
            plan = connection.execute(text("EXPLAIN " + query.format("false"))).all()
            assert "run_judged" in str(plan)
