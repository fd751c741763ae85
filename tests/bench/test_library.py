"""What names stand for: the built-in entries and a user's own ones."""

import hashlib
from pathlib import Path
from textwrap import dedent

import pytest

from bench.errors import InputError
from bench.library import builtin_library, load_library

MODEL = """\
task = "text"
source = "file:weights"
memory_gib = { float32 = 1.0 }
"""


def write(home: Path, name: str, text: str) -> Path:
    """Write a file into a home."""
    file = home / name
    file.write_text(dedent(text), encoding="utf-8")
    return file


def complaint(home: Path) -> str:
    """Return what is said about the files of a home, with the home left out."""
    with pytest.raises(InputError) as caught:
        load_library(home)
    return str(caught.value).replace(f"{home}/", "")


def test_an_empty_home_gives_what_is_built_in(tmp_path: Path) -> None:
    assert load_library(tmp_path) == builtin_library()
    assert {"facts", "arithmetic", "speed"} <= set(builtin_library().workloads)
    assert set(builtin_library().strategies) == {
        "direct",
        "chain_of_thought",
        "few_shot",
        "role_play",
        "structured",
    }


@pytest.mark.parametrize("header", ["[mine]", "[models.mine]"])
def test_models_of_the_home_are_added(tmp_path: Path, header: str) -> None:
    (tmp_path / "weights").mkdir()
    write(tmp_path, "models.toml", f"{header}\n{MODEL}")
    library = load_library(tmp_path)
    assert library.model("mine").source == f"file:{tmp_path}/weights"
    assert library.model("smollm2-135m") == builtin_library().model("smollm2-135m")


@pytest.mark.parametrize("header", ["[own]", "[workloads.own]"])
def test_workloads_of_the_home_are_added(tmp_path: Path, header: str) -> None:
    write(tmp_path, "i.jsonl", '{"id": "1", "prompt": "?", "answer": "4"}\n')
    write(tmp_path, "workloads.toml", f'{header}\ntask = "text"\nitems = "i.jsonl"\nscore = "exact"\n')
    assert [item.id for item in load_library(tmp_path).workload("own").items] == ["1"]


def test_an_own_entry_hides_a_built_in_one_of_its_name(tmp_path: Path) -> None:
    write(tmp_path, "models.toml", '[smollm2-135m]\ntask = "text"\nsource = "hub:a/b"\nmemory_gib = { int8 = 1 }\n')
    assert load_library(tmp_path).model("smollm2-135m").source == "hub:a/b"


def test_weights_that_only_a_worker_has_need_their_checksum(tmp_path: Path) -> None:
    write(tmp_path, "models.toml", f"[mine]\n{MODEL}")
    assert complaint(tmp_path) == (
        "models.toml:3: source: there are no weights at weights; "
        "give the path, or the file's sha256 if only the workers have it"
    )
    write(tmp_path, "models.toml", f'[mine]\n{MODEL}sha256 = "{"0" * 64}"\n')
    assert load_library(tmp_path).model("mine").sha256 == "0" * 64


def test_a_wrong_path_is_told_where_the_memory_is_not(tmp_path: Path) -> None:
    bare = '[mine]\ntask = "text"\nsource = "file:weights"\n'
    write(tmp_path, "models.toml", bare)
    assert complaint(tmp_path).startswith("models.toml:3: source: there are no weights at weights; ")
    (tmp_path / "weights").mkdir()
    assert complaint(tmp_path) == (
        "models.toml:1: memory_gib: the files at weights do not tell how much memory the model needs; "
        "are they weights? Else say it here"
    )


def test_weights_are_checked_by_their_checksum(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"abc")
    right = hashlib.sha256(b"abc").hexdigest()
    write(tmp_path, "models.toml", f'[mine]\n{MODEL}sha256 = "{right}"\n')
    assert load_library(tmp_path).model("mine").sha256 == right
    write(tmp_path, "models.toml", f'[mine]\n{MODEL}sha256 = "{"0" * 64}"\n')
    assert complaint(tmp_path) == f"models.toml:5: sha256: weights has the SHA-256 {right}, not {'0' * 64}"


WRONG_MODELS = {
    "[m]\ntask = 'text'\nmemroy_gib = 1\n": ":3: memroy_gib: unknown key; did you mean 'memory_gib'?",
    "models = 3\n": ":1: models: must be tables [models.NAME]",
    "['a b']\ntask = 'text'\n": ":1: the name 'a b' must be 1 to 200 characters without spaces",
    "x = \n": ":1: is no valid TOML: Invalid value at column 5",
}

WRONG_WORKLOADS = {
    "task = 'text'\nitems = 'i.jsonl'\nscore = 'exact'\n": ":3: items: there is no file i.jsonl",
    "task = 'text'\nitem = 'i.jsonl'\nscore = 'exact'\n": ":3: item: unknown key; did you mean 'items'?",
    "task = 'text'\nscore = 'exact'\n": ":1: items: is missing",
    "task = 'text'\nitems = 'a\\u0000b'\nscore = 'exact'\n".replace("'", '"'): (":3: items: 'a\\x00b' is no path"),
    "task = 'text'\nitems = '~nobody-of-that-name/x'\nscore = 'exact'\n": (
        ":3: items: '~nobody-of-that-name/x' is no path"
    ),
    "task = 'text'\nitems = 3\nscore = 'exact'\n": ":3: items: must be a text in quotes (it is 3)",
    "task = 'text'\nitems = 'ok.jsonl'\nscore = 'exakt'\n": ":4: score: unknown scorer 'exakt'; did you mean 'exact'?",
    "task = 'txt'\nitems = 'ok.jsonl'\nscore = 'exact'\n": (
        ":2: workload 'w': task: unknown task 'txt'; did you mean 'text'?"
    ),
}


@pytest.mark.parametrize(("text", "said"), WRONG_MODELS.items())
def test_a_fault_of_a_model_is_named_with_file_line_and_field(tmp_path: Path, text: str, said: str) -> None:
    write(tmp_path, "models.toml", text)
    assert complaint(tmp_path) == f"models.toml{said}"


@pytest.mark.parametrize(("text", "said"), WRONG_WORKLOADS.items())
def test_a_fault_of_a_workload_is_named_with_file_line_and_field(tmp_path: Path, text: str, said: str) -> None:
    write(tmp_path, "ok.jsonl", '{"id": "1", "prompt": "?", "answer": "4"}\n')
    write(tmp_path, "workloads.toml", f"[w]\n{text}")
    assert complaint(tmp_path) == f"workloads.toml{said}"


def test_a_workload_must_be_a_table(tmp_path: Path) -> None:
    write(tmp_path, "workloads.toml", "w = 3\n")
    assert complaint(tmp_path) == "workloads.toml:1: items: must be a table of fields"


def test_a_fault_among_the_items_is_named_with_their_file_and_line(tmp_path: Path) -> None:
    write(tmp_path, "i.jsonl", '{"id": "1", "prompt": "?", "answer": "4"}\n{"id": "2", "promt": "?", "answer": "4"}\n')
    write(tmp_path, "workloads.toml", "[w]\ntask = 'text'\nitems = 'i.jsonl'\nscore = 'exact'\n")
    assert complaint(tmp_path) == "i.jsonl:2: promt: unknown key; did you mean 'prompt'?"


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("model", "llama", "unknown model 'llama'; did you mean 'llama-3.2-3b'?"),
        ("model", "QWEN2.5-1.5B", "unknown model 'QWEN2.5-1.5B'; did you mean 'qwen2.5-1.5b'?"),
        ("workload", "sped", "unknown workload 'sped'; did you mean 'speed'?"),
        ("strategy", "x", "unknown strategy 'x'; there is chain_of_thought, direct, few_shot, role_play, structured"),
    ],
)
def test_an_unknown_name_brings_its_near_matches(kind: str, name: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        getattr(builtin_library(), kind)(name)
    assert str(caught.value) == said
