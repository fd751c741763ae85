"""Fixtures of the command's tests: the command in this process, in a home of its own."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from cli import root
from db.engine import Database
from tests.cli.pretended import DATABASE, TOKEN, System, pretend
from tests.db.built_history import build


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
        code = root.run(list(arguments))
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


@pytest.fixture(scope="session")
def built_template(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a SQLite history of three nights that is there to be copied."""
    path = tmp_path_factory.mktemp("built") / "history.db"
    path.write_bytes(sqlite_template.read_bytes())
    database = Database(f"sqlite:///{path}")
    build(database)
    database.dispose()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # so that the one file holds everything
    connection.close()
    return path


@pytest.fixture
def nights(home: Path, built_template: Path, benchbeat: Command) -> Iterator[Database]:
    """Give the home's database with three nights of runs in it."""
    (home / "history.db").write_bytes(built_template.read_bytes())
    database = Database(f"sqlite:///{home / 'history.db'}")
    yield database
    database.dispose()


@pytest.fixture
def redis(broker_url: str, benchbeat: Command, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the command use an empty Redis, and give its URL."""
    monkeypatch.setenv("BENCHBEAT_BROKER_URL", broker_url)
    return broker_url


@pytest.fixture(params=["Darwin", "Linux"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Path) -> System:
    """Pretend a macOS, then a Linux."""
    return pretend(request.param, monkeypatch, tmp_path)


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Path) -> System:
    """Pretend a macOS."""
    return pretend("Darwin", monkeypatch, tmp_path)


@pytest.fixture
def linux(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Path) -> System:
    """Pretend a Linux."""
    return pretend("Linux", monkeypatch, tmp_path)


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set passwords in the environment."""
    monkeypatch.setenv("BENCHBEAT_DATABASE_URL", DATABASE)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
