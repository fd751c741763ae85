"""Runs of the same job that were really measured are not called different; a real change on top of them is."""

import json
from pathlib import Path

import pytest

from db.engine import Database
from tests.aa.collect import JOBS, ROUNDS, collect
from tests.aa.judging import called_any, called_as_measured, called_by_readings, share_found
from tests.aa.recorded import Recorded, pairs_of, read

#: runs of a tiny model on two shared cores, while other work came and went
RUNS = Path(__file__).parent / "runs.jsonl"


@pytest.fixture
def database(sqlite_url: str) -> Database:
    """Give an empty, upgraded database."""
    return Database(sqlite_url)


@pytest.fixture(scope="module")
def runs() -> list[Recorded]:
    """Give the recorded runs."""
    return read(RUNS)


def test_of_two_hundred_pairs_two_percent_are_called_different_at_most(
    database: Database, runs: list[Recorded]
) -> None:
    pairs = pairs_of(runs)
    assert len(pairs) >= 200
    assert sum(called_as_measured(database, pairs)) <= 0.02 * len(pairs)


def test_runs_that_are_far_apart_are_called_no_more_often(database: Database, runs: list[Recorded]) -> None:
    assert sum(called_any(database, runs, 60)) <= 1


def test_readings_alone_would_call_the_same_job_different(runs: list[Recorded]) -> None:
    assert sum(called_by_readings(pairs_of(runs)[:40])) > 8


def test_a_change_is_found_where_the_noise_lets_it(runs: list[Recorded]) -> None:
    for job in JOBS:
        logs = [run.log_rate for run in runs if run.job == f"{job}, 1 threads"]
        assert share_found(logs, 1, 0.0) <= 0.05
        # As a steadier machine has it.
        assert share_found(logs, 1, 0.2, deviation=0.01) > 0.95
        assert share_found(logs, 5, 0.05, deviation=0.01) > 0.95


def test_a_session_gives_runs_to_record(tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    assert list(collect(file, tmp_path, 1)) == [1]
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [row["position"] for row in rows] == list(range(1, ROUNDS * len(JOBS) + 1))
    assert len({row["session"] for row in rows}) == 1
    measured = read(file)
    assert all(len(run.latencies) == len(run.ttfts) >= 5 for run in measured)
    assert [run.new_tokens for run in measured] == [4, 16, 4, 16]
