from collections.abc import Iterator
from threading import Event
from threading import enumerate as enumerate_threads
from typing import Any

import pytest

from bench.errors import UnavailableError
from db.engine import Database
from db.jobs import Claimed
from tests.db.builders import claimed_job, job_row
from tests.waiting import wait_until
from worker import heartbeat
from worker.heartbeat import Heartbeat
from worker.protocol import Progress


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    opened = Database(sqlite_url)
    yield opened
    opened.dispose()


@pytest.fixture
def job(database: Database) -> Claimed:
    return claimed_job(database)


def test_progress_is_stored_with_the_lease(database: Database, job: Claimed) -> None:
    before = job_row(database, job.id).lease_until
    with Heartbeat(database, job, 100.0) as beats:
        progress = Progress(phase="measuring", done=3)
        wait_until(lambda: beats.look(progress) or job_row(database, job.id).progress, "the progress is stored")
    row = job_row(database, job.id)
    assert '"phase":"measuring","done":3' in row.progress
    assert row.lease_until > before


def test_a_database_that_hangs_holds_nothing_up(
    database: Database, job: Claimed, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answer = Event(), Event()

    def hang(*_: Any) -> None:
        asked.set()
        answer.wait(60)

    monkeypatch.setattr(heartbeat, "look_at_lease", hang)
    with Heartbeat(database, job, 100.0) as beats:
        wait_until(lambda: beats.look(None) or asked.is_set(), "the database is asked")
        assert beats.look(None) is None
    answer.set()


def test_a_job_of_milliseconds_needs_no_thread(database: Database, job: Claimed) -> None:
    with Heartbeat(database, job, 100.0) as beats:
        assert beats.look(None) is None
        assert "heartbeat" not in {each.name for each in enumerate_threads()}
        wait_until(lambda: beats.look(None) or "heartbeat" in {each.name for each in enumerate_threads()}, "it beats")


@pytest.mark.parametrize("error", [UnavailableError("away"), RuntimeError("a fault")])
def test_a_beat_that_fails_is_not_the_last(
    database: Database, job: Claimed, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    beats_left = iter([True])

    def look(*_: Any) -> None:
        if next(beats_left, False):
            raise error

    monkeypatch.setattr(heartbeat, "look_at_lease", look)
    with Heartbeat(database, job, 100.0) as beats:
        wait_until(lambda: beats.look(None) == "lost", "the beat after the failed one has found no lease")
