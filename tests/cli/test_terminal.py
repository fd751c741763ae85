"""The command in a real terminal: no line runs over its edge, and no table falls apart into blocks."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

import pytest

from db.engine import Database
from tests.cli.conftest import Command
from tests.commands import command, environment
from tests.db.builders import populate

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def in_terminal(width: int, *arguments: str) -> list[str]:
    """Run a command in a terminal of a width, and return the lines that it shows."""
    own, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    variables = {name: value for name, value in environment(TERM="xterm").items() if name not in ("COLUMNS", "LINES")}
    with subprocess.Popen(command(*arguments), env=variables, stdin=other, stdout=other, stderr=other) as process:
        os.close(other)
        written = read(own)
        os.close(own)
        assert process.wait(timeout=60) == 0, written
    return [line.rstrip() for line in _ESCAPE.sub("", written).splitlines()]


def read(descriptor: int) -> str:
    """Read until the other side is closed, which Linux answers with an error."""
    parts = []
    while True:
        try:
            part = os.read(descriptor, 65_536)
        except OSError:
            break
        if not part:
            break
        parts.append(part)
    return b"".join(parts).decode()


@pytest.mark.parametrize(
    ("width", "arguments"),
    [
        (80, ("status",)),
        (80, ("history",)),
        (200, ("history",)),
        (80, ("models", "list")),
        (80, ("workloads", "list")),
        (80, ("workloads", "show", "multilingual")),
        (80, ("strategies", "list")),
        (80, ("models", "show", "deepseek-r1-distill-qwen-1.5b")),
        (80, ("history", "--best-by", "accuracy")),
        (80, ("history", "--group-by", "model,strategy,temperature")),
        (80, ("submit", "--model", "smollm2-135m", "--workload", "facts,speed", "--seed", "1,2", "--dry-run")),
    ],
    ids=str,
)
def test_a_terminal_is_not_overrun(
    benchbeat: Command, history: Database, width: int, arguments: tuple[str, ...]
) -> None:
    populate(history)
    lines = in_terminal(width, *arguments)
    assert lines
    assert max(map(len, lines)) <= width
    assert not any("each row is a block" in line for line in lines)


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize(
    "arguments",
    [
        ("history",),
        ("history", "--gain"),
        ("history", "--gain", "readability"),
        ("history", "--best-by", "accuracy"),
        ("history", "--group-by", "model,strategy"),
        ("status",),
    ],
    ids=str,
)
def test_three_nights_fit_into_a_terminal(
    benchbeat: Command, nights: Database, width: int, arguments: tuple[str, ...]
) -> None:
    lines = in_terminal(width, *arguments)
    assert max(map(len, lines)) <= width
    assert not any("each row is a block" in line for line in lines)
    assert "qwen2.5-1.5b" in "".join(lines) or arguments == ("status",)
