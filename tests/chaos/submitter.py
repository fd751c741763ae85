"""`benchbeat submit --key KEY`, killed between the commit and the first ring: `python -m tests.chaos.submitter KEY`."""

import os
import signal
import sys
from typing import Any

from cli import root, submit

AXES = ("--model", "smollm2-135m", "--workload", "speed", "--prompt-tokens", "5,6", "--new-tokens", "2")


def _die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    setattr(submit, "ring", _die)  # noqa: B010
    root.run(["submit", *AXES, "--key", sys.argv[1]])
