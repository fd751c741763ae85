"""The named query behind `benchbeat history`."""

from typing import Any

import pytest

from db.engine import Database
from db.history import COLUMNS, FILTERS, Rows, history
from db.runs import store_measurement
from tests.db.builders import (
    QUALITY_SPEC,
    SPEED_SPEC,
    add_jobs,
    add_worker,
    claimed_by,
    measurement,
    new_job,
)


def ask(database: Database, limit: int | None = None, **filters: Any) -> Rows:
    """Return the history that matches."""
    with database.read() as connection:
        return history(connection, filters, limit)


def run_ids(database: Database, limit: int | None = None, **filters: Any) -> list[int]:
    """Return the runs that match, in order."""
    return [row[0] for row in ask(database, limit, **filters).rows]


@pytest.fixture
def three(database: Database) -> list[int]:
    """Give the ids of three runs: two of `facts`, in a batch each, and one of `speed` on another machine."""
    ids: list[int] = []
    other = QUALITY_SPEC.model_copy(update={"model": "other", "precision": "float16", "strategy": "few_shot"})
    for spec, machine in ((QUALITY_SPEC, "machine-a"), (other, "machine-a"), (SPEED_SPEC, "machine-b")):
        add_jobs(database, [new_job(spec)])
        job = claimed_by(database, add_worker(database, f"worker-{len(ids)}", machine_id=machine))
        run_id = store_measurement(database, job.id, job.attempt, machine, measurement({"accuracy": 0.5}))
        assert run_id is not None
        ids.append(run_id)
    return ids


def test_an_empty_history_has_columns_and_no_rows(database: Database) -> None:
    assert ask(database) == Rows(list(COLUMNS), [])


def test_runs_are_told_oldest_first(database: Database, three: list[int]) -> None:
    rows = ask(database)
    assert rows.columns == list(COLUMNS)
    assert [row[0] for row in rows.rows] == three
    first = dict(zip(rows.columns, rows.rows[0], strict=True))
    assert (first["model"], first["workload"], first["accuracy"]) == ("tiny", "facts", 0.5)


def test_a_limit_keeps_the_newest(database: Database, three: list[int]) -> None:
    assert run_ids(database, limit=2) == three[1:]
    assert run_ids(database, limit=0) == []
    assert run_ids(database, limit=100) == three


@pytest.mark.parametrize(
    ("filters", "places"),
    [
        ({"batch": 2}, [1]),
        ({"model": "tiny"}, [0, 2]),
        ({"workload": "speed"}, [2]),
        ({"strategy": "few_shot"}, [1]),
        ({"machine": "machine-b"}, [2]),
        ({"device": "cpu"}, [0, 1, 2]),
        ({"precision": "float16"}, [1]),
        ({"model": "tiny", "workload": "facts"}, [0]),
        ({"series": "nobody's"}, []),
        ({"model": "'; DROP TABLE run; --"}, []),
    ],
)
def test_filters_are_equalities(
    database: Database, three: list[int], filters: dict[str, Any], places: list[int]
) -> None:
    assert run_ids(database, **filters) == [three[place] for place in places]


def test_a_series_can_be_followed(database: Database, three: list[int]) -> None:
    with database.read() as connection:
        series = connection.exec_driver_sql("SELECT series FROM latest WHERE workload = 'speed'").scalar_one()
    assert run_ids(database, series=series) == three[2:]


def test_every_filter_is_a_column_of_the_history(database: Database) -> None:
    values: dict[str, Any] = {name: 0 if name == "batch" else "x" for name in FILTERS}
    assert run_ids(database, None, **values) == []


def test_another_filter_is_refused(database: Database) -> None:
    with pytest.raises(ValueError, match="no such filter"):
        ask(database, accuracy=0.5)


def test_a_filter_and_a_limit_work_together(database: Database, three: list[int]) -> None:
    assert run_ids(database, limit=1, model="tiny") == [three[2]]


def test_columns_without_a_value_are_left_out() -> None:
    rows = Rows(["a", "b", "c", "d"], [(1, None, None, 0), (2, None, "x", None)])
    assert rows.without_empty() == Rows(["a", "c", "d"], [(1, None, 0), (2, "x", None)])
    assert Rows(["a"], []).without_empty() == Rows([], [])
