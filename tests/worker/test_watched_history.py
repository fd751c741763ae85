"""A slow-down's whole way, in real processes: measured, suspected, measured again by jobs that the queue made, told."""

import json
import sys
from collections.abc import Iterator
from math import exp
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import insert, select, update

from db.schedules import change_schedule, schedule_by_name, seconds_now
from db.tables import job, run
from tests.waiting import wait_until
from tests.worker.processes import START_SECONDS, Stack, speed_sweep, stack

pytestmark = pytest.mark.alone

#: keeps each message in a line of a file
_TELL = """
import os, sys
with open({file!r}, "a") as told:
    told.write(os.environ["BENCHBEAT_ALERT_TITLE"] + " | " + repr(sys.stdin.read()) + chr(10))
"""


@pytest.fixture
def it(tmp_path: Path, database_url: str, tiny_qwen: Path) -> Iterator[Stack]:
    script, told = tmp_path / "tell.py", tmp_path / "told"
    script.write_text(_TELL.format(file=str(told)))
    command = f"{sys.executable} {script}"
    with stack(tmp_path, database_url, {"tiny": tiny_qwen}, BENCHBEAT_ALERT_COMMAND=command) as made:
        yield made


def remember(it: Stack, run_id: int, nights: int, factor: float) -> None:
    """Let the run's series have been measured so many nights, this one among them, at another level."""
    dice = Random(1)
    with it.database.write() as connection:
        measured = dict(connection.execute(select(run).where(run.c.id == run_id)).one()._mapping)
        asked = dict(connection.execute(select(job).where(job.c.id == measured["job_id"])).one()._mapping)
        del measured["id"], asked["id"]
        level = measured["latency_seconds"] * factor
        # Left as it was, it would be an outlier that stands where the slow nights stand.
        connection.execute(update(run).where(run.c.id == run_id).values(latency_seconds=level))
        for _ in range(nights - 1):
            job_id = connection.execute(insert(job).values(asked).returning(job.c.id)).scalar_one()
            latency = level * exp(dice.gauss(0, 0.1))
            connection.execute(insert(run).values(measured | {"job_id": job_id, "latency_seconds": latency}))


def fire(it: Stack) -> int:
    """Let the schedule be due; returns the batch."""
    before = len(it.batches())
    with it.database.write() as connection:
        found = schedule_by_name(connection, "nightly")
        change_schedule(connection, found.id, next_due_at=seconds_now(connection) - 1)
    wait_until(lambda: len(it.batches()) > before, "the schedule has fired", START_SECONDS)
    return it.batches()[-1]


def told(it: Stack) -> list[str]:
    file = it.folder / "told"
    return file.read_text().splitlines() if file.exists() else []


def states(it: Stack, view: str) -> list[str]:
    rows = json.loads(it.call("sql", f"select state from {view} order by 1", "-o", "json").stdout)
    return [row["state"] for row in rows]


def test_a_slow_down_is_confirmed_by_the_queue_itself_and_told_once(it: Stack) -> None:
    it.worker()
    it.start("beat")
    file = it.sweep(speed_sweep(it.models, 1))
    added = it.call("schedule", "add", "nightly", str(file), "--every", "1d")
    assert added.returncode == 0, added.stderr
    first = fire(it)
    it.wait_ended(first)
    wait_until(lambda: states(it, "alerts") == ["quiet"], "nothing is to be said of the first night", START_SECONDS)
    # Far below what a busy machine's noise could explain, either way.
    remember(it, it.runs(first)[0].id, 17, factor=0.05)

    slow = fire(it)
    wait_until(lambda: "confirmed" in states(it, "changes"), "the slow-down is confirmed", START_SECONDS)
    wait_until(lambda: told(it), "it is told", START_SECONDS)
    jobs = it.jobs(slow)
    assert [each.reason for each in jobs] == [None, *["confirmation"] * (len(jobs) - 1)]
    assert len(jobs) > 1
    assert {each.machine for each in jobs[1:]} == {"test-machine"}
    (message,) = told(it)
    assert message.startswith("benchbeat nightly: 1 slower | ")
    assert f"confirmed by {len(jobs) - 1} more run" in message

    shown = it.call("regressions")
    assert shown.returncode == 3, shown.stderr
    assert "Slower, confirmed by" in shown.stdout
    assert "tiny speed 4+2 float32, cpu of test-machine" in shown.stdout
    (row,) = json.loads(it.call("regressions", "-o", "json").stdout)
    assert (row["state"], row["direction"], row["stands"]) == ("confirmed", "slower", True)
    assert row["ratio"] > 1.5

    # The next night is at the new level: silence.
    again = fire(it)
    it.wait_ended(again)
    wait_until(lambda: states(it, "alerts").count("quiet") == 2, "nothing is to be said of that night", START_SECONDS)
    assert len(told(it)) == 1
