"""The options that every command takes."""

from pathlib import Path

import pytest

from cli.context import State
from cli.patience import patience
from db.engine import Database
from tests.cli.conftest import Command
from tests.commands import run_command
from tests.waiting import wait_until

UNKNOWN = "BENCHBEAT_DATABSE_URL"


@pytest.mark.parametrize("arguments", [("-q", "history"), ("history", "--quiet")])
def test_quiet_drops_what_is_only_good_to_know(
    benchbeat: Command, history: Database, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv(UNKNOWN, "sqlite:///x.db")
    assert UNKNOWN in benchbeat("history").err
    assert UNKNOWN not in benchbeat(*arguments).err


@pytest.mark.parametrize("arguments", [("-v", "sql", "nonsense"), ("sql", "nonsense", "--verbose")])
def test_verbose_shows_the_traceback_wherever_it_stands(
    benchbeat: Command, history: Database, arguments: tuple[str, ...]
) -> None:
    assert "Traceback" not in benchbeat("sql", "nonsense").err
    assert "Traceback" in benchbeat(*arguments).err


def test_a_group_of_commands_takes_them_too(benchbeat: Command) -> None:
    assert benchbeat("models", "list", "--no-color", "-q").code == 0
    assert benchbeat("models", "list", "-h").out.count("--no-color") == 1


@pytest.mark.parametrize("asked", [True, False])
def test_no_colour_where_nobody_wants_it(home: Path, asked: bool) -> None:
    if asked:
        done = run_command("doctor", "--no-color", FORCE_COLOR="1")
    else:
        done = run_command("doctor", FORCE_COLOR="1", NO_COLOR="1")
    assert "\x1b[" not in done.stdout


def test_what_takes_long_is_said_and_what_is_quick_is_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with patience(State(), "counting"):
        pass
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("cli.patience.SILENCE_SECONDS", 0.01)
    said: list[str] = []

    def has_spoken() -> bool:
        said.append(capsys.readouterr().err)
        return "counting ...\n" in said

    with patience(State(), "counting"):
        wait_until(has_spoken, description="a word about what takes long")


def test_quiet_is_patient_in_silence(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.patience.SILENCE_SECONDS", 0.0)
    state = State()
    state.quiet = True
    with patience(state, "counting"):
        pass
    assert capsys.readouterr().err == ""
