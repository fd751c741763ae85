"""Ranges: many numbers in a few characters."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.ranges import is_range, read_range


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1..4", [1, 2, 3, 4]),
        ("128..512*2", [128, 256, 512]),
        ("128..600*2", [128, 256, 512]),
        ("0.1..0.9+0.2", [0.1, 0.3, 0.5, 0.7, 0.9]),
        ("0..1+0.25", [0, 0.25, 0.5, 0.75, 1]),
        ("0.1..0.4*2", [0.1, 0.2, 0.4]),
        ("100..225*1.5", [100, 150, 225]),
        ("7..7", [7]),
        (" 1 .. 3 + 2 ", [1, 3]),
        ("-2..2+2", [-2, 0, 2]),
    ],
)
def test_a_range_is_unfolded_in_exact_decimals(text: str, values: list[float]) -> None:
    assert read_range(text) == values
    assert [type(value) for value in read_range(text)] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1..", "'1..' is no range; write a range as 1..4, 0.1..0.9+0.2 or 128..512*2"),
        ("a..b", "'a..b' is no range"),
        ("1..5+", "'1..5+' is no range"),
        ("1..5-1", "'1..5-1' is no range"),
        ("1..2..3", "'1..2..3' is no range"),
        ("1e3..2e3", "'1e3..2e3' is no range"),
        ("0.1..0.9", "the range '0.1..0.9' needs a step, as in 0.1..0.9+0.1"),
        ("5..1", "the range '5..1' ends below its start"),
        ("1..5+0", "the range '1..5+0' would never end"),
        ("1..5*1", "the range '1..5*1' would never end"),
        ("0..5*2", "the range '0..5*2' would never end"),
        ("1..5+-1", "the range '1..5+-1' would never end"),
        ("1..200000", "the range '1..200000' has more than 100,000 values"),
        ("0..1+0.000000000000001", "has more than 100,000 values"),
    ],
)
def test_another_range_is_refused_in_a_sentence(text: str, said: str) -> None:
    assert is_range(text)
    with pytest.raises(ValueError, match="range") as caught:
        read_range(text)
    assert said in str(caught.value)


@given(st.integers(-1000, 1000), st.integers(0, 200), st.integers(1, 20))
def test_whole_numbers_are_those_of_pythons_range(first: int, length: int, step: int) -> None:
    last = first + length
    assert read_range(f"{first}..{last}+{step}") == list(range(first, last + 1, step))


@given(st.decimals("0.001", "3", places=3), st.decimals("0.001", "2", places=3), st.integers(0, 50))
def test_a_range_of_n_steps_has_its_end_in_it(first: Decimal, step: Decimal, steps: int) -> None:
    values = read_range(f"{first}..{first + steps * step}+{step}")
    assert len(values) == steps + 1
    assert values[-1] == float(first + steps * step)
