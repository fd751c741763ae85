"""Reading what the machine does besides: Linux and macOS behind one small interface."""

import os
import platform

from worker.facts import Probe
from worker.readings.base import NoReadings as NoReadings
from worker.readings.base import Process as Process
from worker.readings.base import Readings as Readings


def readings_of_this_machine(probe: Probe | None = None, *, root_pid: int | None = None) -> Readings:
    """Return what reads this machine; on a system that nobody knows it reads nothing.

    With a probe the load of its GPU is read too. `root_pid` is the process whose tree is ours, this one by default.
    """
    root_pid = root_pid or os.getpid()
    uuid = probe.device_uuid if probe is not None and probe.device == "cuda" else None
    match platform.system():
        case "Linux":
            from worker.readings.linux import LinuxReadings

            return LinuxReadings(root_pid, gpu_uuid=uuid)
        case "Darwin":
            from worker.readings.macos import MacReadings

            return MacReadings(root_pid)
    return NoReadings()
