"""Runs of other tools in the history: what their rows hold, and that nothing is stored twice, on both databases."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from bench.errors import InputError
from bench.imports.records import Imported
from bench.spec import JobSpec
from db.columns import KINDS, plain
from db.engine import Database, now
from db.estimates import Estimate, estimate
from db.imports import Stored, find_new
from db.jobs import Claimant, claim, unpublished_batches
from db.repeat import repeat_jobs, rerun
from db.status import batch_status, job_status, life_of, recent_batches, waiting_in_vain
from tests.bench.imports.reading import bench_run, data, eval_runs, runs
from tests.db.builders import everything, row_counts
from tests.db.imported import store, store_file, store_rows

UNKNOWN_MACHINE = "unknown-amd-epyc"


def history(database: Database, query: str = "SELECT * FROM history ORDER BY run_id") -> list[dict[str, Any]]:
    """Return rows as both databases would give them."""
    with database.read() as connection:
        found = connection.execute(text(query)).mappings().all()
    return [{name: plain(value, KINDS["history"].get(name, "text")) for name, value in row.items()} for row in found]


def test_a_run_of_llama_bench_is_a_row_of_the_history(database: Database) -> None:
    assert store_file(database, "llama-bench.json") == Stored(batch_id=1, runs=2, known=0)
    prompt, answer = history(database)
    held = {name: value for name, value in prompt.items() if value is not None}
    series = held.pop("series")
    assert series != answer["series"]
    assert held.pop("latency_seconds") == pytest.approx(0.277285308)
    assert held.pop("prefill_tokens_per_second") == pytest.approx(461.6208)
    assert held.pop("session").startswith("llama-bench.json")
    assert held == {
        "run_id": 1,
        "job_id": 1,
        "batch": 1,
        "batch_name": "llama-bench.json",
        "source": "llama-bench",
        "started_at": "2026-11-22 15:35:13.000",
        "finished_at": "2026-11-22 15:35:15.799",
        "duration_seconds": pytest.approx(2.799253702),
        "machine": UNKNOWN_MACHINE,
        "device": "cpu",
        "device_name": "AMD EPYC",
        "model": "SmolLM2-135M-Instruct",
        "revision": "-",
        "task": "text",
        "workload": "speed",
        "precision": "Q4_1",
        "attention": "auto",
        "compile": False,
        "cache": "f16",
        "isolation": "-",
        "batch_size": 1,
        "prompt_tokens": 128,
        "new_tokens": 0,
        "iterations": 10,
        "session_position": 1,
        "latency_low_seconds": 0.275358864,
        "latency_high_seconds": 0.284079821,
        "weights_bytes": 96_576_768,
        "os_build": "-",
        "python_version": "-",
        "torch_version": "-",
        "transformers_version": "-",
        "benchbeat_version": "-",
        "processes": 1,
        "threads": 2,
        "libraries": '{"llama.cpp": "build 1 (0c1e570)"}',
        "contaminated": False,
    }


def test_its_readings_are_samples(database: Database) -> None:
    store_file(database, "llama-bench.json")
    found = history(database, "SELECT * FROM samples WHERE run_id = 2 ORDER BY iteration")
    _, answer = runs(data("llama-bench.json"))
    assert [row["latency_seconds"] for row in found] == [each.latency_seconds for each in answer.readings]
    assert {row["prefill_tokens_per_second"] for row in found} == {None}
    store_file(database, "llama-bench.sql", machine_id="elsewhere")
    assert history(database, "SELECT * FROM samples WHERE run_id > 2") == []


def test_a_run_of_lm_eval_has_its_accuracy_and_metrics(database: Database) -> None:
    store_file(database, "results_tiny-qwen2.json")
    (row,) = history(database)
    assert (row["source"], row["workload"], row["model"]) == ("lm-eval", "lm_eval:both@0-1-shot", "tiny-qwen2")
    assert (row["accuracy"], row["accuracy_stderr"], row["items"]) == (0.42857142857142855, 0.2020305089104421, 14)
    assert (row["torch_version"], row["batch_size"], row["latency_seconds"]) == ("2.13.0+cpu", 3, None)
    assert (row["started_at"], row["precision"]) == ("2026-11-26 01:10:41.472", "float32")
    metrics = history(database, "SELECT task, name, filter, value FROM metrics ORDER BY task, name, filter")
    assert [tuple(each.values())[:3] for each in metrics] == [
        ("both", "acc", "none"),
        ("colours", "acc", "none"),
        ("colours", "acc_norm", "none"),
        ("words", "exact_match", "loose"),
        ("words", "exact_match", "strict"),
    ]


def test_every_view_can_be_read(database: Database) -> None:
    store_file(database, "llama-bench.json")
    store_file(database, "results_tiny-qwen2.json")
    assert [row["runs"] for row in history(database, "SELECT * FROM series")] == [1, 1, 1]
    assert len(history(database, "SELECT * FROM latest WHERE source = 'llama-bench'")) == 2
    jobs = history(database, "SELECT * FROM jobs ORDER BY job_id")
    assert [(row["state"], row["reason"], row["waited_seconds"]) for row in jobs] == [("done", "imported", 0.0)] * 3
    assert json.loads(jobs[0]["spec"])["model_filename"] == "SmolLM2-135M-Instruct.Q4_1.gguf"
    batches = history(database, "SELECT * FROM batches ORDER BY batch")
    assert [(row["jobs"], row["done"]) for row in batches] == [(2, 2), (1, 1)]


def test_the_same_again_stores_nothing(database: Database) -> None:
    store_file(database, "llama-bench.json")
    before = everything(database)
    assert store_file(database, "llama-bench.json") == Stored(batch_id=None, runs=0, known=2)
    # SQL of the same tests holds the same runs.
    assert store_file(database, "llama-bench.sql") == Stored(batch_id=None, runs=0, known=2)
    assert everything(database) == before


def test_a_file_that_grew_adds_what_is_new(database: Database) -> None:
    first, second, third = ({"test_time": f"2026-11-22T15:00:0{n}Z"} for n in range(3))
    assert store_rows(database, first, second, key="one") == Stored(batch_id=1, runs=2, known=0)
    assert store_rows(database, first, second, third, key="two") == Stored(batch_id=2, runs=1, known=2)
    assert [row["batch"] for row in history(database)] == [1, 1, 2]


def test_two_tests_of_the_same_second_are_two(database: Database) -> None:
    assert store_rows(database, {}, {}, key="one").runs == 2
    assert store_rows(database, {}, {}, key="two") == Stored(batch_id=None, runs=0, known=2)
    assert store_rows(database, {}, {}, {}, key="three") == Stored(batch_id=2, runs=1, known=2)


def test_another_machine_is_another_series(database: Database) -> None:
    store_file(database, "llama-bench.json", machine_id="lab-a", key="one")
    assert store_file(database, "llama-bench.json", machine_id="lab-b", key="two").runs == 2
    assert {row["machine"] for row in history(database)} == {"lab-a", "lab-b"}
    assert len({row["series"] for row in history(database)}) == 4


def test_a_machine_that_is_known_keeps_what_is_known_of_it(database: Database) -> None:
    store_rows(database, {"cpu_info": "First"}, key="one")
    store_rows(database, {"cpu_info": "Second", "n_threads": 8}, key="two")
    assert history(database, "SELECT id, chip FROM machine") == [{"id": "machine-a", "chip": "First"}]


def test_of_two_imports_of_the_same_at_once_one_fails(database: Database) -> None:
    store_rows(database, {})
    with pytest.raises(IntegrityError):
        store_rows(database, {"n_threads": 3})
    assert len(history(database)) == 1


def test_many_runs_are_written_in_parts(database: Database) -> None:
    many = [bench_run(test_time=f"2026-11-22T{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}Z") for n in range(1201)]
    assert store(database, iter(many)) == Stored(batch_id=1, runs=1201, known=0)
    assert store(database, iter(many), key="again") == Stored(batch_id=None, runs=0, known=1201)
    found = history(database)
    assert [row["session_position"] for row in found] == [1] * 1201
    assert [row["started_at"] for row in found] == sorted(row["started_at"] for row in found)
    counts = row_counts(database)
    assert (counts["run"], counts["job"], counts["sample"], counts["environment"]) == (1201, 1201, 12_010, 1)


def test_a_run_of_the_future_is_refused_and_nothing_is_kept(database: Database) -> None:
    empty = everything(database)
    with pytest.raises(InputError) as caught:
        store_rows(database, {}, {"test_time": "2099-01-01T12:00:00Z"})
    said = "out:1 (row 1): began at 2099-01-01 12:00:00 UTC, which lies in the future: it is 20"
    assert str(caught.value).startswith(said)
    assert everything(database) == empty


def test_clocks_may_differ_by_minutes(database: Database) -> None:
    with database.read() as connection:
        present = connection.execute(select(now())).scalar_one()
    (run,) = eval_runs(date=present + 60)
    assert store(database, [run]).runs == 1


def test_a_fault_in_a_later_row_undoes_the_earlier_ones(database: Database) -> None:
    def found() -> Iterator[Imported]:
        yield from runs(data("llama-bench.json"))
        raise InputError("is no row")

    empty = everything(database)
    with pytest.raises(InputError, match="is no row"):
        store(database, found())
    assert everything(database) == empty


def test_what_would_be_stored_is_told_without_storing(database: Database) -> None:
    found = runs(data("llama-bench.json"))
    store(database, found[:1])
    before = everything(database)
    with database.read() as connection:
        candidates = list(find_new(connection, found))
    assert [(each.machine, each.is_new) for each in candidates] == [(UNKNOWN_MACHINE, False), (UNKNOWN_MACHINE, True)]
    assert everything(database) == before
    assert [each.is_new for each in find_new(None, found)] == [True, True]


def test_no_worker_is_rung_for_an_import(database: Database) -> None:
    store_file(database, "llama-bench.json")
    with database.read() as connection:
        assert unpublished_batches(connection) == []
        assert waiting_in_vain(connection, []) == []
        assert batch_status(connection, 1).done == 2
        assert [each.open for each in recent_batches(connection, 5)] == [0]
    assert claim(database, Claimant("nobody", ("imported",), 10_000, None), lease_seconds=60) is None


def test_an_imported_job_has_a_life_of_its_own(database: Database) -> None:
    store_file(database, "llama-bench.json")
    with database.read() as connection:
        assert [each.what for each in life_of(connection, 1)] == ["measured", "imported"]
        assert job_status(connection, 2).what == "SmolLM2-135M-Instruct speed tg64 (llama-bench)"


def test_an_imported_run_can_t_be_measured_again(database: Database) -> None:
    store_file(database, "llama-bench.json")
    said = "job 1 was imported; only the tool that measured it can measure it again"
    with database.write() as connection:
        with pytest.raises(InputError, match=said):
            repeat_jobs(connection, [1], "confirmation")
        with pytest.raises(InputError, match=said):
            rerun(connection, [], 1)


def test_the_time_of_our_jobs_is_not_guessed_from_imports(database: Database) -> None:
    store_file(database, "llama-bench.json")
    spec = JobSpec(model="SmolLM2-135M-Instruct", workload="speed", prompt_tokens=128, new_tokens=64)
    with database.read() as connection:
        assert estimate(connection, [spec]) == Estimate(0.0, 0, 1)


def test_what_a_file_says_is_kept_as_json(database: Database) -> None:
    store_rows(database, {"stddev_ts": float("nan"), "more": [float("inf"), 1]})
    spec = json.loads(history(database, "SELECT spec FROM jobs")[0]["spec"], parse_constant=pytest.fail)
    assert (spec["stddev_ts"], spec["more"], spec["model"], spec["source"]) == (
        None,
        [None, 1],
        "SmolLM2-135M-Instruct",
        "llama-bench",
    )


def test_texts_that_no_database_holds_are_made_fit(database: Database) -> None:
    (run,) = eval_runs(pretty_env_info="OS: a\x00b\ud800\nModel name: c\x00d", git_hash="\x00\ud800x")
    assert store(database, [run], name="a\x00b.json").runs == 1
    (row,) = history(database)
    assert (row["os_build"], row["batch_name"]) == ("a b", "a\N{REPLACEMENT CHARACTER}b.json")
