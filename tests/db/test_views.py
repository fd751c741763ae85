"""The views: the interface in SQL, with every column in the spelling that people script against."""

import re
from typing import Any

import pytest
from sqlalchemy import text

from bench.results import Figures
from db.columns import KINDS
from db.engine import Database
from db.runs import store_measurement
from db.views import VIEWS, create_views, drop_views
from tests.db.builders import (
    SPEED_SPEC,
    add_jobs,
    add_worker,
    answer,
    change,
    claimed_by,
    measurement,
    new_job,
    populate,
    sample,
)

#: the public columns of `history`, as the design lists them
HISTORY = """
run_id, job_id, batch, schedule, series, started_at, finished_at, machine, device, model, revision, task, workload, strategy, temperature, top_p, max_new_tokens, seed, precision, attention, compile, batch_size, prompt_tokens, new_tokens, source,
os_build, torch_version, transformers_version, benchbeat_version, git_commit, git_dirty, session, session_position, iterations, load_seconds, first_call_seconds, ttft_seconds, prefill_tokens_per_second, decode_tokens_per_second,
inter_token_p50_seconds, inter_token_p99_seconds, latency_seconds, latency_low_seconds, latency_high_seconds, model_bandwidth_utilization, peak_device_memory_bytes, peak_process_memory_bytes, weights_bytes, energy_joules, items, accuracy,
accuracy_stderr, consistency, readability, quality, word_error_rate, real_time_factor, contaminated, contamination
"""  # noqa: E501 - a copy
HISTORY_COLUMNS = re.findall(r"\w+", HISTORY)

#: figures that the view got later, behind its other columns
LATER_FIGURES = {
    "quality_formula",
    "completed",
    "answer_tokens",
    "thinking_tokens",
    "tokens_per_correct_answer",
    "seconds_per_correct_answer",
    "process_latency_low_seconds",
    "process_latency_high_seconds",
    "warmup_iterations",
    "warm",
    "energy_joules_per_token",
    "energy_source",
}


def ask(database: Database, query: str) -> list[dict[str, Any]]:
    """Return the rows of a query."""
    with database.read() as connection:
        return [dict(row._mapping) for row in connection.execute(text(query))]


def measure(database: Database, *, spec: Any = None, started_at: float = 1_700_000_000.0, **changes: Any) -> int:
    """Queue a job, claim it and store its run, which began at a time; returns the run's id."""
    number = len(ask(database, "SELECT job_id FROM jobs"))
    add_jobs(database, [new_job(spec)] if spec is not None else 1)
    job = claimed_by(database, add_worker(database, f"worker-{number}"))
    changes = {"started_at": started_at, "finished_at": started_at + 20} | changes
    run_id = store_measurement(database, job.id, job.attempt, "machine-a", measurement(**changes))
    assert run_id is not None
    return run_id


def test_every_view_and_every_example_can_be_asked(database: Database) -> None:
    populate(database)
    for name, (line, example) in VIEWS.items():
        assert ask(database, f"SELECT * FROM {name}"), name
        assert re.search(rf"\bfrom {name}\b", example)
        assert line == line.strip(" .")
        ask(database, example)


def test_the_interface_has_these_views() -> None:
    assert set(VIEWS) == {
        "history",
        "latest",
        "newest",
        "series",
        "samples",
        "answers",
        "breakdowns",
        "metrics",
        "surroundings",
        "jobs",
        "attempts",
        "batches",
        "schedules",
        "firings",
        "changes",
        "alerts",
    }


@pytest.mark.parametrize("name", ["history", "latest", "newest"])
def test_history_has_every_public_column_in_its_place(database: Database, name: str) -> None:
    with database.read() as connection:
        columns = list(connection.execute(text(f"SELECT * FROM {name}")).keys())
    assert len(HISTORY_COLUMNS) == 59
    assert columns[: len(HISTORY_COLUMNS)] == HISTORY_COLUMNS
    assert len(set(columns)) == len(columns)


def test_history_has_every_figure() -> None:
    assert set(Figures.model_fields) <= {*HISTORY_COLUMNS, *LATER_FIGURES}
    assert set(KINDS["history"]) >= LATER_FIGURES


def test_times_can_be_read_and_compared(database: Database) -> None:
    measure(database, started_at=1_700_000_000.25)
    (row,) = ask(database, "SELECT started_at, finished_at FROM history")
    if database.is_sqlite:
        assert row == {"started_at": "2023-11-14 22:13:20.250", "finished_at": "2023-11-14 22:13:40.250"}
    else:
        assert row["started_at"].isoformat() == "2023-11-14T22:13:20.250000+00:00"
        assert (row["finished_at"] - row["started_at"]).total_seconds() == 20
    found = ask(database, "SELECT run_id FROM history WHERE started_at BETWEEN '2023-11-14' AND '2023-11-15'")
    assert len(found) == 1


def test_what_has_not_happened_has_no_time(database: Database) -> None:
    add_jobs(database)
    (row,) = ask(database, "SELECT queued_at, started_at, finished_at FROM jobs")
    assert row["queued_at"] is not None
    assert row["started_at"] is row["finished_at"] is None


def test_latest_is_the_last_clean_run_of_each_series(database: Database) -> None:
    first = measure(database, started_at=1_700_000_000)
    newest = measure(database, started_at=1_700_002_000)
    measure(database, started_at=1_700_001_000)  # measured before `newest`, stored after it
    measure(database, started_at=1_700_003_000, contamination=("The processor was throttled",))
    other = measure(database, spec=SPEED_SPEC)
    assert [row["run_id"] for row in ask(database, "SELECT run_id FROM latest ORDER BY run_id")] == [newest, other]
    assert first < newest


def test_newest_is_the_last_run_of_each_series_disturbed_or_not(database: Database) -> None:
    measure(database, started_at=1_700_000_000)
    last = measure(database, started_at=1_700_003_000, contamination=("The processor was throttled",))
    measure(database, started_at=1_700_001_000)
    assert [row["run_id"] for row in ask(database, "SELECT run_id FROM newest")] == [last]


def test_a_series_without_a_clean_run_has_no_latest(database: Database) -> None:
    measure(database, contamination=("The battery was low",))
    assert ask(database, "SELECT * FROM latest") == []
    assert len(ask(database, "SELECT * FROM series")) == 1


def test_series_counts_its_runs(database: Database) -> None:
    measure(database, started_at=1_700_000_000)
    measure(database, started_at=1_700_086_400, contamination=("The machine was busy", "The battery was low"))
    measure(database, spec=SPEED_SPEC)
    rows = ask(database, "SELECT series, workload, runs, contaminated_runs, definition FROM series ORDER BY workload")
    assert [(row["workload"], row["runs"], row["contaminated_runs"]) for row in rows] == [
        ("facts", 2, 1),
        ("speed", 1, 0),
    ]
    assert '"machine":"machine-a"' in rows[0]["definition"]
    of_history = ask(database, "SELECT DISTINCT series FROM history WHERE workload = 'facts'")
    assert [row["series"] for row in of_history] == [rows[0]["series"]]
    assert re.fullmatch(r"[0-9a-f]{16}", rows[0]["series"])


def test_answers_stand_beside_their_questions(database: Database) -> None:
    answers = (answer(), answer("planet", "Venus", extracted=None, score=0.0), answer("gone", "What?"))
    measure(database, answers=answers)
    rows = ask(database, "SELECT item_id, prompt, expected, text, extracted, score, level FROM answers")
    assert {row.pop("item_id"): row for row in rows} == {
        "capital": {
            "prompt": "The capital of France?",
            "expected": "Paris",
            "text": "It is Paris.",
            "extracted": "Paris",
            "score": 1.0,
            "level": 1,
        },
        "planet": {
            "prompt": "The red planet?",
            "expected": "Mars | the planet Mars",
            "text": "Venus",
            "extracted": None,
            "score": 0.0,
            "level": 2,
        },
        # an item that the workload doesn't hold loses its question, not its answer
        "gone": {"prompt": None, "expected": None, "text": "What?", "extracted": "Paris", "score": 1.0, "level": None},
    }


def test_samples_hold_the_raw_readings(database: Database) -> None:
    run_id = measure(database, samples=(sample(0, inter_token_seconds=(0.0123456789, 0.02)), sample(1)))
    rows = ask(database, "SELECT run_id, iteration, latency_seconds, inter_token_seconds FROM samples")
    assert [tuple(row.values()) for row in rows] == [(run_id, 0, 0.5, "[0.012346,0.02]"), (run_id, 1, 0.5, None)]


def test_batches_count_their_jobs_by_state(database: Database) -> None:
    jobs = add_jobs(database, 6, name="nightly", key="2024-05-01", priority=3)
    for job_id, state in zip(jobs, ("running", "done", "failed", "cancelled"), strict=False):
        change(database, job_id, state=state)
    (row,) = ask(database, "SELECT * FROM batches")
    row.pop("created_at")
    assert row == {
        "batch": 1,
        "name": "nightly",
        "key": "2024-05-01",
        "priority": 3,
        "jobs": 6,
        "queued": 2,
        "running": 1,
        "done": 1,
        "failed": 1,
        "cancelled": 1,
        "labels": None,
        "schedule": None,
        "published_at": None,
    }


def test_jobs_and_attempts_tell_a_job_s_life(database: Database) -> None:
    populate(database)
    first, second, repeated = ask(database, "SELECT * FROM jobs ORDER BY job_id")
    assert (first["state"], first["attempt"], first["failures"], first["worker"]) == ("done", 2, 1, "worker-a")
    assert first["run_id"] == ask(database, "SELECT run_id FROM history")[0]["run_id"]
    assert (second["state"], second["run_id"], second["repeat_of"]) == ("queued", None, None)
    assert (repeated["repeat_of"], repeated["reason"]) == (first["job_id"], "confirmation")
    attempts = ask(database, "SELECT attempt, machine, outcome, error, stderr FROM attempts ORDER BY attempt")
    assert [tuple(row.values()) for row in attempts] == [
        (1, "machine-a", "failed", "The session ended", "Killed"),
        (2, "machine-a", "done", None, None),
    ]


def test_views_can_be_dropped_and_made_anew(database_url: str) -> None:
    database = Database(database_url)  # not the shared one: with its views go the reader's rights
    populate(database)
    before = ask(database, "SELECT * FROM history")
    with database.write() as connection:
        drop_views(connection)
        drop_views(connection)
        create_views(connection)
    assert ask(database, "SELECT * FROM history") == before
    database.dispose()
