"""Points in time as people type them."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import InputError
from db.moments import read_moment

#: a Wednesday
CLOCK = datetime(2026, 5, 6, 15, 30, 20)  # noqa: DTZ001 - people type their own time


def seconds(*parts: int) -> float:
    """Return a local time since the epoch."""
    return datetime(*parts).timestamp()  # type: ignore[arg-type]  # noqa: DTZ001


@pytest.mark.parametrize(
    ("typed", "start", "end"),
    [
        ("2026-05-01", seconds(2026, 5, 1), seconds(2026, 5, 2)),
        ("2026-05-01 14:30", seconds(2026, 5, 1, 14, 30), seconds(2026, 5, 1, 14, 31)),
        ("2026-05-01T14:30", seconds(2026, 5, 1, 14, 30), seconds(2026, 5, 1, 14, 31)),
        (" 2026-05-01  14:30:05 ", seconds(2026, 5, 1, 14, 30, 5), seconds(2026, 5, 1, 14, 30, 6)),
        ("today", seconds(2026, 5, 6), seconds(2026, 5, 7)),
        ("Yesterday", seconds(2026, 5, 5), seconds(2026, 5, 6)),
        ("monday", seconds(2026, 5, 4), seconds(2026, 5, 5)),
        ("wednesday", seconds(2026, 5, 6), seconds(2026, 5, 7)),
        ("Thursday", seconds(2026, 4, 30), seconds(2026, 5, 1)),
    ],
)
def test_days_and_times_cover_what_they_name(typed: str, start: float, end: float) -> None:
    assert read_moment(typed, clock=CLOCK) == (start, end)


@pytest.mark.parametrize(
    ("typed", "ago"),
    [("7d", 604_800), ("12h", 43_200), ("30m", 1800), ("30min", 1800), ("2w ago", 1_209_600), ("5 s", 5), ("now", 0)],
)
def test_ages_are_instants(typed: str, ago: int) -> None:
    start, end = read_moment(typed, clock=CLOCK)
    assert start == end == CLOCK.timestamp() - ago


@pytest.mark.parametrize("typed", ["", "soon", "2026-13-01", "2026-05-01 25:00", "7x", "-7d", "05/01/2026", "d"])
def test_what_is_no_time_is_said(typed: str) -> None:
    with pytest.raises(InputError, match=r"^--since: .* is no time; a time is a date") as caught:
        read_moment(typed, where="--since", clock=CLOCK)
    assert repr(typed) in str(caught.value)


@given(st.text(max_size=20))
def test_any_text_is_a_span_or_refused(typed: str) -> None:
    try:
        start, end = read_moment(typed, clock=CLOCK)
    except InputError:
        return
    assert start <= end


@given(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001
def test_a_moment_lies_within_its_own_day(moment: datetime) -> None:
    start, end = read_moment(f"{moment:%Y-%m-%d}")
    assert start <= moment.timestamp() < end
