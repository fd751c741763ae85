"""Schedules in the database: what is due becomes a batch once, whatever happens."""

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select, update

from bench.errors import InputError
from bench.schedules import Timing, read_cron
from db.engine import Database
from db.schedules import Schedule, all_schedules, change_schedule, firings_of, remove_schedule, schedule_by_name
from db.tables import batch, firing, job, schedule
from scheduler.schedules import (
    Handled,
    Ticker,
    add_schedule,
    resume_schedule,
    specs_of,
    trigger_schedule,
)
from scheduler.submit import submit
from tests.commands import environment
from tests.scheduler.test_submit import sweep
from tests.waiting import wait_until

START = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
HOUR = 3600.0
HOURLY = read_cron("@hourly", "UTC")


class World:
    """A database whose clock the test turns."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.moment = START
        self.ticker = self.another_ticker()

    def another_ticker(self) -> Ticker:
        return Ticker(self.database, clock=lambda connection: self.moment)

    def add(self, name: str = "nightly", timing: Timing = HOURLY, **options: Any) -> Schedule:
        asked: dict[str, Any] = {"grace_seconds": 6 * HOUR, "overlap": "queue"} | options
        added = add_schedule(self.database, name, sweep(), timing, **asked)
        with self.database.write() as connection:
            change_schedule(connection, added.id, next_due_at=timing.next_after(self.moment))
        return added

    def tick(self, hours: float = 0.0) -> list[Handled]:
        self.moment += hours * HOUR
        return self.ticker.tick()

    def outcomes(self, name: str = "nightly") -> list[tuple[float, str]]:
        """Return hour and outcome of each firing."""
        with self.database.read() as connection:
            found = firings_of(connection, schedule_by_name(connection, name).id, 1000)
        return [((each.due_at - START) / HOUR, each.outcome) for each in reversed(found)]

    def count(self, table: Any) -> int:
        with self.database.read() as connection:
            return int(connection.execute(select(func.count()).select_from(table)).scalar_one())

    def end_jobs(self) -> None:
        with self.database.write() as connection:
            connection.execute(update(job).values(state="done"))


@pytest.fixture
def it(database: Database) -> World:
    return World(database)


def test_what_is_due_becomes_a_batch(it: World) -> None:
    it.add()
    assert it.tick() == []
    fired = it.tick(hours=1)
    assert [(each.schedule, each.due_at, each.outcome) for each in fired] == [("nightly", START + HOUR, "fired")]
    with it.database.read() as connection:
        made = connection.execute(select(batch)).one()
        jobs = connection.execute(select(job).order_by(job.c.id)).all()
    assert (made.id, made.name, made.schedule) == (fired[0].batch_id, "test", "nightly")
    assert [each.state for each in jobs] == ["queued"] * 3
    assert it.tick() == []


def test_a_batch_by_the_clock_is_the_batch_that_submitting_makes(it: World) -> None:
    it.add()
    it.tick(hours=1)
    submit(it.database, sweep())
    with it.database.read() as connection:
        rows = connection.execute(select(job).order_by(job.c.id)).all()
        batches = connection.execute(select(batch).order_by(batch.c.id)).all()
    own = {"id", "batch_id", "queued_at", "created_at", "schedule", "published_at"}
    plain = [{key: value for key, value in row._mapping.items() if key not in own} for row in [*rows, *batches]]
    assert plain[:3] == plain[3:6]
    assert plain[6] == plain[7]


def test_its_file_and_the_catalog_may_change(it: World) -> None:
    it.add()
    assert [spec.workload for spec in specs_of(it.database, "nightly")] == ["facts", "facts", "speed"]


def test_two_schedules_have_two_names(it: World) -> None:
    it.add()
    with pytest.raises(InputError, match="there is a schedule 'nightly' already"):
        it.add()
    assert it.count(schedule) == 1


@pytest.mark.parametrize("name", ["", "-x", "a b", "../x", "a\n", "x" * 101, "ä"])
def test_a_name_is_plain(it: World, name: str) -> None:
    with pytest.raises(InputError, match="must be letters"):
        it.add(name)


def test_any_number_of_tickers_makes_one_batch(it: World) -> None:
    for number in range(10):
        it.add(f"s{number}")
    tickers = [it.another_ticker() for _ in range(4)]
    for _ in range(3):
        it.moment += HOUR
        together = threading.Barrier(len(tickers))
        handled: list[Handled] = []

        def tick(ticker: Ticker) -> None:
            together.wait()  # noqa: B023
            handled.extend(ticker.tick())  # noqa: B023

        threads = [threading.Thread(target=tick, args=(each,)) for each in tickers]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert Counter(each.schedule for each in handled) == Counter(f"s{number}" for number in range(10))
    assert it.count(batch) == 30


@pytest.mark.parametrize(
    ("misfire", "outcomes"),
    [
        ("skip", [(1, "missed"), (5, "fired")]),
        ("latest", [(1, "missed"), (5, "fired")]),
        ("all", [(1, "missed"), (3, "fired"), (4, "fired"), (5, "fired")]),
    ],
)
def test_an_outage_ends_by_the_policy(it: World, misfire: str, outcomes: list[tuple[float, str]]) -> None:
    it.add(misfire=misfire, grace_seconds=2 * HOUR)
    it.tick(hours=5)
    assert it.outcomes() == outcomes
    with it.database.read() as connection:
        missed = connection.execute(select(firing).where(firing.c.outcome == "missed")).one()
    assert "missed" in missed.note
    assert "no beat ran, or the machine slept; noticed 4h late" in missed.note


def test_a_batch_that_still_runs_is_not_overlapped(it: World) -> None:
    it.add(overlap="skip")
    it.tick(hours=1)
    assert [each.note for each in it.tick(hours=1)] == ["batch 1 had not ended"]
    it.end_jobs()
    it.tick(hours=1)
    assert it.outcomes() == [(1, "fired"), (2, "overlapped"), (3, "fired")]
    assert it.count(batch) == 2


def test_or_the_next_one_queues_behind_it(it: World) -> None:
    it.add(overlap="queue")
    it.tick(hours=1)
    it.tick(hours=1)
    assert it.outcomes() == [(1, "fired"), (2, "fired")]


def test_all_that_was_missed_does_not_overlap_either(it: World) -> None:
    it.add(overlap="skip", misfire="all")
    it.tick(hours=3)
    assert it.outcomes() == [(1, "fired"), (2, "overlapped"), (3, "overlapped")]


def test_a_paused_schedule_rests_and_makes_up_for_nothing(it: World) -> None:
    added = it.add()
    with it.database.write() as connection:
        change_schedule(connection, added.id, paused=True)
    assert it.tick(hours=3) == []
    with it.database.write() as connection:
        resume_schedule(connection, schedule_by_name(connection, "nightly"))
        resumed = schedule_by_name(connection, "nightly")
    assert not resumed.paused
    assert resumed.next_due_at is not None
    # by the database's own clock
    assert 0 < resumed.next_due_at - datetime.now(UTC).timestamp() <= HOUR + 1


def test_a_sweep_that_a_later_version_does_not_know_pauses_its_schedule(it: World) -> None:
    added = it.add()
    with it.database.write() as connection:
        stored = json.loads(connection.execute(select(schedule.c.jobs)).scalar_one())
        stored[1]["spec"]["warp"] = 9
        change_schedule(connection, added.id, jobs=json.dumps(stored))
    (refused,) = it.tick(hours=1)
    assert refused.outcome == "refused"
    with it.database.read() as connection:
        (paused,) = all_schedules(connection)
    assert paused.paused
    assert paused.paused_reason is not None
    assert "its job of smollm2-135m is not valid in this version: warp" in paused.paused_reason
    assert it.tick(hours=1) == []
    assert it.count(batch) == 0
    with pytest.raises(InputError, match="can't be used"):
        trigger_schedule(it.database, "nightly")
    with pytest.raises(InputError, match="add it again"):
        specs_of(it.database, "nightly")
    with it.database.write() as connection, pytest.raises(InputError, match="remove it and add it again"):
        resume_schedule(connection, paused)


def test_a_trigger_asks_nobody(it: World) -> None:
    added = it.add(overlap="skip")
    it.tick(hours=1)
    with it.database.write() as connection:
        change_schedule(connection, added.id, paused=True)
    assert trigger_schedule(it.database, "nightly") == 2
    assert sorted(outcome for _, outcome in it.outcomes()) == ["fired", "triggered"]


def test_removing_one_keeps_its_batches(it: World) -> None:
    added = it.add()
    it.tick(hours=1)
    with it.database.write() as connection:
        remove_schedule(connection, added.id)
    assert (it.count(schedule), it.count(firing), it.count(batch)) == (0, 0, 1)
    with it.database.read() as connection:
        assert connection.execute(select(batch.c.schedule)).scalar_one() == "nightly"


def test_a_clock_that_is_set_back_fires_nothing_twice_and_leaves_nothing_out(it: World) -> None:
    it.add()
    it.tick(hours=1)
    it.tick(hours=1)
    # Somebody set the clock a day ahead, and back.
    it.tick(hours=24)
    it.moment -= 26 * HOUR
    assert it.tick() == []
    for _ in range(4):
        it.tick(hours=1)
    outcomes = it.outcomes()
    assert [hour for hour, outcome in outcomes if outcome == "fired"] == [1, 2, 4, 26]
    assert len(outcomes) == len(set(outcomes))
    # Hour 3 stands for the day that seemed to be missed; it is dealt with.
    assert [hour for hour, outcome in outcomes if outcome == "missed"] == [3]


def test_a_beat_that_starts_under_a_clock_that_was_set_back(it: World) -> None:
    added = it.add()
    with it.database.write() as connection:
        change_schedule(connection, added.id, next_due_at=START + 8760 * HOUR)
    it.tick()
    it.tick(hours=1)
    assert it.outcomes() == [(1, "fired")]


def test_many_schedules_are_due_at_once(it: World) -> None:
    added = it.add()
    with it.database.write() as connection:
        columns = [each for each in schedule.c if each.name not in ("id", "name")]
        row = connection.execute(select(*columns).where(schedule.c.id == added.id)).one()
        connection.execute(schedule.insert(), [dict(row._mapping) | {"name": f"s{n}"} for n in range(49)])
    assert it.tick() == []
    assert len(it.tick(hours=1)) == 50


# A week with a change of clocks, two beats, and both dying now and then


def _expected(zone: str, first: date, days: int) -> dict[str, set[float]]:
    """Work out, without the code that is tested, when each schedule is due."""
    begin = datetime.combine(first, datetime.min.time(), UTC)
    minutes = [begin + timedelta(minutes=number) for number in range(1, days * 24 * 60 + 1)]
    local = {each: each.astimezone(ZoneInfo(zone)) for each in minutes}
    half_past_two = set()
    for day in sorted({each.date() for each in local.values()}):
        on_day = [utc for utc, each in local.items() if each.date() == day]
        hits = [utc for utc in on_day if (local[utc].hour, local[utc].minute) == (2, 30)]
        # The missing hour is made up for at its end; of an hour that occurs twice the first one counts.
        late = [utc for utc in on_day if (local[utc].hour, local[utc].minute) == (3, 0)]
        complete = len(on_day) >= 23 * 60
        if hits:
            half_past_two.add(min(hits))
        elif complete and late:
            half_past_two.add(min(late))
    return {
        "hourly": {each.timestamp() for each in minutes if each.minute == 0},
        "at-half-past-two": {each.timestamp() for each in half_past_two},
        "every-45m": {each.timestamp() for each in minutes if (each - begin).total_seconds() % 2700 == 0},
    }


class Beats:
    """Two processes that tick, started again when they die."""

    def __init__(self, database_url: str, clock: Path) -> None:
        self._url, self._clock = database_url, clock
        self._seeds = count(1)
        self._processes = [self._start() for _ in range(2)]
        self.deaths = 0

    def _start(self) -> "subprocess.Popen[bytes]":
        module = "tests.scheduler.clockwork"
        command = [sys.executable, "-P", "-m", module, self._url, str(self._clock), str(next(self._seeds))]
        return subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL)

    def look(self) -> None:
        """Start again what died."""
        for place, process in enumerate(self._processes):
            if process.poll() is not None:
                assert process.returncode == -9, process.returncode
                self.deaths += 1
                self._processes[place] = self._start()

    def end(self) -> None:
        self._clock.unlink(missing_ok=True)
        for process in self._processes:
            process.wait(30)


@contextmanager
def beats(database_url: str, clock: Path) -> Iterator[Beats]:
    running = Beats(database_url, clock)
    try:
        yield running
    finally:
        running.end()


@pytest.mark.parametrize(
    ("database_url", "first"),
    [("sqlite", date(2026, 3, 26)), ("postgresql", date(2026, 10, 22))],
    ids=["sqlite-spring", "postgresql-autumn"],
    indirect=["database_url"],
)
def test_two_beats_that_die_midway_fire_exactly_what_is_due(
    database: Database, database_url: str, tmp_path: Path, first: date
) -> None:
    zone, days = "Europe/Berlin", 7
    begin = datetime.combine(first, datetime.min.time(), UTC).timestamp()
    timings = {
        "hourly": read_cron("0 * * * *", zone),
        "at-half-past-two": read_cron("30 2 * * *", zone),
        "every-45m": Timing(None, 2700.0, "UTC", begin),
    }
    for name, timing in timings.items():
        added = add_schedule(database, name, sweep(), timing, misfire="all", grace_seconds=24 * HOUR, overlap="queue")
        with database.write() as connection:
            change_schedule(connection, added.id, next_due_at=timing.next_after(begin))
    clock = tmp_path / "clock"
    draft = tmp_path / "draft"

    def turn(moment: float) -> None:
        draft.write_text(str(moment))
        draft.replace(clock)

    def caught_up(moment: float) -> bool:
        running.look()
        with database.read() as connection:
            return all((each.next_due_at or 0) > moment for each in all_schedules(connection))

    turn(begin)
    with beats(database_url, clock) as running:
        for step in range(1, days * 8 + 1):
            moment = begin + step * 3 * HOUR
            turn(moment)
            wait_until(lambda: caught_up(moment), f"both beats are at step {step}", 60)  # noqa: B023
    assert running.deaths >= 5

    expected = _expected(zone, first, days)
    with database.read() as connection:
        rows = connection.execute(
            select(schedule.c.name, firing.c.due_at, firing.c.outcome, firing.c.batch_id).join(schedule)
        ).all()
        counted = connection.execute(select(job.c.batch_id, func.count()).group_by(job.c.batch_id)).all()
        jobs = {row[0]: row[1] for row in counted}
        batches = connection.execute(select(batch.c.id, batch.c.schedule)).all()
    fired = {name: {row.due_at for row in rows if row.name == name} for name in timings}
    assert fired == expected
    assert {row.outcome for row in rows} == {"fired"}
    # A firing has its batch, whole, and no batch is without one.
    assert sorted(row.batch_id for row in rows) == sorted(each.id for each in batches)
    assert {row.batch_id: row.name for row in rows} == {each.id: each.schedule for each in batches}
    assert set(jobs.values()) == {3}
    assert set(jobs) == {each.id for each in batches}
