"""The real worker with two things swapped: its session needs no torch, and its device is not asked.

It kills itself at a point where the suite has put a file `arm-POINT` into the home; see `POINTS`.
"""

import os
import resource
import signal
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from db.jobs import cancel_jobs, claim
from db.runs import store_measurement
from db.settings import load_settings
from tests.waiting import wait_until
from worker import runner, service
from worker.facts import Probe
from worker.spool import Spool
from worker.supervise import SessionProcess

#: moments at which a worker can be killed: a ring was taken, a job claimed, its result spooled, its run committed
POINTS = ("pop", "claim", "spool", "commit")

#: while this file lies in the home, the worker's disk takes no more than a page of any file
FULL_DISK = "full-disk"
#: while it lies there, a job is cancelled in the moment in which its result is to be stored
CANCEL_LATE = "cancel-late"

_PAGE_BYTES = 4096
#: longest time for which a disk is full: more than a whole scenario takes
_FULL_SECONDS = 600.0

PROBE = Probe(
    device="cpu",
    device_name="Chaos",
    memory_mib=8192,
    chip="Chaos",
    os_build="-",
    system_memory_mib=16384,
    python_version="3",
    torch_version="-",
    transformers_version="-",
    threads=1,
)


def arm(home: Path, point: str) -> None:
    """Have the next worker that comes by this point killed there."""
    (home / f"arm-{point}").touch()


def _die_at(home: Path, point: str) -> None:
    try:
        (home / f"arm-{point}").unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def _dying(function: Callable[..., Any], home: Path, point: str, *, before: bool = False) -> Callable[..., Any]:
    def wrapped(*arguments: Any, **options: Any) -> Any:
        if before:
            _die_at(home, point)
        done = function(*arguments, **options)
        if done is not None and not before:
            _die_at(home, point)
        return done

    return wrapped


def _storing(function: Callable[..., Any], home: Path) -> Callable[..., Any]:
    def wrapped(database: Any, job_id: int, *arguments: Any, **options: Any) -> Any:
        if (home / CANCEL_LATE).exists():
            with database.write() as connection:
                cancel_jobs(connection, [job_id])
        if (home / FULL_DISK).exists():
            _fill_disk(home)
        return function(database, job_id, *arguments, **options)

    return wrapped


def _fill_disk(home: Path) -> None:
    """Have the disk full until the file is gone, whether or not the worker comes to store anything meanwhile."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (_PAGE_BYTES, hard))

    def free() -> None:
        wait_until(lambda: not (home / FULL_DISK).exists(), "the disk has space again", _FULL_SECONDS)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))

    threading.Thread(target=free, name="disk", daemon=True).start()


def main() -> None:
    """Work until told to stop."""
    settings, _ = load_settings()
    home = settings.home
    setattr(runner, "SessionProcess", partial(SessionProcess, module="tests.chaos.session"))  # noqa: B010
    setattr(service, "probe_device", lambda device: PROBE)  # noqa: B010
    setattr(service.Worker, "_run_job", _dying(service.Worker._run_job, home, "pop", before=True))  # noqa: B010
    setattr(runner, "claim", _dying(claim, home, "claim"))  # noqa: B010
    setattr(Spool, "write", _dying(Spool.write, home, "spool"))  # noqa: B010
    stored = _dying(store_measurement, home, "commit")
    setattr(runner, "store_measurement", _storing(stored, home))  # noqa: B010
    from scheduler.logs import set_up_logging

    set_up_logging(settings)
    service.serve(settings)


if __name__ == "__main__":
    main()
