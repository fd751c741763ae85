"""Fixtures of the report's tests."""

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from db.engine import Database


class Terminal(io.StringIO):
    """Standard output that is a terminal."""

    def isatty(self) -> bool:
        """Say that it is one."""
        return True

    @property
    def lines(self) -> list[str]:
        """What was written, line by line, without blanks at the ends and without what makes it bold."""
        return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", self.getvalue()).splitlines()]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Terminal]:
    """Give a function that makes standard output a terminal of a width, without colours."""

    def make(width: int) -> Terminal:
        made = Terminal()
        monkeypatch.setattr("sys.stdout", made)
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm")
        return made

    return make


@pytest.fixture
def database(sqlite_template: Path, tmp_path: Path) -> Iterator[Database]:
    """Give an empty, upgraded database."""
    path = tmp_path / "history.db"
    path.write_bytes(sqlite_template.read_bytes())
    opened = Database(f"sqlite:///{path}")
    yield opened
    opened.dispose()
