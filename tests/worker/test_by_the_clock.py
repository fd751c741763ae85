"""A schedule's whole way, in real processes: added, fired by one of two beats, measured, in the history by its name."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from db.schedules import change_schedule, schedule_by_name, seconds_now
from tests.waiting import wait_until
from tests.worker.processes import START_SECONDS, Stack, speed_sweep, stack


@pytest.fixture
def it(tmp_path: Path, sqlite_url: str, tiny_qwen: Path) -> Iterator[Stack]:
    with stack(tmp_path, sqlite_url, {"tiny": tiny_qwen}) as made:
        yield made


def test_a_schedule_is_measured_and_named_in_the_history(it: Stack) -> None:
    it.worker()
    beats = [it.start("beat") for _ in range(2)]
    file = it.sweep(speed_sweep(it.models, 2))
    added = it.call("schedule", "add", "nightly", str(file), "--cron", "0 2 * * *", "--timezone", "Europe/Zurich")
    assert added.returncode == 0, added.stderr
    file.unlink()
    for number in (1, 2):
        with it.database.write() as connection:
            found = schedule_by_name(connection, "nightly")
            change_schedule(connection, found.id, next_due_at=seconds_now(connection) - number)
        wait_until(lambda: len(it.batches()) == number, "it has fired", START_SECONDS)  # noqa: B023
        assert it.wait_ended(number).done == 2
    shown = it.call(
        "sql", "select schedule, batch, count(*) as runs from history group by 1, 2 order by 2", "-o", "json"
    )
    assert json.loads(shown.stdout) == [{"schedule": "nightly", "batch": batch, "runs": 2} for batch in (1, 2)]
    assert "published" in it.call("status", "1").stdout
    assert [each.poll() for each in beats] == [None, None]
    assert it.log("beat").count("schedule nightly, due") == 2
