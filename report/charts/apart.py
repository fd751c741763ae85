"""Pictures drawn in a process of its own.

Drawing holds Python's lock for seconds, in which a server would answer nothing else.
"""

import pickle
import signal
import subprocess
import sys
import weakref
from contextlib import suppress
from typing import IO

from report.charts.data import ChartData, Picture

_COMMAND = (sys.executable, "-P", "-m", "report.charts.apart")


class DrawingProcess:
    """Starts with the first picture, and ends with this object or with this process."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._end: weakref.finalize[..., DrawingProcess] | None = None

    def draw(self, data: ChartData) -> Picture:
        """Return the picture of data. Raises ChildProcessError where it could not be drawn."""
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            pickle.dump(data, process.stdin)
            process.stdin.flush()
            drawn = pickle.load(process.stdout)
        except (OSError, EOFError) as error:
            self.close()
            raise ChildProcessError("the process that draws pictures has ended") from error
        if not isinstance(drawn, Picture):
            raise ChildProcessError(f"the picture could not be drawn: {drawn}")
        return drawn

    def close(self) -> None:
        """End the process; the next picture starts another one."""
        if self._end is not None:
            self._end()
        self._process = self._end = None

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            self._process = subprocess.Popen(_COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self._end = weakref.finalize(self, _ended, self._process)
        return self._process


def _ended(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):  # what it did not read can't be written
                pipe.close()


def _draw_all(asked: IO[bytes], answers: IO[bytes]) -> None:
    from report.charts.draw import draw

    while True:
        try:
            data: ChartData = pickle.load(asked)
        except EOFError:
            return
        try:
            drawn: Picture | str = draw(data)
        except Exception as error:  # noqa: BLE001 - told to whoever asked
            drawn = f"{type(error).__name__}: {error}"
        pickle.dump(drawn, answers)
        answers.flush()


if __name__ == "__main__":
    # Ctrl-C goes to the whole group; whoever asks ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _draw_all(sys.stdin.buffer, sys.stdout.buffer)
