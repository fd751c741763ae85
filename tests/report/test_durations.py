"""Lengths of time as a screen has room for them."""

import pytest

from report.durations import brief


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (59.4, "59 s"), (60, "1 min"), (3599, "59 min"), (7500, "2 h 05"), (90_000, "1 d 1 h")],
)
def test_a_length_of_time_is_brief(seconds: float, text: str) -> None:
    assert brief(seconds) == text
    assert len(text) <= 8
