"""Rows of the history as pandas and polars take them, alike from both databases."""

from datetime import UTC, datetime

import pandas
import polars
import pytest

from db.engine import Database
from db.history import Query, Rows, history
from tests.db.built_history import NIGHTS, build

_COLUMNS = ("run_id", "started_at", "model", "new_tokens", "accuracy", "contaminated", "warm", "labels", "quantiser")


@pytest.fixture
def rows(database: Database) -> Rows:
    """Give some columns of all runs, the oldest first."""
    build(database)
    with database.read() as connection:
        return history(connection, Query(columns=_COLUMNS))


def test_pandas_takes_the_columns(rows: Rows) -> None:
    frame = pandas.DataFrame(rows.by_column())
    assert list(frame.columns) == list(_COLUMNS)
    assert len(frame) == len(rows.rows)
    assert isinstance(frame["started_at"].dtype, pandas.DatetimeTZDtype)
    assert frame["started_at"].iloc[0] == pandas.Timestamp(NIGHTS[0], unit="s", tz="UTC")
    assert frame["run_id"].dtype == "int64"
    assert frame["accuracy"].dtype == "float64"
    assert frame["contaminated"].dtype == "bool"
    assert frame["contaminated"].sum() == 1
    assert frame["accuracy"].isna().any()
    assert set(frame["warm"].dropna()) == {True, False}


def test_polars_takes_the_columns(rows: Rows) -> None:
    frame = polars.DataFrame(rows.by_column())
    assert frame.columns == list(_COLUMNS)
    assert frame.schema["started_at"] == polars.Datetime("us", "UTC")
    assert frame["started_at"][0] == datetime.fromtimestamp(NIGHTS[0], UTC)
    kinds = {"run_id": polars.Int64, "new_tokens": polars.Int64, "accuracy": polars.Float64, "warm": polars.Boolean}
    kinds |= {"model": polars.String, "contaminated": polars.Boolean, "labels": polars.String, "quantiser": polars.Null}
    assert {name: frame.schema[name] for name in kinds} == kinds
    assert frame["new_tokens"].null_count() > 0
    assert frame.filter(polars.col("contaminated")).height == 1


def test_no_rows_are_a_frame_with_columns(database: Database) -> None:
    with database.read() as connection:
        found = history(connection, Query(columns=("model", "started_at")))
    assert list(pandas.DataFrame(found.by_column()).columns) == ["model", "started_at"]
    assert polars.DataFrame(found.by_column()).shape == (0, 2)


def test_groups_are_taken_too(database: Database) -> None:
    build(database)
    with database.read() as connection:
        found = history(connection, Query(group_by=("model",)))
    frame = pandas.DataFrame(found.by_column())
    assert frame["n"].dtype == "int64"
    assert frame["accuracy"].dtype == "float64"
