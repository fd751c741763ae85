"""Runs of other tools beside our own, on both databases."""

from typing import Any

import pytest
from sqlalchemy import text

from bench.imports.records import Imported
from db.compare import Comparison, compare_by, compare_two
from db.engine import Database
from db.history import Query
from db.sides import read_sides
from tests.bench.imports.reading import eval_runs, results
from tests.db.imported import OF_OURS, store, store_our_task, store_ours, store_rows


def by(database: Database, column: str) -> Comparison:
    with database.read() as connection:
        return compare_by(connection, Query(), column)


def colours(**changes: Any) -> Imported:
    """Return the run of one task of the fixture, with fields of its file changed."""
    found = results()
    names = ("results", "configs", "versions", "n-shot", "n-samples")
    alone = {name: {"colours": found[name]["colours"]} for name in names} | {"group_subtasks": {}}
    (run,) = eval_runs(**(alone | changes))
    return run


def changes(found: Comparison) -> list[dict[str, float]]:
    """Return the speed's changes of each line that is no baseline."""
    return [
        {name: round(each.change, 4) for name, each in line.changes.items() if name != "weights_bytes"}
        for line in found.lines
        if not line.is_baseline
    ]


def test_prompt_answer_and_both_stand_beside_what_we_timed_of_them(database: Database) -> None:
    store_ours(database)
    store_rows(
        database,
        OF_OURS | {"n_prompt": 128, "n_gen": 0, "samples_ns": [0.125e9] * 6},
        OF_OURS | {"n_prompt": 0, "n_gen": 64, "n_depth": 128, "samples_ns": [0.5e9] * 6},
        OF_OURS | {"n_prompt": 128, "n_gen": 64, "samples_ns": [0.5e9] * 6},
    )
    found = by(database, "source")
    assert [(line.baseline_value, line.value) for line in found.lines if not line.is_baseline] == [
        ("benchbeat", "llama-bench")
    ] * 3
    assert sorted(map(str, changes(found))) == sorted(
        map(
            str,
            [
                {"prefill_tokens_per_second": 2.0},
                {"decode_tokens_per_second": round(64 / 0.5 / (63 / 0.75), 4)},
                {"latency_seconds": 0.5},
            ],
        )
    )
    assert found.notes == []


@pytest.mark.parametrize(
    "row",
    [
        OF_OURS | {"n_prompt": 256},
        OF_OURS | {"n_prompt": 128, "n_depth": 64},
        OF_OURS | {"n_prompt": 0, "n_gen": 64},
        OF_OURS | {"model_type": "llama 1M Q8_0"},
        OF_OURS | {"model_filename": "other.gguf"},
        OF_OURS | {"backends": "CUDA", "gpu_info": "L4", "n_gpu_layers": 99},
    ],
)
def test_other_work_is_not_compared(database: Database, row: dict[str, Any]) -> None:
    store_ours(database)
    store_rows(database, row)
    found = by(database, "source")
    assert list(found.lines) == []
    assert found.notes[0].startswith("no two runs of different sources that match share model, workload, lengths")


def test_runs_that_are_alone_are_counted_once(database: Database) -> None:
    store_ours(database)
    store_ours(database, prompt_tokens=512)
    store_rows(database, OF_OURS, OF_OURS | {"n_prompt": 64})
    found = by(database, "source")
    assert len(found.lines) == 2
    assert found.notes == ["Left out: 2 series with one source only."]


def test_the_last_of_several_series_alike_is_shown(database: Database) -> None:
    store_ours(database)
    store_rows(database, OF_OURS | {"n_threads": 1}, OF_OURS | {"n_threads": 2, "test_time": "2026-11-22T16:00:00Z"})
    found = by(database, "source")
    assert [line.run.columns["threads"] for line in found.lines if not line.is_baseline] == [2]
    assert found.notes == ["Of several series alike the last is shown (--where chooses): llama-bench."]


def test_of_what_differs_only_what_both_tools_tell_is_said(database: Database) -> None:
    store_ours(database, compile=True)
    store_rows(database, OF_OURS)
    found = by(database, "source")
    assert [tuple(each) for each in found.differences] == [("compile", "true", "false")]
    assert found.notes == []


def test_a_prompt_s_rate_is_tested_against_earlier_runs(database: Database) -> None:
    times = (0.125, 0.13, 0.12, 0.125)
    rows = [{"samples_ns": [each * 1e9] * 6, "test_time": f"2026-11-2{n}T00:00:00Z"} for n, each in enumerate(times)]
    store_rows(database, *rows, {"n_threads": 9, "samples_ns": [0.5e9] * 6, "test_time": "2026-11-25T00:00:00Z"})
    change = by(database, "threads").lines[1].changes["prefill_tokens_per_second"]
    assert (change.method, change.basis, change.runs) == ("t-test", "history", (4, 1))
    assert change.change == pytest.approx(0.25, rel=0.02)


def test_of_pruned_samples_the_interval_of_a_prompt_alone_tells_its_rate(database: Database) -> None:
    store_rows(database, {"n_threads": 1}, {"n_threads": 4})
    with database.write() as connection:
        connection.execute(text("DELETE FROM sample"))
    assert by(database, "threads").lines[1].changes["prefill_tokens_per_second"].n == 10


def test_of_pruned_samples_the_interval_of_a_call_tells_nothing_of_its_prompt(database: Database) -> None:
    store_ours(database)
    store_rows(database, OF_OURS | {"n_prompt": 128, "n_gen": 0})
    with database.write() as connection:
        connection.execute(text("DELETE FROM sample"))
    change = by(database, "source").lines[1].changes["prefill_tokens_per_second"]
    assert (change.low, change.n) == (None, None)


def test_a_task_of_lm_eval_is_compared_by_its_accuracy(database: Database) -> None:
    store_our_task(database, "colours", 0.3, items=7, batch_size=16)
    store(database, [colours()], machine_id="machine-a")
    found = by(database, "source")
    (line,) = (line for line in found.lines if not line.is_baseline)
    change = line.changes["accuracy"]
    assert (change.baseline, change.figure, change.method) == (0.3, 0.42857142857142855, "normal")


def test_another_number_of_items_or_examples_is_not(database: Database) -> None:
    store_our_task(database, "colours", 0.3)
    store_our_task(database, "colours", 0.3, items=6)
    store(database, [colours()], machine_id="machine-a")
    store(database, [colours(**{"n-shot": {"colours": 5}})], machine_id="machine-a", key="five")
    assert list(by(database, "source").lines) == []


def test_two_runs_are_compared_whatever_they_differ_in(database: Database) -> None:
    store_ours(database)
    store_rows(database, OF_OURS | {"model_type": "llama 1M Q8_0", "samples_ns": [0.125e9] * 6})
    with database.read() as connection:
        found = compare_two(connection, Query(), *read_sides(connection, "run:1", "run:2"))
    assert changes(found) == [{"prefill_tokens_per_second": 2.0}]
    differing = {each.column: (each.baseline, each.other) for each in found.differences}
    assert differing["source"] == ("benchbeat", "llama-bench")
    assert differing["precision"] == ("float32", "Q8_0")
    assert differing["torch_version"] == ("2.13", "-")


def test_formats_of_llama_cpp_are_compared_from_large_to_small(database: Database) -> None:
    formats = {"Q4_K - Medium": "b", "Q8_0": "c", "F16": "d", "IQ2_XXS - 2.0625 bpw": "e"}
    rows = [
        {"model_filename": "m.gguf", "model_type": f"llama 1M {each}", "model_n_params": n}
        for n, each in enumerate(formats, start=1)
    ]
    store_rows(database, *rows)
    found = by(database, "precision")
    assert [line.value for line in found.lines] == ["float16", "Q8_0", "Q4_K_M", "IQ2_XXS"]
    assert {line.baseline_value for line in found.lines} == {"float16"}


def test_threads_of_llama_bench_are_compared(database: Database) -> None:
    store_rows(database, {"n_threads": 1}, {"n_threads": 4})
    found = by(database, "threads")
    assert [(line.baseline_value, line.value) for line in found.lines] == [(1, 1), (1, 4)]


def test_two_builds_of_llama_cpp_are_compared_as_batches(database: Database) -> None:
    store_rows(database, {"build_number": 1, "samples_ns": [1e9] * 6}, key="one")
    later = {"build_number": 2, "samples_ns": [0.5e9] * 6, "test_time": "2026-11-23T00:00:00Z", "a_new_setting": 0}
    store_rows(database, later, key="two")
    with database.read() as connection:
        found = compare_two(connection, Query(), *read_sides(connection, "1", "2"))
    assert changes(found) == [{"latency_seconds": 0.5, "prefill_tokens_per_second": 2.0}]
