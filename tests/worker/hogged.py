"""`benchbeat`, for tests on machines that are never quiet: of all others only the processes of one name count.

The readings are the real ones of Linux but for that: what others used is what processes named by TEST_HOGS used.
"""

import os
from collections.abc import Mapping
from unittest.mock import patch

from bench.surroundings import Processors
from cli.main import main
from worker.facts import Probe
from worker.readings import Process
from worker.readings.linux import LinuxReadings

VARIABLE = "TEST_HOGS"


class OnlyHogs(LinuxReadings):
    """Sees the hogs of one name."""

    def __init__(self, root_pid: int, name: str) -> None:
        super().__init__(root_pid)
        self._name = name
        #: time that they had used when they were last seen: it stays used when they end
        self._seen: dict[tuple[int, float], float] = {}

    def processors(self) -> Processors | None:
        read = super().processors()
        if read is None:
            return None
        self._seen |= {(pid, each.started): each.seconds for pid, each in self.processes().items()}
        return read._replace(busy_seconds=read.own_seconds + sum(self._seen.values()), stolen_seconds=0.0)

    def processes(self) -> Mapping[int, Process]:
        return {pid: each for pid, each in super().processes().items() if each.name == self._name}


def hogs_alone(probe: Probe) -> OnlyHogs:
    """Return what reads this machine."""
    return OnlyHogs(os.getpid(), os.environ[VARIABLE])


if __name__ == "__main__":
    with patch("worker.runner.readings_of_this_machine", hogs_alone):
        main()
