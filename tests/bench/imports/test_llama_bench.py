"""Rows of llama-bench as runs of ours: the fixture's figures, every kind of test, every fault."""

import json
from typing import Any

import pytest

from bench.errors import InputError
from bench.imports.records import Imported
from bench.statistics import median, median_interval
from tests.bench.imports.reading import bench_row, bench_run, data, runs


def measured(run: Imported) -> dict[str, Any]:
    return run.figures.model_dump(exclude_none=True)


def test_a_prompt_and_an_answer_from_json() -> None:
    prompt, answer = runs(data("llama-bench.json"))
    seconds = [ns / 1e9 for ns in bench_row()["samples_ns"]]
    low, high = median_interval(seconds) or (None, None)
    assert measured(prompt) == {
        "iterations": 10,
        "prefill_tokens_per_second": median([128 / each for each in seconds]),
        "latency_seconds": median(seconds),
        "latency_low_seconds": low,
        "latency_high_seconds": high,
        "weights_bytes": 96_576_768,
    }
    assert prompt.figures.prefill_tokens_per_second == pytest.approx(457.472877, rel=0.02)
    assert set(measured(answer)) == set(measured(prompt)) - {"prefill_tokens_per_second"} | {"decode_tokens_per_second"}
    assert answer.figures.decode_tokens_per_second == pytest.approx(180.466576, rel=0.01)
    assert (prompt.prompt_tokens, prompt.new_tokens) == (128, 0)
    assert (answer.prompt_tokens, answer.new_tokens) == (0, 64)
    assert [each.place for each in (prompt, answer)] == ["out:2 (row 1)", "out:48 (row 2)"]


def test_every_reading_is_kept_with_its_rate() -> None:
    prompt, answer = runs(data("llama-bench.json"))
    for run, tokens, rate in ((prompt, 128, "prefill"), (answer, 64, "decode")):
        assert [each.iteration for each in run.readings] == list(range(10))
        for each in run.readings:
            rates = {"prefill": each.prefill_tokens_per_second, "decode": each.decode_tokens_per_second}
            assert rates.pop(rate) == tokens / each.latency_seconds
            assert list(rates.values()) == [None]
            assert (each.prompt_tokens, each.new_tokens, each.ttft_seconds) == (run.prompt_tokens, run.new_tokens, None)


def test_what_is_known_of_the_surroundings() -> None:
    prompt, answer = runs(data("llama-bench.json"))
    assert (prompt.source, prompt.model, prompt.precision) == ("llama-bench", "SmolLM2-135M-Instruct", "Q4_1")
    assert (prompt.device, prompt.device_name, prompt.machine_by_hardware()) == ("cpu", "AMD EPYC", "unknown-amd-epyc")
    assert (prompt.attention, prompt.cache, prompt.revision, prompt.batch_size) == ("auto", "f16", "-", 1)
    assert (prompt.started_at, answer.started_at) == (1_795_361_713.0, 1_795_361_716.0)
    assert prompt.finished_at - prompt.started_at == pytest.approx(sum(bench_row()["samples_ns"]) / 1e9)
    assert prompt.environment.libraries == {"llama.cpp": "build 1 (0c1e570)"}
    assert (prompt.environment.threads, prompt.environment.torch_version, prompt.environment.driver) == (2, "-", None)
    assert prompt.workload.name == "speed"


def test_sql_has_means_and_no_readings() -> None:
    prompt, answer = runs(data("llama-bench.sql"))
    assert measured(prompt) == {
        "iterations": 1,
        "prefill_tokens_per_second": 457.472877,
        "latency_seconds": 0.279925374,
        "weights_bytes": 96_576_768,
    }
    assert (answer.figures.decode_tokens_per_second, answer.figures.latency_seconds) == (180.466576, 0.354754041)
    assert prompt.readings == answer.readings == ()


def test_json_and_sql_of_the_same_tests_are_of_the_same_series() -> None:
    pairs = zip(runs(data("llama-bench.json")), runs(data("llama-bench.sql")), strict=True)
    for one, other in pairs:
        assert one.definition("lab") == other.definition("lab")
        assert one.started_at == other.started_at


def test_two_readings_have_no_interval() -> None:
    prompt, _ = runs(data("llama-bench.jsonl"))
    assert (prompt.figures.iterations, prompt.figures.latency_low_seconds) == (2, None)


@pytest.mark.parametrize(
    ("lengths", "workload", "figures", "tokens"),
    [
        ({"n_prompt": 512, "n_gen": 0}, "speed", {"latency", "prefill"}, (512, 0)),
        ({"n_prompt": 0, "n_gen": 64}, "speed", {"latency", "decode"}, (0, 64)),
        ({"n_prompt": 512, "n_gen": 64}, "speed", {"latency"}, (512, 64)),
        # What is in the context got there untimed, so no whole answer was timed.
        ({"n_prompt": 0, "n_gen": 64, "n_depth": 512}, "speed", {"decode"}, (512, 64)),
        ({"n_prompt": 512, "n_gen": 0, "n_depth": 4096}, "speed@d4096", {"latency", "prefill"}, (512, 0)),
        ({"n_prompt": 512, "n_gen": 64, "n_depth": 4096}, "speed@d4096", {"latency"}, (512, 64)),
        ({"n_prompt": 512, "n_gen": 0, "n_depth": ...}, "speed", {"latency", "prefill"}, (512, 0)),
    ],
)
def test_each_kind_of_test(lengths: dict[str, Any], workload: str, figures: set[str], tokens: tuple[int, int]) -> None:
    run = bench_run(**lengths)
    found = run.figures
    named = {
        "latency": found.latency_seconds,
        "prefill": found.prefill_tokens_per_second,
        "decode": found.decode_tokens_per_second,
    }
    assert {name for name, value in named.items() if value is not None} == figures
    assert (found.latency_low_seconds is None) == ("latency" not in figures)
    assert found.ttft_seconds is None
    assert (run.workload.name, run.prompt_tokens, run.new_tokens) == (workload, *tokens)
    assert len({bench_run(**lengths).definition("m")["llama-bench.test"], "pp", "tg", "pp+tg"}) == 3


@pytest.mark.parametrize(
    ("changes", "value"),
    [({"flash_attn": 1}, "flash"), ({"flash_attn": True}, "flash"), ({"flash_attn": False}, "plain")],
)
def test_attention_is_named(changes: dict[str, Any], value: str) -> None:
    assert bench_run(**changes).attention == value
    assert bench_run(flash_attn=...).attention == "-"


@pytest.mark.parametrize(
    "changes",
    [
        {"n_threads": 4},
        {"n_gpu_layers": 99},
        {"n_batch": 512},
        {"no_kv_offload": True},
        {"use_mmap": False},
        {"type_k": "q8_0"},
        {"flash_attn": 1},
        {"n_prompt": 256},
        {"n_depth": 512},
        {"model_n_params": 1},
        {"model_filename": "other.Q4_1.gguf"},
        {"model_type": "llama 256M Q8_0"},
        {"a_new_setting": 3},
    ],
)
def test_settings_make_a_series(changes: dict[str, Any]) -> None:
    assert bench_run(**changes).definition("m") != bench_run().definition("m")


@pytest.mark.parametrize(
    "changes",
    [
        {"build_commit": "abc", "build_number": 9000},
        {"test_time": "2026-11-23T00:00:00Z"},
        {"cpu_info": "another name"},
        {"a_new_setting": 0, "another": "none", "third": False},
        {"use_mmap": True},
        {"repack": ..., "lazy_mode": ..., "fit_target": ...},
        {"samples_ns": [1000]},
        {"samples_of_a_new_kind": [1, 2], "an_object": {"a": 1}},
        {"stddev_ts": float("nan")},
        {"model_filename": "/models/a/SmolLM2-135M-Instruct.Q4_1.gguf"},
    ],
)
def test_versions_and_usual_settings_do_not(changes: dict[str, Any]) -> None:
    assert bench_run(**changes).definition("m") == bench_run().definition("m")


def test_what_the_row_says_is_kept_without_its_readings() -> None:
    told = bench_run().told
    assert (told["n_ubatch"], told["stddev_ns"], told["test"]) == (512, 6_408_580, "pp128")
    assert "samples_ns" not in told


def test_an_older_llama_bench_is_understood() -> None:
    flags = {"cuda": True, "metal": False, "gpu_blas": True, "blas": True, "backends": ..., "gpu_info": "NVIDIA L4"}
    gone = dict.fromkeys(("n_depth", "devices", "n_cpu_moe", "no_host", "repack", "flash_attn", "stddev_ts"), ...)
    run = bench_run(**flags, **gone, n_gpu_layers=99, use_mmap=True)
    assert (run.device, run.device_name) == ("cuda", "NVIDIA L4")
    assert run.figures.prefill_tokens_per_second is not None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"n_gen": ...}, "is no row of llama-bench: n_gen is missing"),
        ({"n_gen": None}, "n_gen is missing"),
        ({"n_gen": -1}, "n_gen must be at least 0 (it is -1)"),
        ({"n_gen": 1.5}, "n_gen must be a whole number (it is 1.5)"),
        ({"n_gen": "many"}, "n_gen must be a number (it is 'many')"),
        ({"n_gen": True}, "n_gen must be a number (it is True)"),
        ({"n_prompt": 10**10}, "n_prompt must be at most 2147483647"),
        ({"n_prompt": 0}, "n_prompt and n_gen are both 0, so nothing was measured"),
        ({"n_depth": [1]}, "n_depth must be a number (it is [1])"),
        ({"samples_ns": []}, "samples_ns must be a list of times"),
        ({"samples_ns": 5}, "samples_ns must be a list of times"),
        ({"samples_ns": [1e9, -5]}, "samples_ns: reading 2 must be more than 0 (it is -5)"),
        ({"samples_ns": [0]}, "samples_ns: reading 1 must be more than 0 (it is 0)"),
        ({"samples_ns": [float("nan")]}, "samples_ns: reading 1 must be a number (it is nan)"),
        ({"samples_ns": [1e300]}, "samples_ns: reading 1 must be from 1 to 1e+17"),
        ({"samples_ns": ..., "avg_ns": ...}, "avg_ns is missing"),
        ({"samples_ns": ..., "avg_ns": -3}, "avg_ns must be more than 0 (it is -3)"),
        ({"samples_ns": ..., "avg_ns": float("inf")}, "avg_ns must be a number (it is inf)"),
        ({"samples_ns": ..., "avg_ts": "nan"}, "avg_ts must be a number (it is 'nan')"),
        ({"avg_ns": -3}, "avg_ns must be more than 0 (it is -3)"),
        ({"avg_ts": float("nan")}, "avg_ts must be a number (it is nan)"),
        ({"test_time": ...}, "test_time is missing"),
        ({"test_time": "yesterday"}, "test_time must be a time (it is 'yesterday')"),
        ({"test_time": "1900-01-01T00:00:00Z"}, "test_time must be after 1970"),
        ({"model_filename": ""}, "model_filename is missing"),
        ({"model_filename": ["a"]}, "model_filename must be a text or a number"),
        ({"model_size": 10**30}, "model_size must be at most"),
    ],
)
def test_a_row_without_a_figure_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        runs(json.dumps([bench_row(), bench_row(**changes)], indent=1), "llama-bench-json")
    assert caught.value.where is not None
    assert caught.value.where.endswith(" (row 2)")
    assert caught.value.message.startswith(said)


def test_texts_of_a_file_reach_no_database_as_they_are() -> None:
    run = bench_run(cpu_info="a\x00b\ud800\n c", model_filename="a b\x07.gguf", model_type="?")
    assert (run.device_name, run.model, run.precision) == ("a b c", "a-b", "-")
