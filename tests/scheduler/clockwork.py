"""A beat by a simulated clock, as a process: `python -m tests.scheduler.clockwork DATABASE CLOCK SEED`.

The clock is a file with the time in it. After a few batches, drawn by the seed, the process kills itself: before,
in or right after the transaction of a firing. It ends when the clock's file is gone.
"""

import os
import signal
import sys
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import Connection

from bench.errors import UnavailableError
from db.engine import Database
from scheduler import schedules
from scheduler.schedules import Ticker
from tests.waiting import wait_until


def _die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(seed: str) -> None:
    """Let this process die at one of the moments at which that could do harm."""
    dice = Random(seed)
    left = dice.randint(1, 12)
    moment = dice.choice(["insert_firing", "insert_batch", "set_batch_of_firing", "change_schedule"])
    before = dice.random() < 0.5
    original = getattr(schedules, moment)

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0 and before:
            _die()
        done = original(*arguments, **options)
        if left == 0:
            _die()
        return done

    setattr(schedules, moment, counted)


def main(url: str, file: Path, seed: str) -> None:
    """Tick until the clock is gone."""
    arm(seed)
    database = Database(url)

    def clock(connection: Connection) -> float:
        return float(file.read_text())

    ticker = Ticker(database, clock=clock)

    def ticked() -> bool:
        try:
            ticker.tick()
        except (FileNotFoundError, UnavailableError):
            return not file.exists()
        return False

    wait_until(ticked, "the clock is gone", timeout_seconds=300)
    database.dispose()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
