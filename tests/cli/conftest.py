"""Fixtures of the command's tests: the command in this process, in a home of its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from cli.main import _run
from db.engine import Database


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str


class Command(Protocol):
    """Runs `benchbeat ARGUMENTS`."""

    def __call__(self, *arguments: str) -> Outcome:
        """Return the exit code and what was written."""


@pytest.fixture
def benchbeat(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Give the command, in a working folder of its own; it must not start a Redis unless the test says so."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("BENCHBEAT_BROKER_URL", "redis://127.0.0.1:1/0")
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))

    def run(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = _run(list(arguments))
        written = capsys.readouterr()
        return Outcome(code, written.out, written.err)

    return run


@pytest.fixture
def history(home: Path, sqlite_template: Path, benchbeat: Command) -> Iterator[Database]:
    """Give the home's database, upgraded and empty."""
    (home / "history.db").write_bytes(sqlite_template.read_bytes())
    database = Database(f"sqlite:///{home / 'history.db'}")
    yield database
    database.dispose()


@pytest.fixture
def redis(broker_url: str, benchbeat: Command, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the command use an empty Redis, and give its URL."""
    monkeypatch.setenv("BENCHBEAT_BROKER_URL", broker_url)
    return broker_url
