"""Storing what was measured: every figure comes back through the view, and what was not measured is NULL."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import exc, insert, text

from bench.results import Answer, Figures, Measurement, Sample
from bench.series import series_definition, series_hash
from bench.spec import JobSpec
from db.engine import Database
from db.inserts import insert_new
from db.jobs import Claimed
from db.runs import store_measurement
from db.tables import machine, run
from tests.db.builders import (
    ENVIRONMENT,
    MACHINE_FACTS,
    QUALITY_SPEC,
    RESOLVED,
    SPEED_HASH,
    SPEED_SPEC,
    WORKLOAD_HASH,
    add_jobs,
    add_worker,
    answer,
    claimed_by,
    empty,
    job_row,
    measurement,
    new_job,
    outcomes,
    row_counts,
    runs,
    sample,
)

#: what the figures are that are no numbers
WORDS: dict[str, Any] = {"energy_source": "rapl", "warm": False}

#: a value of its own for every figure, so that two that were swapped would show
FIGURES: dict[str, Any] = {
    name: (number * 10**9 if name.endswith("_bytes") else number)
    if "int" in str(field.annotation)
    else number + 0.1234567890123
    for number, (name, field) in enumerate(Figures.model_fields.items(), start=1)
} | WORDS


def store(database: Database, measured: Measurement, spec: JobSpec = QUALITY_SPEC) -> tuple[Claimed, int]:
    """Queue a job, claim it and store what was measured; returns the job and its run."""
    add_jobs(database, [new_job(spec)])
    number = row_counts(database)["worker"]
    job = claimed_by(database, add_worker(database, f"worker-{number}"))
    run_id = store_measurement(database, job.id, job.attempt, "machine-a", measured)
    assert run_id is not None
    return job, run_id


def view(database: Database, name: str, run_id: int) -> list[dict[str, Any]]:
    """Return the rows of a run in a view."""
    with database.read() as connection:
        found = connection.execute(text(f"SELECT * FROM {name} WHERE run_id = :run"), {"run": run_id})
        return [dict(row._mapping) for row in found]


def history(database: Database, run_id: int) -> dict[str, Any]:
    """Return a run's row in the view `history`."""
    (row,) = view(database, "history", run_id)
    return row


def test_every_figure_comes_back_to_the_last_digit(database: Database) -> None:
    _, run_id = store(database, measurement(FIGURES))
    row = history(database, run_id)
    assert {name: row[name] for name in FIGURES} == FIGURES
    assert len(set(FIGURES.values())) == len(Figures.model_fields)


def test_what_was_not_measured_is_null_and_never_0(database: Database) -> None:
    _, run_id = store(database, measurement())
    row = history(database, run_id)
    assert {name for name in Figures.model_fields if row[name] is not None} == {"iterations"}
    assert row["processes"] == 1
    assert 0 not in {row[name] for name in Figures.model_fields}


def test_a_measured_0_is_0_and_not_null(database: Database) -> None:
    _, run_id = store(database, measurement({"accuracy": 0.0, "energy_joules": 0.0, "items": 0}))
    row = history(database, run_id)
    assert (row["accuracy"], row["energy_joules"], row["items"]) == (0.0, 0.0, 0)
    assert row["accuracy_stderr"] is None


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.fixed_dictionaries(
        {"iterations": st.integers(0, 2**31 - 1)},
        optional={
            name: st.sampled_from([WORDS[name], None])
            if name in WORDS
            else st.integers(0, 2**62 if name.endswith("_bytes") else 2**31 - 1)
            if "int" in str(field.annotation)
            else st.floats(allow_nan=False, allow_infinity=False)
            for name, field in Figures.model_fields.items()
            if name != "iterations"
        },
    )
)
def test_any_figures_come_back(database: Database, figures: dict[str, Any]) -> None:
    empty(database)
    _, run_id = store(database, measurement(figures))
    row = history(database, run_id)
    assert {name: row[name] for name in Figures.model_fields} == Figures(**figures).model_dump()


def test_samples_say_in_which_process_they_were_measured(database: Database) -> None:
    samples = (sample(0), sample(1, process=2, latency_seconds=0.6))
    spec = SPEED_SPEC.model_copy(update={"processes": 2, "isolation": "process"})
    _, run_id = store(database, measurement(samples=samples), spec)
    found = view(database, "samples", run_id)
    assert [(row["iteration"], row["process"], row["latency_seconds"]) for row in found] == [(0, 1, 0.5), (1, 2, 0.6)]
    assert history(database, run_id)["processes"] == 2


def test_a_quality_run_says_where_and_with_what(database: Database) -> None:
    job, run_id = store(database, measurement())
    row = history(database, run_id)
    expected = {
        "job_id": job.id,
        "batch": job.batch_id,
        "batch_name": "nightly",
        "schedule": None,
        "machine": "machine-a",
        "device": "cpu",
        "device_name": "Test CPU",
        "model": "tiny",
        "revision": "abc123",
        "task": "text",
        "workload": "facts",
        "strategy": "direct",
        "temperature": 0.0,
        "top_p": 1.0,
        "top_k": 0,
        "repetition_penalty": 1.0,
        "max_new_tokens": 16,
        "seed": 0,
        "samples": 1,
        "precision": "float32",
        "quantiser": None,
        "attention": "sdpa",
        "compile": False,
        "cache": "dynamic",
        "isolation": "session",
        "batch_size": 1,
        "prompt_tokens": None,
        "new_tokens": None,
        "source": "benchbeat",
        "session": "session-1",
        "session_position": 1,
        "contaminated": False,
        "contamination": None,
        **ENVIRONMENT.model_dump(),
    }
    assert {name: row[name] for name in expected} == expected


def test_a_speed_run_has_lengths_and_no_samples_per_item(database: Database) -> None:
    _, run_id = store(database, measurement(answers=()), SPEED_SPEC)
    row = history(database, run_id)
    assert (row["prompt_tokens"], row["new_tokens"], row["samples"], row["strategy"]) == (32, 8, None, None)
    assert view(database, "answers", run_id) == []


def test_resolved_values_win_over_what_the_specification_left_open(database: Database) -> None:
    spec = QUALITY_SPEC.model_copy(update={"temperature": None, "device": "any"})
    resolved = RESOLVED.model_copy(
        update={"temperature": 0.7, "top_p": 0.9, "top_k": 40, "repetition_penalty": 1.1, "quantiser": "torchao 1"}
    )
    _, run_id = store(database, measurement(resolved=resolved), spec)
    row = history(database, run_id)
    assert (row["temperature"], row["top_p"], row["top_k"], row["repetition_penalty"]) == (0.7, 0.9, 40, 1.1)
    assert (row["device"], row["quantiser"]) == ("cpu", "torchao 1")


def test_contamination_is_told_in_words(database: Database) -> None:
    _, run_id = store(database, measurement(contamination=("The machine was busy", "The battery was low")))
    row = history(database, run_id)
    assert bool(row["contaminated"])
    assert row["contamination"] == "The machine was busy; The battery was low"


def test_the_job_is_done_with_its_run(database: Database) -> None:
    job, run_id = store(database, measurement())
    row = job_row(database, job.id)
    assert (row.state, row.lease_until, row.error) == ("done", None, None)
    assert row.finished_at is not None
    assert outcomes(database, job.id) == ["done"]
    assert [(each.id, each.job_id) for each in runs(database)] == [(run_id, job.id)]


def test_a_thousand_samples_come_back_in_order(database: Database) -> None:
    samples = tuple(
        Sample(
            iteration=n,
            batch_size=n % 7 + 1,
            prompt_tokens=n + 100,
            new_tokens=n + 200,
            ttft_seconds=n / 7 if n % 2 else None,
            latency_seconds=n / 3,
            decode_tokens_per_second=n * 1.5 if n % 3 else None,
            prefill_tokens_per_second=n * 2.5 if n % 5 else None,
            inter_token_seconds=(n / 1000, 0.25) if n % 11 else (),
        )
        for n in range(1000)
    )
    _, run_id = store(database, measurement(samples=samples), SPEED_SPEC)
    rows = sorted(view(database, "samples", run_id), key=lambda row: int(row["iteration"]))
    again = tuple(
        Sample(
            **{name: row[name] for name in Sample.model_fields if name != "inter_token_seconds"},
            inter_token_seconds=tuple(json.loads(row["inter_token_seconds"] or "[]")),
        )
        for row in rows
    )
    assert again == samples


def test_answers_come_back_word_for_word(database: Database) -> None:
    answers = (
        answer("capital", "Paris.\n\t'quoted' \"twice\" \\ 100 % :name {x} é 🎈 \u2028"),
        answer("capital", "", sample=1, extracted=None, score=0.0, new_tokens=0),
        answer("planet", "x" * 200_000, score=None, finish="length"),
    )
    _, run_id = store(database, measurement(answers=answers))
    rows = view(database, "answers", run_id)
    columns = {name: "heard_language" if name == "language" else name for name in Answer.model_fields}
    again = [Answer(**{name: row[column] for name, column in columns.items()}) for row in rows]
    assert sorted(again, key=repr) == sorted(answers, key=repr)


def test_characters_that_no_database_holds_are_replaced(database: Database) -> None:
    odd = answer("capital", "a\0b\ud800c", extracted="\0\udfff")
    _, run_id = store(database, measurement(answers=(odd,)))
    (row,) = view(database, "answers", run_id)
    assert row["text"] == "a\N{REPLACEMENT CHARACTER}b?c"
    assert row["extracted"] == "\N{REPLACEMENT CHARACTER}?"


def test_nothing_extracted_stays_nothing(database: Database) -> None:
    _, run_id = store(database, measurement(answers=(answer(extracted=None), answer("planet", extracted=""))))
    assert {row["item_id"]: row["extracted"] for row in view(database, "answers", run_id)} == {
        "capital": None,
        "planet": "",
    }


def test_a_second_run_of_a_job_is_refused_by_the_table_itself(database: Database) -> None:
    store(database, measurement())
    (first,) = runs(database)
    values = first._asdict() | {"id": first.id + 1}
    with pytest.raises(exc.IntegrityError), database.write() as connection:
        connection.execute(insert(run).values(values))
    assert len(runs(database)) == 1


def test_a_fault_while_storing_leaves_the_job_as_it_was(database: Database) -> None:
    add_jobs(database)
    job = claimed_by(database, add_worker(database))
    before = job_row(database, job.id)
    twice = measurement(answers=(answer(), answer()))
    with pytest.raises(exc.IntegrityError):
        store_measurement(database, job.id, job.attempt, "machine-a", twice)
    assert job_row(database, job.id) == before
    counts = row_counts(database)
    assert [counts[name] for name in ("run", "sample", "answer", "series_key", "environment")] == [0] * 5
    assert outcomes(database, job.id) == [None]


def test_equal_runs_share_series_and_environment(database: Database) -> None:
    _, first = store(database, measurement())
    _, second = store(database, measurement(session="session-2", figures={"latency_seconds": 2.0}))
    assert history(database, first)["series"] == history(database, second)["series"]
    counts = row_counts(database)
    assert (counts["run"], counts["series_key"], counts["environment"]) == (2, 1, 1)


def test_a_series_is_keyed_by_what_is_compared_and_not_by_versions(database: Database) -> None:
    newer = ENVIRONMENT.model_copy(update={"torch_version": "3.0"})
    _, first = store(database, measurement())
    _, second = store(database, measurement(environment=newer))
    other = RESOLVED.model_copy(update={"revision": "def456"})
    _, third = store(database, measurement(resolved=other))
    series = [history(database, run_id)["series"] for run_id in (first, second, third)]
    assert series[0] == series[1] != series[2]
    assert [history(database, run_id)["torch_version"] for run_id in (first, second)] == ["2.13", "3.0"]


def test_two_machines_are_two_series(database: Database) -> None:
    _, first = store(database, measurement())
    add_jobs(database)
    job = claimed_by(database, add_worker(database, "worker-b", machine_id="machine-b"))
    second = store_measurement(database, job.id, job.attempt, "machine-b", measurement())
    assert second is not None
    assert history(database, first)["series"] != history(database, second)["series"]


@pytest.mark.parametrize(("spec", "workload_hash"), [(QUALITY_SPEC, WORKLOAD_HASH), (SPEED_SPEC, SPEED_HASH)])
def test_a_series_s_definition_is_the_one_that_is_hashed(database: Database, spec: JobSpec, workload_hash: str) -> None:
    _, run_id = store(database, measurement(), spec)
    expected = series_definition(spec, RESOLVED, workload_hash=workload_hash, machine="machine-a")
    with database.read() as connection:
        (row,) = connection.execute(text("SELECT hash, definition FROM series_key"))
    assert json.loads(row.definition) == expected
    assert row.hash == series_hash(expected)
    assert history(database, run_id)["series"] == row.hash[:16]


def test_inserting_what_is_there_changes_nothing(database: Database) -> None:
    add_worker(database)
    other = MACHINE_FACTS | {"chip": "Other", "first_seen_at": 1.0}
    with database.write() as connection:
        insert_new(connection, machine, [])
        insert_new(connection, machine, [other, other | {"id": "machine-b"}])
    with database.read() as connection:
        rows = connection.execute(text("SELECT id, chip FROM machine ORDER BY id")).all()
    assert [tuple(row) for row in rows] == [("machine-a", "Test chip"), ("machine-b", "Other")]


def test_a_result_of_more_rows_than_one_statement_writes_is_stored_whole(database: Database) -> None:
    samples = tuple(
        sample(number, latency_seconds=0.1 + number, prefill_tokens_per_second=None) for number in range(1001)
    )
    answers = tuple(
        answer(f"item-{n}", 'Größer\n"quoted" 100 % \\ :x', extracted=None, score=None) for n in range(1001)
    )
    _, run_id = store(database, measurement(samples=samples, answers=answers))
    # PostgreSQL gives rows of a table with freed pages in any order.
    latencies = {row["iteration"]: row["latency_seconds"] for row in view(database, "samples", run_id)}
    assert latencies == {n: 0.1 + n for n in range(1001)}
    stored = view(database, "answers", run_id)
    assert {row["item_id"] for row in stored} == {each.item_id for each in answers}
    assert [(row["text"], row["extracted"]) for row in stored] == [(answers[0].text, None)] * 1001


def test_gaps_are_kept_to_the_microsecond(database: Database) -> None:
    _, run_id = store(database, measurement(samples=(sample(inter_token_seconds=(0.01234567, 1e-9, 3.0)),)))
    assert view(database, "samples", run_id)[0]["inter_token_seconds"] == "[0.012346,0.0,3.0]"
