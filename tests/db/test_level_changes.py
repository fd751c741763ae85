"""Reading changes of levels, with what changed in the surroundings at the same time."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from bench.errors import InputError
from bench.level_changes import EnvironmentChange, LevelChange, explained, title, told
from db.conditions import Condition
from db.engine import Database
from db.history import Query
from db.level_changes import changes_in_history
from db.regressions import runs_of_series, waiting_series
from db.runs import store_measurement
from scheduler.watch import watch
from tests.db import builders
from tests.db.builders import ENVIRONMENT, add_jobs, add_worker, claimed_by, measurement, new_job

QUIET = (0.5, 0.503, 0.498, 0.501, 0.497, 0.502, 0.499, 0.5, 0.504, 0.498, 0.501, 0.499)


def measured(database: Database, values: Sequence[float], **environment: Any) -> None:
    """Measure a value a night, judge each, and measure again as often as is asked for."""
    for value in values:
        add_jobs(database, [new_job(builders.SPEED_SPEC)])
        state = "suspected"
        while state == "suspected":
            number = len(builders.runs(database)) + 1
            worker = add_worker(database, f"worker-{number}", queues=("any.4", "machine.machine-a.cpu"))
            claimed = claimed_by(database, worker)
            taken = measurement(
                {"latency_seconds": value},
                environment=ENVIRONMENT.model_copy(update=environment),
                started_at=1_700_000_000.0 + 86_400 * number,
                finished_at=1_700_000_020.0 + 86_400 * number,
            )
            store_measurement(database, claimed.id, claimed.attempt, "machine-a", taken)
            state = watch(database)[0].state


def read(database: Database, *conditions: str) -> list[LevelChange]:
    with database.read() as connection:
        return changes_in_history(connection, Query(tuple(map(Condition.parse, conditions)))).changes


@pytest.fixture
def slower(database: Database) -> LevelChange:
    """Give a slow-down that came with another torch and one thread less."""
    measured(database, QUIET, threads=2)
    measured(database, (0.6, 0.602, 0.599), threads=1, torch_version="2.14")
    (found,) = read(database)
    return found


def test_a_change_is_explained_by_what_changed_with_it(slower: LevelChange) -> None:
    assert (slower.state, slower.is_slower, slower.stands) == ("confirmed", True, True)
    assert slower.environment == (
        EnvironmentChange("torch_version", "2.13", "2.14", True),
        EnvironmentChange("threads", "2", "1", True),
    )
    first, series, size, why = told(slower)
    assert first.startswith("Slower, confirmed by ")
    assert series == "tiny speed 32+8 float32, cpu of machine-a"
    assert size.startswith("500 ms -> 600 ms a pass: +20.0 % (+")
    assert f"since run {slower.first_run_id} (2023-1" in size
    assert why == "changed with it: torch_version 2.13 -> 2.14; threads 2 -> 1"


def test_what_changed_somewhere_near_is_said_after_it(database: Database) -> None:
    measured(database, QUIET[:6], git_commit="old", libraries={"launch": "terminal"})
    measured(database, QUIET[6:], git_commit="new", libraries={"launch": "terminal"})
    measured(database, (0.6, 0.601), git_commit="new", libraries={"launch": "launchd"})
    (found,) = read(database)
    assert found.environment == (
        EnvironmentChange("libraries.launch", "terminal", "launchd", True),
        EnvironmentChange("git_commit", "new, old", "new", False),
    )
    assert explained(found.environment) == (
        "changed with it: libraries.launch terminal -> launchd; changed near it: git_commit (new, old -> new)"
    )


def test_a_change_that_was_undone_does_not_stand(database: Database) -> None:
    measured(database, (*QUIET, 0.6, 0.601, 0.599, 0.6, 0.602, 0.6, 0.599, 0.601, *QUIET))
    slower, faster = read(database)
    assert (slower.is_slower, slower.stands) == (True, False)
    assert (faster.is_slower, faster.stands) == (False, True)
    assert explained(faster.environment) == "nothing that is recorded changed with it"
    assert title((slower, faster)) == "1 slower, 1 faster"


def test_the_first_run_of_the_new_level_is_asked_for(database: Database, slower: LevelChange) -> None:
    assert read(database, "model=tiny", "machine=machine-a") == [slower]
    assert read(database, "model=other") == []
    with database.read() as connection:
        assert changes_in_history(connection, Query(since="2024-01-01")).changes == []
        found = changes_in_history(connection, Query(until="2030-01-01"))
    assert (found.changes, found.waiting) == ([slower], 0)
    assert found.runs == len(builders.runs(database))
    with database.read() as connection, pytest.raises(InputError):
        changes_in_history(connection, Query(since="some day"))


def test_a_clock_that_went_back_changes_no_order(database: Database) -> None:
    measured(database, QUIET)
    with database.read() as connection:
        series_id = builders.runs(database)[0].series_id
        ids = [each.id for each in runs_of_series(connection, series_id)]
        assert waiting_series(connection) == []
    assert ids == sorted(ids)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"state": "suspected", "extra_runs": 1}, "suspected; 1 more run asked for to confirm it"),
        ({"state": "undecided", "extra_runs": 6}, "suspected, and 6 more runs did not decide it"),
        ({"state": "refuted", "extra_runs": 2}, "suspected, and refuted by 2 more runs"),
        ({"state": "found", "extra_runs": 0}, "found in the history; nothing was measured again to confirm it"),
        ({"state": "confirmed", "extra_runs": 0}, "confirmed by the runs that followed"),
        ({"kind": "drift"}, "Slower, little by little, confirmed by"),
        ({"ratio": 0.9}, "Faster, confirmed by"),
    ],
)
def test_how_a_change_is_known_is_said(slower: LevelChange, changed: dict[str, Any], said: str) -> None:
    assert said in told(replace(slower, **changed))[0]
