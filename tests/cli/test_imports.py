"""`import`: files of other tools, by the command."""

import csv
import io
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bench.imports.formats import FORMATS
from cli import imports
from db.engine import Database
from tests.bench.imports.reading import DATA, bench_row
from tests.cli.conftest import Command
from tests.commands import command, environment, run_command
from tests.db.builders import everything

NOTE = "Note: whose machine it was is not known; it is called unknown-amd-epyc. --here or --machine ID says it.\n"


@pytest.fixture
def files(benchbeat: Command) -> Path:
    """Put the fixtures into the working folder, and give it."""
    for path in DATA.iterdir():
        shutil.copy(path, path.name)
    return Path.cwd()


def rows(benchbeat: Command, query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(benchbeat("sql", query, "-o", "json").out)
    return found


def test_a_file_is_stored_and_shown(benchbeat: Command, history: Database, files: Path) -> None:
    done = benchbeat("import", "llama-bench.json")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == "batch 1: 2 runs of llama-bench from llama-bench.json"
    assert lines[1].split()[:4] == ["run_id", "started_at", "model", "workload"]
    assert "SmolLM2-135M-Instruct  speed     Q4_1       cpu     llama-bench" in lines[3]
    assert done.err == NOTE + (
        "Note: no model of the catalog is called 'SmolLM2-135M-Instruct'; did you mean 'smollm2-135m'? "
        "--model NAME says it.\n"
    )


def test_the_same_file_again_stores_nothing_and_says_so(benchbeat: Command, history: Database, files: Path) -> None:
    benchbeat("import", "llama-bench.json")
    before = everything(history)
    done = benchbeat("import", "llama-bench.json")
    assert (done.code, done.out) == (
        0,
        "llama-bench.json: nothing was stored; its 2 runs are in the history already\n",
    )
    benchbeat("import", "llama-bench.sql", "llama-bench.json", "llama-bench.json")
    assert everything(history) == before


def test_a_file_that_grew_adds_what_is_new(benchbeat: Command, history: Database, files: Path) -> None:
    benchbeat("import", "llama-bench.jsonl")
    with Path("llama-bench.jsonl").open("a") as file:
        file.write(json.dumps(bench_row(test_time="2026-11-23T00:00:00Z")) + "\n")
    done = benchbeat("import", "llama-bench.jsonl")
    said = "batch 2: 1 run of llama-bench from llama-bench.jsonl; another 2 runs are in the history already"
    assert done.out.splitlines()[0] == said


def test_several_files_are_a_batch_each(benchbeat: Command, history: Database, files: Path) -> None:
    done = benchbeat("import", "llama-bench.json", "llama-bench.sql", "results_tiny-qwen2.json", "-o", "json")
    assert json.loads(done.out) == [
        {"file": "llama-bench.json", "source": "llama-bench", "batch": 1, "runs": 2, "known": 0},
        {"file": "llama-bench.sql", "source": "llama-bench", "batch": None, "runs": 0, "known": 2},
        {"file": "results_tiny-qwen2.json", "source": "lm-eval", "batch": 2, "runs": 1, "known": 0},
    ]
    found = rows(benchbeat, "select batch_name, source, accuracy from history order by run_id")
    assert [(row["batch_name"], row["source"]) for row in found] == [
        ("llama-bench.json", "llama-bench"),
        ("llama-bench.json", "llama-bench"),
        ("results_tiny-qwen2.json", "lm-eval"),
    ]


def test_machine_and_model_are_said(benchbeat: Command, history: Database, files: Path) -> None:
    done = benchbeat("import", "llama-bench.json", "--machine", "lab-a", "--model", "smollm2-135m")
    assert (done.code, done.err) == (0, "")
    assert rows(benchbeat, "select distinct machine, model from history") == [
        {"machine": "lab-a", "model": "smollm2-135m"}
    ]


def test_here_is_this_machine(
    benchbeat: Command, history: Database, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHBEAT_MACHINE", "this-one")
    assert benchbeat("import", "llama-bench.json", "--here").code == 0
    assert rows(benchbeat, "select distinct machine from history") == [{"machine": "this-one"}]


def test_each_of_several_models_can_be_named(benchbeat: Command, history: Database, files: Path) -> None:
    Path("two.json").write_text(json.dumps([bench_row(), bench_row(model_filename="Qwen.Q8_0.gguf")]))
    done = benchbeat("import", "two.json", "--model", "Qwen=qwen2.5-1.5b")
    assert done.code == 0, done.err
    assert [row["model"] for row in rows(benchbeat, "select model from history order by run_id")] == [
        "SmolLM2-135M-Instruct",
        "qwen2.5-1.5b",
    ]
    assert benchbeat("import", "two.json", "--model", "Qwen=b", "--model", "a", "--here").code == 0


def test_a_model_of_the_hub_is_that_of_the_catalog(benchbeat: Command, history: Database, files: Path) -> None:
    path = Path("results_tiny-qwen2.json")
    path.write_text(path.read_text().replace("./models/tiny-qwen2", "Qwen/Qwen2.5-1.5B-Instruct"))
    assert benchbeat("import", "results_tiny-qwen2.json").code == 0
    assert rows(benchbeat, "select model from history") == [{"model": "qwen2.5-1.5b"}]


def test_a_dry_run_shows_what_would_be_stored(benchbeat: Command, home: Path, files: Path) -> None:
    done = benchbeat("import", "llama-bench.json", "results_tiny-qwen2.json", "--dry-run", "-o", "csv")
    assert done.code == 0, done.err
    found = list(csv.DictReader(io.StringIO(done.out)))
    assert [(row["model"], row["source"], row["is_new"]) for row in found] == [
        ("SmolLM2-135M-Instruct", "llama-bench", "true"),
        ("SmolLM2-135M-Instruct", "llama-bench", "true"),
        ("tiny-qwen2", "lm-eval", "true"),
    ]
    assert (found[0]["latency_seconds"], found[0]["decode_tokens_per_second"]) == ("0.277285308", "")
    assert not (home / "history.db").exists()


def test_a_dry_run_knows_what_is_there(benchbeat: Command, history: Database, files: Path) -> None:
    benchbeat("import", "llama-bench.sql")
    before = everything(history)
    done = benchbeat("import", "llama-bench.json", "llama-bench.jsonl", "--dry-run", "-o", "json")
    assert [row["is_new"] for row in json.loads(done.out)] == [False, False, True, True]
    assert "2026-11-22 15:35:13" in benchbeat("import", "llama-bench.json", "--dry-run").out
    assert everything(history) == before


def test_standard_input_and_pipes_are_read(home: Path, files: Path) -> None:
    with (files / "llama-bench.json").open() as file:
        done = subprocess.run(command("import", "-"), stdin=file, env=environment(), capture_output=True, text=True)
    assert done.stdout.startswith("batch 1: 2 runs of llama-bench from standard input\n"), done.stderr
    os.mkfifo(files / "pipe")
    with subprocess.Popen(["cp", "llama-bench.json", "pipe"], cwd=files):
        done = run_command("import", "pipe", "-o", "json", folder=files)
    assert json.loads(done.stdout)[0]["known"] == 2


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_what_windows_writes_is_read(benchbeat: Command, history: Database, files: Path, encoding: str) -> None:
    for name in ("llama-bench.json", "llama-bench.sql"):
        Path("w").write_text(Path(name).read_text().replace("\n", "\r\n"), encoding=encoding, newline="")
        assert benchbeat("import", "w", "--machine", name.replace(".", "-")).code == 0


def test_the_format_can_be_said(benchbeat: Command, history: Database, files: Path) -> None:
    assert benchbeat("import", "llama-bench.sql", "--format", "llama-bench-sql").code == 0
    done = benchbeat("import", "llama-bench.sql", "--format", "lm-eval")
    assert (done.code, done.err) == (
        2,
        "Error: llama-bench.sql:1: must be an object in braces, and begins with 'C'\n",
    )
    assert FORMATS == imports._FORMATS


def test_many_runs_are_not_all_shown(benchbeat: Command, history: Database, files: Path) -> None:
    many = [bench_row(test_time=f"2026-11-22T15:00:{n:02}Z") for n in range(21)]
    Path("many.json").write_text(json.dumps(many))
    done = benchbeat("import", "many.json", "--machine", "lab")
    assert done.out == "batch 1: 21 runs of llama-bench from many.json\n"
    assert "benchbeat history --batch 1 shows them." in done.err


BAD: dict[str, tuple[Any, str]] = {
    "empty": ("", "bad: is empty"),
    "unknown": ("hello\n", "bad: is in no format that can be imported; there is llama-bench's output"),
    "cut off": ('[\n{"n_gen": 0,', "bad:2: the file ends in the middle of what begins here: it was cut off"),
    "no figure": ([bench_row(samples_ns=..., avg_ns=...)], "bad:1 (row 1): avg_ns is missing"),
    "not a number": ([bench_row(samples_ns=[float("nan")])], "bad:1 (row 1): samples_ns: reading 1 must be a number"),
    "negative": ([bench_row(), bench_row(samples_ns=[-1])], "bad:1 (row 2): samples_ns: reading 1 must be more than 0"),
    "future": ([bench_row(test_time="2099-01-01T00:00:00Z")], "bad:1 (row 1): began at 2099-01-01 00:00:00 UTC"),
    "other SQL": ("INSERT INTO llama_bench (a) VALUES ('1');\nDROP TABLE run;\n", "bad:1 (row 1): is no row"),
    "an attack": ("CREATE TABLE IF NOT EXISTS x (\na TEXT\n);\n", "bad:1: is neither llama-bench's CREATE TABLE nor"),
    "no text": (b"\xff\xff\x00", "bad: is no UTF-8 text"),
    "no text inside": (b'[{"a": "' + b"x" * 300_000 + b'\xe9"}]', "bad: is no UTF-8 text"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence_and_stores_nothing(
    benchbeat: Command, history: Database, files: Path, name: str
) -> None:
    content, said = BAD[name]
    text = content if isinstance(content, str | bytes) else json.dumps(content)
    Path("bad").write_bytes(text if isinstance(text, bytes) else text.encode())
    before = everything(history)
    # The good file before it is not stored either.
    done = benchbeat("import", "llama-bench.json", "bad")
    assert (done.code, done.out) == (2, "")
    error = done.err.splitlines()[-1]
    assert error.startswith(f"Error: {said}"), done.err
    assert done.err.count("Error") == 1
    assert everything(history) == before
    assert benchbeat("import", "bad", "--dry-run").code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Missing argument 'FILE...'"),
        (("gone.json",), "Error: gone.json: there is no such file\n"),
        ((".",), "Error: .: is a folder; name the files in it\n"),
        (("/dev/zero",), "Error: /dev/zero: is no regular file\n"),
        (("llama-bench.json", "--format", "llama"), "Error: --format: unknown format 'llama'; did you mean"),
        (("llama-bench.json", "--machine", "a b"), "Error: --machine: must be 1 to 64 letters, digits, _ or -"),
        (("llama-bench.json", "--machine", "a\n"), "Error: --machine: must be 1 to 64 letters, digits, _ or -"),
        (("llama-bench.json", "--machine", "a", "--here"), "Error: --here: goes without --machine"),
        (("llama-bench.json", "--model", "a b"), "Error: --model: 'a b' is no name of a model"),
        (("llama-bench.json", "--model", ""), "Error: --model: '' is no name of a model"),
        (("llama-bench.json", "--model", "a", "--model", "b"), "Error: --model: 'b' names a model that has a name"),
        (("llama-bench.json", "--model", "Smol=a"), "Error: --model: no model is called 'Smol' there; did you mean"),
        (
            ("llama-bench.json", "results_tiny-qwen2.json", "--model", "a"),
            "Error: --model: there are several models (SmolLM2-135M-Instruct, tiny-qwen2); name each: "
            "--model SmolLM2-135M-Instruct=NAME\n",
        ),
        (("samples_colours.jsonl",), "Error: samples_colours.jsonl: holds lm-eval's answers, which are not imported"),
    ],
)
def test_bad_options_are_told(
    benchbeat: Command, history: Database, files: Path, arguments: tuple[str, ...], said: str
) -> None:
    before = everything(history)
    done = benchbeat("import", *arguments)
    assert done.code == 2
    assert said in done.err
    assert everything(history) == before


def test_imports_stand_in_the_tables_of_the_history(benchbeat: Command, history: Database, files: Path) -> None:
    benchbeat("import", "llama-bench.json", "results_tiny-qwen2.json", "--here", "-q")
    assert "llama-bench" in benchbeat("history", "--where", "source=llama-bench").out
    assert len(json.loads(benchbeat("history", "--where", "source=lm-eval", "-o", "json").out)) == 1
    assert "SmolLM2-135M-Instruct speed pp128 (llama-bench)" in benchbeat("status", "--batch", "1").out
    done = benchbeat("compare", "--by", "source")
    assert done.code == 4
    assert "share model, workload, lengths, precision, device and machine" in done.err
    done = benchbeat("rerun", "--batch", "1")
    assert (done.code, done.err) == (
        2,
        "Error: job 1 was imported; only the tool that measured it can measure it again\n",
    )
