"""The report is made once for what the history holds, and once more when that has changed."""

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, insert

from bench.errors import InputError
from db.engine import Database
from db.tables import batch
from report.web.live_report import LiveReport
from tests.waiting import wait_until


class Maker:
    """Makes pages, and counts them."""

    def __init__(self) -> None:
        self.made = 0
        self.go_on = threading.Event()
        self.go_on.set()
        self.error: Exception | None = None

    def __call__(self, connection: Connection) -> str:
        """Return the number of the page."""
        self.go_on.wait(20)
        if self.error is not None:
            raise self.error
        self.made += 1
        return f"page {self.made}"


@pytest.fixture
def opened(database_url: str) -> Iterator[Database]:
    """Give an empty database."""
    database = Database(database_url)
    yield database
    database.dispose()


def add_batch(database: Database) -> None:
    """Change what the history holds."""
    with database.write() as connection:
        connection.execute(insert(batch).values(name="x", sweep_hash="x", priority=0, created_at=1.0))


def test_the_first_look_begins_it_and_a_later_one_shows_it(opened: Database) -> None:
    maker = Maker()
    maker.go_on.clear()
    report = LiveReport(opened, maker)
    assert report.look().page is None
    assert report.look().page is None
    maker.go_on.set()
    report.wait(20)
    assert report.look().page == "page 1"
    assert maker.made == 1


def test_a_changed_history_is_reported_anew_while_the_old_report_is_shown(opened: Database) -> None:
    maker, moment = Maker(), [0.0]
    report = LiveReport(opened, maker, clock=lambda: moment[0])
    report.look()
    report.wait(20)
    add_batch(opened)
    assert report.look().page == "page 1"
    report.wait(20)
    assert report.look().page == "page 2"
    report.wait(20)
    assert maker.made == 2


def test_a_report_that_takes_long_is_not_made_all_the_time(opened: Database) -> None:
    moment = [0.0]

    def slow(connection: Connection) -> str:
        moment[0] += 30
        return f"page at {moment[0]:g}"

    report = LiveReport(opened, slow, clock=lambda: moment[0])
    report.look()
    report.wait(20)
    add_batch(opened)
    report.look()
    report.wait(20)
    assert report.look().page == "page at 30"
    moment[0] += 151
    report.look()
    report.wait(20)
    assert report.look().page == "page at 211"


def test_a_report_that_cannot_be_made_says_why(opened: Database, caplog: pytest.LogCaptureFixture) -> None:
    maker = Maker()
    maker.error = InputError("no run is left")
    report = LiveReport(opened, maker)
    report.look()
    report.wait(20)
    assert report.look().error == "no run is left"
    maker.error = RuntimeError("secret inner words")
    add_batch(opened)
    report = LiveReport(opened, maker)
    report.look()
    report.wait(20)
    shown = report.look()
    assert shown.error is not None
    assert "secret" not in shown.error
    assert "secret inner words" in caplog.text


def test_what_went_wrong_is_tried_again_though_the_history_is_as_it_was(opened: Database) -> None:
    maker = Maker()
    maker.error = InputError("the database is busy")
    report = LiveReport(opened, maker)
    report.look()
    report.wait(20)
    maker.error = None
    wait_until(lambda: report.look().page == "page 1", "the report is made")
