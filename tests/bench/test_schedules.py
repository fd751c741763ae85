"""When a schedule is due, on the days on which clocks change too, and what becomes of missed times."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import InputError
from bench.schedules import (
    MAX_EVERY_SECONDS,
    Decision,
    Missed,
    Timing,
    check_timezone,
    decide,
    duration_in_units,
    read_cron,
    read_duration,
    read_every,
)

DAY = 86_400.0
HOUR = 3600.0


def at(text: str) -> float:
    """Return a time in UTC as seconds since the epoch."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def utc(moments: Iterator[float], count: int) -> list[str]:
    return [datetime.fromtimestamp(each, UTC).strftime("%m-%d %H:%M") for each in islice(moments, count)]


def cron(line: str, zone: str = "UTC") -> Timing:
    return read_cron(line, zone)


@pytest.mark.parametrize(
    ("line", "zone", "start", "due"),
    [
        ("0 2 * * *", "Europe/Zurich", "2026-01-01", ["01-01 01:00", "01-02 01:00"]),
        ("@hourly", "UTC", "2026-01-01 00:00:30", ["01-01 01:00", "01-01 02:00"]),
        ("@weekly", "UTC", "2026-01-01", ["01-04 00:00", "01-11 00:00"]),
        ("*/20 9 * * MON-FRI", "UTC", "2026-01-02 09:30", ["01-02 09:40", "01-05 09:00", "01-05 09:20"]),
        # 02:30 is missing on the day on which clocks go forward: its end is 03:00 CEST.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28", ["03-28 01:30", "03-29 01:00", "03-30 00:30"]),
        # On the day on which they go back it occurs twice, and is due once.
        ("30 2 * * *", "Europe/Berlin", "2026-10-24", ["10-24 00:30", "10-25 00:30", "10-26 01:30"]),
        # From between its two occurrences the next one is tomorrow's.
        ("30 2 * * *", "Europe/Berlin", "2026-10-25 01:00", ["10-26 01:30"]),
        # Every hour is every hour.
        ("0 * * * *", "Europe/Berlin", "2026-10-24 23:30", ["10-25 00:00", "10-25 01:00", "10-25 02:00"]),
        ("0 * * * *", "Europe/Berlin", "2026-03-28 23:30", ["03-29 00:00", "03-29 01:00", "03-29 02:00"]),
        # Two times of the missing hour are one.
        ("0,30 2 * * *", "Europe/Berlin", "2026-03-29", ["03-29 01:00", "03-30 00:00", "03-30 00:30"]),
        ("0 0 29 2 *", "UTC", "2026-01-01", ["02-29 00:00"]),
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03", ["10-03 15:30", "10-04 15:15"]),
    ],
)
def test_a_cron_line_is_due(line: str, zone: str, start: str, due: list[str]) -> None:
    assert utc(cron(line, zone).after(at(start)), len(due)) == due


def test_a_due_time_is_not_after_itself() -> None:
    timing = cron("0 2 * * *")
    assert timing.next_after(at("2026-01-01 02:00")) == at("2026-01-02 02:00")
    assert timing.next_after(at("2026-01-01 02:00") - 0.5) == at("2026-01-01 02:00")


@given(
    st.sampled_from(["*/7 * * * *", "30 2 * * *", "0,30 1-3 * * *", "15 */2 * * *"]),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
    st.integers(int(at("2026-01-01")), int(at("2027-01-01"))),
)
def test_wherever_one_begins_the_due_times_are_the_same(line: str, zone: str, start: int) -> None:
    timing = cron(line, zone)
    due = list(islice(timing.after(start), 40))
    assert all(earlier < later for earlier, later in pairwise([start, *due]))
    for place in (1, 20):
        assert list(islice(timing.after(due[place - 1]), 40 - place)) == due[place:]


@given(st.integers(0, 10**9), st.integers(60, 10**6), st.floats(0, 2 * 10**9))
def test_an_interval_is_a_grid(anchor: int, every: int, moment: float) -> None:
    timing = Timing(None, float(every), "UTC", float(anchor))
    first, second = islice(timing.after(moment), 2)
    assert first > moment
    assert first >= anchor + every
    assert second - first == every
    assert (first - anchor) % every == 0
    assert first - every <= max(moment, anchor)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("0 2 * *", "has 4 fields"),
        ("0 0 2 * * *", "has 6 fields"),
        ("", "has 0 fields"),
        ("@reboot", "unknown word '@reboot'"),
        ("@dayly", "did you mean '@daily'?"),
        ("0 25 * * *", "the hour of '0 25 * * *' can't be '25'"),
        ("x * * * *", "the minute of"),
        ("0 0 30 2 *", "is never due: no such day exists"),
        ("0 0 31 4,6,9,11 *", "is never due"),
        ("0 0 * 13 *", "the month of"),
        ("0 0 * * 9", "the day of week of"),
    ],
)
def test_a_bad_line_is_explained(line: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_cron(line, "UTC", where="--cron")
    assert str(caught.value).startswith("--cron: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Europe/Zürich", "did you mean 'Europe/Zurich'?"),
        ("berlin", "'Europe/Berlin'"),
        ("../UTC", "UTC"),
        ("", "time"),
    ],
)
def test_an_unknown_zone_has_near_ones(name: str, said: str) -> None:
    with pytest.raises(InputError, match="unknown time zone") as caught:
        check_timezone(name)
    assert said in str(caught.value)


@pytest.mark.parametrize(("text", "seconds"), [("45m", 2700), ("1h30m", 5400), ("7d", 7 * DAY), (" 2 W ", 14 * DAY)])
def test_a_duration(text: str, seconds: float) -> None:
    assert read_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "45", "m", "1x", "-5m", "1.5h", "5m ago"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(InputError, match="is no duration"):
        read_duration(text, where="--grace")


@given(st.integers(0, int(MAX_EVERY_SECONDS)))
def test_a_duration_reads_back(seconds: int) -> None:
    assert read_duration(duration_in_units(seconds)) == seconds


@pytest.mark.parametrize("text", ["59s", "367d"])
def test_an_interval_has_limits(text: str) -> None:
    with pytest.raises(InputError, match="must be from 1m to 366d"):
        read_every(text, anchor=0.0)


def test_a_timing_in_words() -> None:
    assert cron("0 2 * * *", "Europe/Zurich").in_words() == "at 02:00 every day (Europe/Zurich)"
    assert read_every("90m", anchor=1.5).in_words() == "every 1h30m"


#: hourly, due first at 00:00, seen at ...
HOURLY = cron("@hourly")
NOON = at("2026-01-01 12:00")


def decided(moment: float, misfire: str, grace_hours: float = 6.0, due: float = NOON) -> Decision:
    return decide(HOURLY, due, moment, misfire=misfire, grace_seconds=grace_hours * HOUR)  # type: ignore[arg-type]


@pytest.mark.parametrize("misfire", ["skip", "latest", "all"])
def test_what_is_on_time_fires(misfire: str) -> None:
    for late in (0.0, 5.0, 60.0):
        assert decided(NOON + late, misfire) == Decision((NOON,), None, NOON + HOUR)


def test_skip_never_makes_up_for_what_was_missed() -> None:
    assert decided(NOON + 61, "skip") == Decision((), Missed(NOON, NOON, 1), NOON + HOUR)
    late = NOON + 3 * HOUR + 10
    assert decided(late, "skip") == Decision((NOON + 3 * HOUR,), Missed(NOON, NOON + 2 * HOUR, 3), NOON + 4 * HOUR)


def test_latest_fires_once_for_all_of_it() -> None:
    late = NOON + 3.5 * HOUR
    assert decided(late, "latest") == Decision((NOON + 3 * HOUR,), Missed(NOON, NOON + 2 * HOUR, 3), NOON + 4 * HOUR)
    assert decided(NOON + 600, "latest") == Decision((NOON,), None, NOON + HOUR)


def test_latest_gives_up_what_is_older_than_its_grace() -> None:
    daily = cron("0 2 * * *")
    due = at("2026-01-01 02:00")

    def seen(hour: float) -> Decision:
        return decide(daily, due, due + hour * HOUR, misfire="latest", grace_seconds=6 * HOUR)

    assert seen(6) == Decision((due,), None, due + DAY)
    assert seen(6.01) == Decision((), Missed(due, due, 1), due + DAY)
    assert seen(24 * 3 + 7) == Decision((), Missed(due, due + 3 * DAY, 4), due + 4 * DAY)
    assert seen(24 * 3 + 5) == Decision((due + 3 * DAY,), Missed(due, due + 2 * DAY, 3), due + 4 * DAY)


def test_all_fires_for_each_within_its_grace() -> None:
    late = NOON + 9.5 * HOUR
    found = decided(late, "all", grace_hours=3)
    assert found.fire == tuple(NOON + hour * HOUR for hour in (7, 8, 9))
    assert found.missed == Missed(NOON, NOON + 6 * HOUR, 7)
    assert found.next_due == NOON + 10 * HOUR


def test_a_grace_shorter_than_what_is_on_time_takes_nothing_from_that() -> None:
    assert decided(NOON + 50, "latest", grace_hours=0) == Decision((NOON,), None, NOON + HOUR)


def test_years_of_minutes_are_not_counted_one_by_one() -> None:
    minutely = cron("* * * * *")
    found = decide(minutely, at("2020-01-01"), NOON, misfire="latest", grace_seconds=HOUR)
    assert found.fire == (NOON,)
    assert found.missed is not None
    assert found.missed.times > 10_000
    assert found.next_due == NOON + 60


@given(
    st.sampled_from(["skip", "latest", "all"]),
    st.integers(0, 30 * 24),
    st.floats(0, 7 * DAY),
    st.floats(0, 8 * DAY),
    st.sampled_from(["@hourly", "0 2 * * *", "30 2 * * *", "*/45 * * * *"]),
)
def test_every_due_time_is_dealt_with_once(misfire: str, hours: int, late: float, grace: float, line: str) -> None:
    timing = cron(line, "Europe/Berlin")
    due = timing.next_after(at("2026-03-15") + hours * HOUR)
    assert due is not None
    moment = due + late
    found = decide(timing, due, moment, misfire=misfire, grace_seconds=grace)  # type: ignore[arg-type]
    every = [due]
    while (following := timing.next_after(every[-1])) is not None and following <= moment:
        every.append(following)
    missed = found.missed.times if found.missed else 0
    assert len(found.fire) + missed == len(every)
    assert set(found.fire) <= set(every)
    assert found.next_due == timing.next_after(every[-1])
    assert (found.next_due or 0.0) > moment
    if misfire == "latest":
        assert found.fire in ((), (every[-1],))
    if found.missed:
        assert found.missed.first == due
        assert found.missed.last == every[missed - 1]


def test_local_midnight_on_a_day_that_has_none() -> None:
    # In Santiago clocks go forward at midnight: the day begins at 01:00.
    zone = "America/Santiago"
    due = list(islice(cron("@daily", zone).after(at("2026-09-05 05:00")), 2))
    first = datetime.fromtimestamp(due[0], ZoneInfo(zone))
    assert (first.month, first.day, first.hour) == (9, 6, 1)
    assert due[1] - due[0] == timedelta(hours=23).total_seconds()
