"""Processes that do nothing but use a processor, under a name of their own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

#: works until it is killed; as a parent it waits for a child that works
_WORK = """
import subprocess, sys
open("/proc/self/comm", "w").write(sys.argv[1])
if sys.argv[2:]:
    child = subprocess.Popen([sys.executable, "-S", "-c", sys.argv[2], sys.argv[1]])
    print("ready", flush=True)
    child.wait()
print("ready", flush=True)
while True:
    pass
"""


@contextmanager
def hogging(name: str, count: int = 1, *, by_a_child: bool = False) -> Iterator[list[int]]:
    """Run processes that work, with a name (15 letters at most); gives their ids. Linux only.

    `by_a_child`: each waits, and a child of it works.
    """
    arguments = [name, _WORK] if by_a_child else [name]
    started = [
        subprocess.Popen(
            [sys.executable, "-S", "-c", _WORK, *arguments], stdout=subprocess.PIPE, start_new_session=True
        )
        for _ in range(count)
    ]
    try:
        for each in started:
            assert each.stdout is not None
            each.stdout.readline()
        yield [each.pid for each in started]
    finally:
        for each in started:
            with suppress(ProcessLookupError):
                os.killpg(each.pid, 9)
            each.wait()
            assert each.stdout is not None
            each.stdout.close()
