"""One sweep with all seven models, tiny ones of their true architectures, through real processes into the history."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.catalog import builtin_models
from tests.commands import ROOT
from tests.worker import tiny, tiny_whisper, vl2
from tests.worker.processes import Stack, stack
from tests.worker.tiny_vision import build_vision

SWEEP = ROOT / "examples" / "seven-models.toml"
MODELS = {
    "qwen2.5-1.5b": "text",
    "deepseek-r1-distill-qwen-1.5b": "text",
    "llama-3.2-3b": "text",
    "blip-base": "vision",
    "blip2-2.7b": "vision",
    "deepseek-vl2-small": "vision",
    "whisper-base": "speech",
}
#: figures that a run of each kind fills
ALWAYS = "first_call_seconds latency_seconds weights_bytes peak_process_memory_bytes revision"
QUALITY = f"{ALWAYS} items accuracy completed quality decode_tokens_per_second"
SPEED = f"{ALWAYS} ttft_seconds decode_tokens_per_second inter_token_p50_seconds latency_low_seconds"
SPEECH = f"{QUALITY} word_error_rate real_time_factor"

TINY = """
[models."{name}"]
task = "{task}"
source = "file:{path}"
memory_gib = {{ float32 = 0.5, float16 = 0.5, bfloat16 = 0.5, int8 = 0.5, int4 = 0.5 }}
{more}
"""
R1 = "deepseek-r1-distill-qwen-1.5b"
#: further fields of an entry, by the model's name or its task
MORE = {
    "deepseek-vl2-small": 'architecture = "deepseek-vl2"',
    "text": "settings.recommended = { temperature = 0.7 }",
    R1: f"""
settings.recommended = {{ temperature = 0.7 }}
thinking_tokens = 8
chat_template = {json.dumps(builtin_models()[R1].chat_template)}
""",
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Give a tiny checkpoint for each of the seven."""
    folder = tmp_path_factory.mktemp("seven")
    return {
        "qwen2.5-1.5b": tiny.build(folder / "qwen", "qwen2"),
        "deepseek-r1-distill-qwen-1.5b": tiny.build(folder / "r1", "r1", seed=1),
        "llama-3.2-3b": tiny.build(folder / "llama", "llama"),
        "blip-base": build_vision(folder / "blip", "blip"),
        "blip2-2.7b": build_vision(folder / "blip2", "blip2"),
        "deepseek-vl2-small": vl2.copy(folder / "vl2"),
        "whisper-base": tiny_whisper.build(folder / "whisper.pt"),
    }


@pytest.fixture(scope="module")
def it(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path, models: dict[str, Path]) -> Iterator[Stack]:
    """Give a home in which the sweep was run to its end."""
    folder = tmp_path_factory.mktemp("stack")
    (folder / "history.db").write_bytes(sqlite_template.read_bytes())
    with stack(folder, f"sqlite:///{folder}/history.db", models) as made:
        tables = [
            TINY.format(name=name, task=MODELS[name], path=path, more=MORE.get(name, MORE.get(MODELS[name], "")))
            for name, path in models.items()
        ]
        sweep = made.sweep(SWEEP.read_text(encoding="utf-8") + "".join(tables))
        smaller = ("items=2", "max_new_tokens=4", "prompt_tokens=16", "new_tokens=8", "stop=max_iterations=6")
        words = (word for each in smaller for word in ("--set", each))
        # Seven models are loaded in eight processes, which others may keep waiting for a processor.
        done = made.call("run", str(sweep), *words, timeout_seconds=600)
        assert done.returncode == 0, done.stderr
        yield made


def asked(it: Stack, statement: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(it.call("sql", "-o", "json", statement).stdout)
    return rows


def test_every_job_is_done_and_every_figure_of_its_task_is_there(it: Stack) -> None:
    [batch] = it.batches()
    it.assert_nothing_lost(batch)
    rows = asked(it, "select * from history")
    assert {row["model"]: row["task"] for row in rows} == MODELS
    for row in rows:
        wanted = SPEECH if row["task"] == "speech" else SPEED if row["workload"] == "speed" else QUALITY
        empty = [name for name in wanted.split() if row[name] is None]
        # Accuracy may be 0, which gives no quality of an answer that never ends; it is there nevertheless.
        assert not empty, (row["model"], row["workload"], empty)


def test_each_task_has_its_own_figures_and_no_others(it: Stack) -> None:
    for row in asked(it, "select * from history"):
        assert (row["word_error_rate"] is None) == (row["task"] != "speech")
        assert (row["word_timestamps"] is None) == (row["task"] != "speech")
        assert (row["strategy"] is None) == (row["task"] == "speech" or row["workload"] == "speed")
        assert (row["quantiser"] is not None) == (row["precision"] == "int4")
        assert row["batch_size"] == (16 if row["task"] == "text" and row["workload"] != "speed" else row["batch_size"])


def test_the_model_that_thinks_is_asked_in_the_catalog_s_words_and_its_thoughts_are_counted(it: Stack) -> None:
    rows = asked(it, "select model, chat_template, thinking_tokens from history where strategy is not null")
    assert {row["chat_template"] for row in rows if row["model"] == R1} == {"catalog"}
    assert all((row["thinking_tokens"] is not None) == (row["model"] == R1) for row in rows)


def test_blip_has_one_way_of_attention_and_the_history_says_so(it: Stack) -> None:
    found = {row["model"]: row["attention"] for row in asked(it, "select model, attention from history")}
    assert found["blip-base"] == "eager"
    assert found["blip2-2.7b"] == found["deepseek-vl2-small"] == "sdpa"


def test_what_was_seen_and_heard_is_kept(it: Stack) -> None:
    seen = asked(it, "select model, item_id, prompt, expected, text from answers where workload = 'shapes'")
    assert {row["model"] for row in seen} == {"blip2-2.7b", "deepseek-vl2-small"}
    assert all(row["prompt"] and row["expected"] for row in seen)
    heard = asked(it, "select item_id, expected, language, heard_language from answers where workload = 'dictation'")
    assert {row["heard_language"] for row in heard} == {"en"}
    metrics = asked(it, "select distinct name from metrics where task = 'dictation'")
    assert {row["name"] for row in metrics} == {"words", "substitutions", "deletions", "insertions"}


def test_a_model_is_loaded_once_for_all_its_jobs(it: Stack) -> None:
    loads = asked(it, "select model, precision, count(load_seconds) as loads from history group by model, precision")
    assert {row["loads"] for row in loads} == {1}
