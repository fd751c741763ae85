"""`history` and `sql`."""

import csv
import io
import json

import pytest

from db.engine import Database
from db.history import COLUMNS
from tests.cli.conftest import Command
from tests.db.builders import populate


@pytest.fixture
def measured(history: Database) -> Database:
    """Give a history with a run."""
    populate(history)
    return history


def test_an_empty_history_is_exit_code_4(benchbeat: Command, history: Database) -> None:
    done = benchbeat("history")
    assert (done.code, done.out, done.err) == (4, "", "nothing was measured yet; begin with `benchbeat run`\n")


def test_filters_that_match_nothing_are_exit_code_4(benchbeat: Command, measured: Database) -> None:
    done = benchbeat("history", "--model", "other")
    said = "no run matches: there is no model 'other' in the history; there is tiny\n"
    assert (done.code, done.out, done.err) == (4, "", said)


def test_the_history_shows_what_was_measured_and_no_empty_column(benchbeat: Command, measured: Database) -> None:
    done = benchbeat("history")
    assert done.code == 0
    header, _, row = done.out.splitlines()
    assert "energy_joules" not in header
    assert row.split()[0] == "1"


def test_the_history_is_filtered(benchbeat: Command, measured: Database) -> None:
    wanted = ("--batch", "1", "--model", "tiny", "--workload", "facts", "--strategy", "direct", "--device", "cpu")
    rows = json.loads(benchbeat("history", *wanted, "--limit", "1", "-o", "json").out)
    assert [(row["run_id"], row["model"]) for row in rows] == [(1, "tiny")]
    assert tuple(rows[0]) == COLUMNS


def test_a_query_is_answered(benchbeat: Command, measured: Database) -> None:
    done = benchbeat("sql", "select run_id, model from history", "-o", "csv")
    assert (done.code, done.err) == (0, "")
    assert list(csv.reader(io.StringIO(done.out))) == [["run_id", "model"], ["1", "tiny"]]


def test_a_query_comes_from_standard_input(
    benchbeat: Command, measured: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("select 1 as one"))
    assert json.loads(benchbeat("sql", "-", "-o", "json").out) == [{"one": 1}]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("select * from histroy", "The query fails: no such table: histroy; did you mean 'history'?"),
        (
            "delete from job",
            "A statement begins with SELECT, WITH or VALUES, since nothing is written here; not 'delete'",
        ),
    ],
)
def test_a_query_that_cannot_be_answered_is_exit_code_2(
    benchbeat: Command, measured: Database, statement: str, said: str
) -> None:
    done = benchbeat("sql", statement)
    assert (done.code, done.out, done.err) == (2, "", f"Error: {said}\n")


def test_without_a_statement_the_views_are_shown(benchbeat: Command, history: Database) -> None:
    done = benchbeat("sql")
    assert done.code == 0
    assert "history: one row a run: what was measured, where and with what" in done.out
    assert "benchbeat sql \"select job_id, state, error from jobs where state = 'failed'\"" in done.out
