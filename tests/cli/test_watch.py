"""`watch` in a real terminal, which it leaves as it was; in a pipe it prints what `status` prints."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from collections.abc import Callable
from contextlib import suppress

import pytest

from db.engine import Database
from tests.cli.conftest import Command
from tests.commands import command, environment
from tests.db.builders import populate
from tests.waiting import wait_until

_ENTERED, _LEFT, _CURSOR_SHOWN = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25h"


def ended(act: Callable[[int, "subprocess.Popen[bytes]"], object], **variables: str) -> tuple[int, bytes, list[object]]:
    """Start `watch` in a terminal, act once it shows something; return its code, what it wrote, the modes changed."""
    own, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    before = termios.tcgetattr(other)
    given = {name: value for name, value in environment(TERM="xterm", **variables).items() if name != "COLUMNS"}
    os.set_blocking(own, False)
    written = bytearray()

    def read() -> bytes:
        with suppress(BlockingIOError):
            written.extend(os.read(own, 65_536))
        return bytes(written)

    with subprocess.Popen(command("watch"), env=given, stdin=other, stdout=other, stderr=other) as process:
        try:
            wait_until(lambda: b"nightly" in read() or process.poll() is not None, "the screen is there", 60)
            act(own, process)
            wait_until(lambda: (read(), process.poll() is not None)[1], "it has ended")
        finally:
            process.kill()
        code = process.wait()
    read()
    after = termios.tcgetattr(other)
    os.close(own)
    os.close(other)
    return code, bytes(written), [] if before == after else [before, after]


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (lambda terminal, process: os.write(terminal, b"q"), 0),
        (lambda terminal, process: os.write(terminal, b"\x03"), 130),
        (lambda terminal, process: process.send_signal(signal.SIGTERM), 143),
    ],
    ids=["q", "Ctrl-C", "SIGTERM"],
)
def test_the_terminal_is_left_as_it_was(
    benchbeat: Command, history: Database, act: Callable[[int, "subprocess.Popen[bytes]"], object], code: int
) -> None:
    populate(history)
    got, written, changed = ended(act, NO_COLOR="1")
    assert (got, changed) == (code, [])
    assert written.index(_ENTERED) < written.rindex(_LEFT)
    assert _CURSOR_SHOWN in written[written.rindex(b"\x1b[?25l") :]
    assert b"Traceback" not in written
    assert b"38;2;74;198;183" not in written  # nor is there any colour but grey


def test_a_pipe_gets_what_status_prints(benchbeat: Command, history: Database) -> None:
    populate(history)
    watched, told = benchbeat("watch"), benchbeat("status")
    seen = re.compile(r"\d+ s ago")
    assert (watched.code, seen.sub("", watched.out)) == (0, seen.sub("", told.out))
    assert watched.err.startswith("This is no terminal for a live screen")
    assert benchbeat("watch", "1").out == benchbeat("status", "--batch", "1").out


def test_a_batch_that_is_not_there_is_an_error(benchbeat: Command, history: Database) -> None:
    outcome = benchbeat("watch", "--batch", "9")
    assert (outcome.code, outcome.err) == (2, "Error: there is no batch 9; there is none yet\n")
    assert benchbeat("watch", "1", "--batch", "2").code == 2
