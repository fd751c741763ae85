"""What the sides of a comparison name."""

from datetime import datetime

import pytest
from sqlalchemy import insert

from bench.errors import InputError
from db.engine import Database, now
from db.sides import Side, read_sides, unfinished
from db.tables import machine
from tests.db.builders import add_jobs
from tests.db.compared import store_speed

#: a Wednesday
CLOCK = datetime(2026, 5, 6, 15, 30)  # noqa: DTZ001 - people type their own time
SECONDS = [0.5] * 6


def read(database: Database, text: str, other: str = "run:999") -> Side:
    """Read one side."""
    with database.read() as connection:
        return read_sides(connection, text, other, CLOCK)[0]


def refused(database: Database, text: str, other: str = "run:999") -> str:
    """Return why a side is refused."""
    with pytest.raises(InputError) as caught:
        read(database, text, other)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "name", "condition"),
    [
        ("3", "batch 3", "batch=3"),
        (" batch:3 ", "batch 3", "batch=3"),
        ("Batch: 3", "batch 3", "batch=3"),
        ("run:7", "run 7", "run_id=7"),
    ],
)
def test_numbers_are_batches_and_runs(database: Database, text: str, name: str, condition: str) -> None:
    side = read(database, text)
    assert (side.name, str(side.condition)) == (name, condition)


@pytest.mark.parametrize(
    ("text", "start", "end", "meaning"),
    [
        ("2026-05-01", (2026, 5, 1), (2026, 5, 2), None),
        ("yesterday", (2026, 5, 5), (2026, 5, 6), None),
        ("days:yesterday", (2026, 5, 5), (2026, 5, 6), None),
        ("2026-05-01..2026-05-03", (2026, 5, 1), (2026, 5, 4), None),
        ("2026-05-01 .. Yesterday", (2026, 5, 1), (2026, 5, 6), None),
        ("2d..now", (2026, 5, 4, 15, 30), (2026, 5, 6, 15, 30), None),
        ("2026-05-01..", (2026, 5, 1), (2026, 5, 6, 15, 30), None),
        ("this-week", (2026, 5, 4), (2026, 5, 11), "this-week is 2026-05-04 to 2026-05-10"),
        ("Last-Week", (2026, 4, 27), (2026, 5, 4), "last-week is 2026-04-27 to 2026-05-03"),
        ("last-month", (2026, 4, 1), (2026, 5, 1), "last-month is 2026-04-01 to 2026-04-30"),
        ("this-month", (2026, 5, 1), (2026, 6, 1), "this-month is 2026-05-01 to 2026-05-31"),
    ],
)
def test_days_are_spans_of_local_time(
    database: Database, text: str, start: tuple[int, ...], end: tuple[int, ...], meaning: str | None
) -> None:
    side = read(database, text)
    assert side.kind == "days"
    assert side.meaning == meaning
    assert side.span == tuple(datetime(*moment).timestamp() for moment in (start, end))  # type: ignore[arg-type]  # noqa: DTZ001


def test_everything_before_a_day_has_no_beginning(database: Database) -> None:
    side = read(database, "..2026-05-01")
    assert (side.since, side.until) == (None, "2026-05-01")
    assert side.span is not None
    assert side.span.start == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("7d", "'7d' is an instant, not a span; write 7d..now for what was measured since"),
        ("2026-05-03..2026-05-01", "ends before it begins"),
        ("2026-05-01..soon", "'soon' is no time; a time is a date"),
        ("days:soon", "'soon' is no time"),
    ],
)
def test_days_that_are_none(database: Database, text: str, said: str) -> None:
    assert said in refused(database, text)


def test_a_name_is_its_last_batch(database: Database) -> None:
    add_jobs(database, name="evening", schedule="nightly")
    add_jobs(database, name="evening", schedule="nightly")
    add_jobs(database, name="nightly")
    with database.read() as connection:
        first, second = read_sides(connection, "nightly~1", "nightly")
    assert (first.name, second.name) == ("batch 1", "batch 2")
    assert second.meaning == "nightly is batch 2"
    assert read(database, "evening").name == "batch 2"
    assert read(database, "batch:nightly").name == "batch 3"
    assert read(database, "schedule:nightly~1").name == "batch 1"
    assert refused(database, "nightly~2") == "'nightly~2' goes back too far; nightly has 2 batches"
    assert refused(database, "batch:nightly~1") == "'nightly~1' goes back too far; nightly has one batch only"


def test_machines_go_by_their_id(database: Database) -> None:
    with database.write() as connection:
        for name in ("mini", "studio"):
            connection.execute(insert(machine).values(id=name, first_seen_at=now()))
    side = read(database, "machine:mini")
    assert (side.name, str(side.condition)) == ("machine mini", "machine=mini")
    assert refused(database, "machine:minni") == "there is no machine 'minni'; did you mean 'mini'?"
    assert refused(database, "mini") == "'mini' is nothing to compare; did you mean 'machine:mini'?"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nihgtly", "'nihgtly' is nothing to compare; did you mean 'nightly'?"),
        ("yesterdy", "did you mean 'yesterday'?"),
        ("last_week", "did you mean 'last-week'?"),
        ("schedule:nigtly", "there is no schedule 'nigtly'; did you mean 'nightly'?"),
        ("batch:evenin", "there is no batch 'evenin'; did you mean 'evening'?"),
        ("run:", "a run has a number, as in run:7"),
        ("run:x", "a run has a number, as in run:7"),
        ("machine:", "there is no machine ''"),
        ("", "'' is nothing to compare: a side is a batch (3), a run (run:7), a machine"),
        ("..", "'..' is nothing to compare"),
        ("0", "'0' is nothing to compare"),
        ("3.5", "'3.5' is nothing to compare"),
        ("job:3", "'job:3' is nothing to compare"),
    ],
)
def test_what_is_nothing_is_told_with_what_is_near(database: Database, text: str, said: str) -> None:
    add_jobs(database, name="evening", schedule="nightly")
    assert said in refused(database, text)


def test_a_side_is_not_compared_with_itself(database: Database) -> None:
    add_jobs(database, name="evening")
    assert refused(database, "1", "batch:1") == "batch 1 can't be compared with itself"
    assert refused(database, "1", "evening") == "batch 1 can't be compared with itself"
    assert refused(database, "yesterday", "2026-05-05") == "yesterday can't be compared with itself"


def test_days_must_not_overlap(database: Database) -> None:
    said = "2026-05-01..2026-05-03 and 2026-05-03..2026-05-04 overlap; a run can be on one side only"
    assert refused(database, "2026-05-01..2026-05-03", "2026-05-03..2026-05-04") == said
    with database.read() as connection:
        assert len(read_sides(connection, "2026-05-01..2026-05-02", "2026-05-03..2026-05-04")) == 2


def test_open_jobs_of_a_batch_are_counted(database: Database) -> None:
    store_speed(database, SECONDS)
    add_jobs(database, 3)
    with database.read() as connection:
        assert unfinished(connection, read(database, "1")) == 0
        assert unfinished(connection, read(database, "2")) == 3
        assert unfinished(connection, read(database, "yesterday")) == 0
