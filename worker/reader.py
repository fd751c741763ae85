"""How easily texts read, asked of a process of its own (`worker.readability`).

What that takes is a second to import and weighs 30 to 150 MB, which would be measured as the model's. The process is
started by the first long text and stays. It ends with its input, and so with this process, however that ends.
"""

import json
import logging
import selectors
import subprocess
import sys
import weakref
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from bench.readability import FEWEST_WORDS

log = logging.getLogger("benchbeat.session")

_COMMAND = (sys.executable, "-P", "-m", "worker.readability")
#: a text takes milliseconds, the first one what is imported for it, on a disk that may be slow
_PATIENCE_SECONDS = 60.0


class Passage(NamedTuple):
    """What somebody reads."""

    text: str
    language: str | None = None
    #: constraints on the form
    structure: tuple[str, ...] | None = None


class Reader:
    """Reads texts by a process that lives as long as this object."""

    def __init__(self, command: Sequence[str] = _COMMAND, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self._command = command
        self._patience_seconds = patience_seconds
        self._process: subprocess.Popen[bytes] | None = None

    def read(self, passages: Sequence[Passage]) -> list[float | None]:
        """Return the readability of each passage, as `bench.readability` defines it.

        Where the process can't be started, dies or hangs, all are None and the log says why.
        """
        figures: list[float | None] = [None] * len(passages)
        try:
            for place, passage in enumerate(passages):
                if _may_be_read(passage.text):
                    figures[place] = self._ask(passage)
        except (OSError, ValueError) as error:
            self.close()
            log.warning("The readability of %d answers is not measured: %s", len(passages), error)
            return [None] * len(passages)
        return figures

    def close(self) -> None:
        """End the process; the next text starts another one."""
        if self._process is not None:
            self._end()
            self._process = None

    def _ask(self, passage: Passage) -> float | None:
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(passage).encode() + b"\n")
        process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if not selector.select(self._patience_seconds):
                raise TimeoutError(f"its process did not answer within {self._patience_seconds:g} s")
        line = process.stdout.readline()
        if not line:
            raise ChildProcessError(f"its process ended with exit code {process.wait()}")
        figure: float | None = json.loads(line)
        return figure

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._process is None:
            self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self._end = weakref.finalize(self, _end, self._process)
        return self._process


def _may_be_read(text: str) -> bool:
    """Whether a text may have enough words; a mark that stands alone counts as one here."""
    return len(text.replace("|", " ").split()) >= FEWEST_WORDS


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):  # what it did not read can't be written
                pipe.close()
