"""Synthetic histories: the views read them as they read what was measured."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from db.columns import KINDS
from db.engine import Database
from tests.report import synthetic_runs
from tests.report.synthetic_night import DEVICE_NAME, MACHINE
from tests.report.synthetic_runs import main, write_runs
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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["0"], "runs must be 1 or more"),
        (["many"], "invalid int value: 'many'"),
        (["10", "--database-url", "runs.db"], "must be sqlite:///PATH or postgresql://"),
        (["10", "--database-url", "postgresql://nobody@127.0.0.1:1/x"], "can't be used"),
    ],
)
def test_a_mistake_of_the_script_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    given = arguments if "--database-url" in arguments else [*arguments, "--database-url", "sqlite:///runs.db"]
    with pytest.raises(SystemExit) as ended:
        main(given)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_script_fills_a_new_database_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["20", "--samples", "1", "--database-url", f"sqlite:///{tmp_path / 'runs.db'}"]
    assert main(given) == 0
    assert capsys.readouterr().out.startswith("20 runs of 1 series are in sqlite:///")
    with pytest.raises(SystemExit):
        main(given)
    assert "holds batches already; name a new database" in capsys.readouterr().err


def test_the_script_tells_how_many_series_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(synthetic_runs, "RUNS_A_SERIES", 1)
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    assert main(["250", "--samples", "0", "--database-url", url]) == 0
    ((series,),) = asked(url, "SELECT count(DISTINCT series) FROM history")
    # A machine's jobs hold some series twice.
    assert series < 250
    assert capsys.readouterr().out.startswith(f"250 runs of {series} series are in sqlite:///")
