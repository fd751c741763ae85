"""What a shell completes."""

import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.commands import run_command


def completed(words: str) -> list[str]:
    """Return what bash would offer after `words`, of which the last is being typed."""
    place = str(len(words.split(" ")) - 1)
    done = run_command(_BENCHBEAT_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=place)
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("benchbeat hist", ["history"]),
        ("benchbeat models sh", ["show"]),
        ("benchbeat run --model smol", ["smollm2-135m"]),
        ("benchbeat run --model smollm2-135m,qwen", ["smollm2-135m,qwen2.5-1.5b"]),
        ("benchbeat run --workload arith", ["arithmetic"]),
        ("benchbeat run --strategy direct,few", ["direct,few_shot"]),
        ("benchbeat run --strategy direct,dir", []),
        ("benchbeat submit --precision bf", ["bfloat16"]),
        ("benchbeat models show smol", ["smollm2-135m"]),
        ("benchbeat --no", ["--no-color"]),
        ("benchbeat history --sort accuracy,read", ["accuracy,readability"]),
        ("benchbeat history --best-by decode", ["decode_tokens_per_second"]),
        ("benchbeat history --gain cons", ["consistency"]),
        ("benchbeat history --precision float", ["float32", "float16"]),
        ("benchbeat export brea", ["breakdowns"]),
        ("benchbeat workloads show multi", ["multilingual"]),
        ("benchbeat strategies show role", ["role_play"]),
        ("benchbeat rerun --any", ["--anywhere"]),
        ("benchbeat import --format llama-bench-s", ["llama-bench-sql"]),
        ("benchbeat import --model smol", ["smollm2-135m"]),
    ],
)
def test_commands_and_names_are_completed(home: Path, words: str, offered: list[str]) -> None:
    assert completed(words) == offered


def test_own_models_are_completed_and_a_broken_file_is_no_fault(home: Path) -> None:
    (home / "models.toml").write_text('[my-own]\ntask = "text"\nsource = "hub:a/b"\nmemory_gib = { float32 = 1.0 }\n')
    assert completed("benchbeat run --model my") == ["my-own"]
    (home / "models.toml").write_text("nonsense")
    assert completed("benchbeat run --model my") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_printed(benchbeat: Command, shell: str) -> None:
    printed = benchbeat("completion", shell)
    assert printed.code == 0
    assert f"_BENCHBEAT_COMPLETE={shell}_complete" in printed.out


def test_bash_takes_the_script(benchbeat: Command) -> None:
    script = benchbeat("completion", "bash").out
    checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True)
    assert (checked.returncode, checked.stderr) == (0, "")
