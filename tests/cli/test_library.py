"""`models`, `workloads` and `strategies`."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command


@pytest.mark.parametrize(
    ("group", "key", "some"),
    [
        ("models", "model", {"smollm2-135m", "whisper-base"}),
        ("workloads", "workload", {"facts", "arithmetic", "speed"}),
        ("strategies", "strategy", {"direct", "chain_of_thought", "few_shot"}),
    ],
)
def test_entries_are_listed(benchbeat: Command, home: Path, group: str, key: str, some: set[str]) -> None:
    done = benchbeat(group, "list", "-o", "json")
    assert done.code == 0
    assert some <= {row[key] for row in json.loads(done.out)}
    assert not list(home.iterdir())


def test_own_entries_are_listed_too(benchbeat: Command, home: Path) -> None:
    (home / "models.toml").write_text('[mine]\ntask = "text"\nsource = "hub:a/b"\nmemory_gib = { int8 = 2 }\n')
    assert "mine" in {row["model"] for row in json.loads(benchbeat("models", "list", "-o", "json").out)}


def test_a_model_is_shown(benchbeat: Command) -> None:
    shown = {
        row["field"]: row["value"] for row in json.loads(benchbeat("models", "show", "qwen2.5-1.5b", "-o", "json").out)
    }
    assert shown["source"] == "hub:Qwen/Qwen2.5-1.5B-Instruct"
    assert shown["memory_gib"] == "float32 7.5, float16 4, bfloat16 4, int8 3.3, int4 2.7"


def test_a_workloads_items_are_shown_with_their_answers(benchbeat: Command) -> None:
    rows = json.loads(benchbeat("workloads", "show", "facts", "-o", "json").out)
    assert len(rows) >= 120
    assert rows[0] == {
        "item_id": "facts-001",
        "level": 1,
        "prompt": "What is the capital of France?",
        "expected": "Paris",
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("models", "show", "llama"), "unknown model 'llama'; did you mean 'llama-3.2-3b'?"),
        (("models", "fetch", "smollm2-135m", "llama"), "unknown model 'llama'; did you mean 'llama-3.2-3b'?"),
        (("workloads", "show", "sped"), "unknown workload 'sped'; did you mean 'speed'?"),
    ],
)
def test_an_unknown_name_is_refused(benchbeat: Command, home: Path, arguments: tuple[str, ...], said: str) -> None:
    done = benchbeat(*arguments)
    assert (done.code, done.out, done.err) == (2, "", f"Error: {said}\n")
    assert not list(home.iterdir())


def test_a_wrong_file_in_the_home_is_named(benchbeat: Command, home: Path) -> None:
    (home / "models.toml").write_text('[mine]\ntask = "text"\nsource = "hub:a/b"\n')
    done = benchbeat("models", "list")
    assert (done.code, done.err) == (2, f"Error: {home}/models.toml:1: memory_gib: is missing\n")
