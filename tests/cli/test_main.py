"""The entry point: help, exit codes, and errors in one sentence."""

import gc
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from bench import __version__
from bench.errors import InputError, ModelError, UnavailableError
from cli.main import main
from cli.root import COMMANDS, benchbeat, run
from tests.cli.conftest import Command
from tests.commands import ROOT, command, environment, run_command


def test_help_names_every_command_and_the_exit_codes(benchbeat: Command) -> None:
    shown = benchbeat("--help")
    assert shown.code == 0
    for name, (_, _, line) in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(line[:40])}", shown.out, re.MULTILINE), name
    assert (
        "Exit codes: 0 done, 1 failed, 2 bad input, 3 a slow-down stands (`regressions`), 4 nothing measured"
        in " ".join(shown.out.split())
    )


def test_the_collector_is_left_as_it_was() -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert gc.isenabled()


@pytest.mark.parametrize("name", ["status", "history"])
def test_what_reads_sqlite_does_not_load_postgresql_s_dialect(tmp_path: Path, name: str) -> None:
    program = (
        "import sys\nfrom cli.main import main\n"
        f"try:\n    main([{name!r}])\n"
        "except SystemExit:\n    print('sqlalchemy.dialects.postgresql' in sys.modules)\n"
    )
    # Making the database, the first time, does.
    assert run_command("status", BENCHBEAT_HOME=str(tmp_path)).returncode == 0
    home = environment(BENCHBEAT_HOME=str(tmp_path))
    ran = subprocess.run([sys.executable, "-c", program], env=home, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "False"


def test_without_a_command_the_help_is_shown(benchbeat: Command) -> None:
    shown = benchbeat()
    assert shown.code == 2
    assert "Commands:" in shown.err


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_a_command_has_help_with_an_example(benchbeat: Command, flag: str) -> None:
    shown = benchbeat("submit", flag)
    assert shown.code == 0
    assert "benchbeat submit examples/demo.toml --dry-run" in shown.out


def test_the_version_is_shown(benchbeat: Command) -> None:
    assert benchbeat("--version").out == f"benchbeat {__version__}\n"


def test_the_line_in_the_help_is_the_commands_own() -> None:
    context = click.Context(benchbeat_group())
    for name, (_, _, line) in COMMANDS.items():
        found = benchbeat_group().get_command(context, name)
        assert found is not None
        # shortened by Click where it is long
        assert found.get_short_help_str(200).rstrip(".").startswith(line.rstrip(".")[:20]), name


def benchbeat_group() -> click.Group:
    """Return the group of all commands."""
    assert isinstance(benchbeat, click.Group)
    return benchbeat


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("submitt", "there is no command 'submitt'; did you mean 'submit'?"),
        ("runs", "there is no command 'runs'; did you mean 'run'?"),
        ("zzz", "there is no command 'zzz'"),
    ],
)
def test_an_unknown_command_brings_its_near_matches(name: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name]) == 2
    assert capsys.readouterr().err.endswith(f"\nError: {said}\n")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("is wrong", where="--model"), 2, "Error: --model: is wrong\n"),
        (UnavailableError("Redis is away"), 2, "Error: Redis is away\n"),
        (ModelError("No weights"), 1, "Error: No weights\n"),
        (KeyboardInterrupt(), 130, "\nInterrupted.\n"),
        (
            ZeroDivisionError("by zero"),
            1,
            "Error: ZeroDivisionError: by zero\nThis is a fault in benchbeat; --verbose shows where.\n",
        ),
    ],
)
def test_an_error_is_one_sentence_and_an_exit_code(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("cli.root.State.override", fail)
    assert run(["status"]) == code
    assert capsys.readouterr().err == said


def test_verbose_adds_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object, **__: object) -> None:
        raise InputError("is wrong")

    monkeypatch.setattr("cli.root.State.override", fail)
    assert run(["--verbose", "status"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("Traceback (most recent call last):")
    assert said.endswith("\nError: is wrong\n")


def test_main_ends_the_process_with_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["benchbeat", "--version"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 0


def test_ctrl_c_while_the_command_is_being_imported_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    paths = os.pathsep.join((str(tmp_path), str(ROOT)))
    done = run_command("history", PYTHONPATH=paths)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted.\n")


def test_a_reader_that_has_seen_enough_is_no_error(benchbeat: Command) -> None:
    with subprocess.Popen(
        command("workloads", "show", "facts", "-o", "json"),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=30) == 0


def test_an_error_of_a_real_process_is_its_exit_code_and_leaves_no_trace(benchbeat: Command) -> None:
    done = run_command("submit", "--model", "smollm2-135", "--workload", "facts")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Error: --model: unknown model 'smollm2-135'; did you mean 'smollm2-135m'?\n"


def test_no_color_is_honoured(benchbeat: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in benchbeat("doctor").out


def test_a_full_disk_behind_the_output_is_no_fault_of_ours() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command("workloads", "show", "facts"), stdout=full, stderr=subprocess.PIPE, env=environment(), text=True
        )
    assert (done.returncode, done.stderr) == (1, "Error: the system refused the output: No space left on device\n")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_closed_output_is_no_fault(closed: str) -> None:
    line = f'"$0" -P -m cli.main strategies list {closed}'
    assert subprocess.run(["bash", "-c", line, sys.executable], env=environment(), capture_output=True).returncode == 0


def test_an_encoding_that_lacks_a_character_is_no_fault(home: Path) -> None:
    done = run_command("sql", "select 'é' as x", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0
    assert "?" in done.stdout
