"""The real worker with a session that needs no torch and measures nothing; it tells when a run is committed.

Everything around the measuring is as ever: the ring, the claim, the order's way to a session process and back, the
heartbeat, the witness, the spool on the disk, the run's transaction, the acknowledgement.
"""

import os
import sys
import time
from functools import partial
from typing import Any

from db.runs import store_measurement
from db.settings import load_settings
from tests.chaos.worker import PROBE
from worker import runner, service
from worker.supervise import SessionProcess


def tell() -> None:
    """Write this moment, by the clock that all processes share."""
    os.write(sys.stdout.fileno(), f"{time.monotonic()}\n".encode())


def _stored(*arguments: Any, **options: Any) -> int | None:
    run_id = store_measurement(*arguments, **options)
    tell()
    return run_id


def main() -> None:
    """Work until told to stop."""
    from scheduler.logs import set_up_logging

    settings, _ = load_settings()
    setattr(runner, "SessionProcess", partial(SessionProcess, module="tests.worker.scripted"))  # noqa: B010
    setattr(service, "probe_device", lambda device: PROBE)  # noqa: B010
    setattr(runner, "store_measurement", _stored)  # noqa: B010
    set_up_logging(settings)
    service.serve(settings)


if __name__ == "__main__":
    main()
