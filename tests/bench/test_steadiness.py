"""Whether latencies are steady: against every order of few values, scipy's test, and laws that hold for any."""

from itertools import combinations, pairwise, permutations
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.steadiness import FEWEST, LEVEL, _critical, _times_above, _ways, is_steady

latencies = st.lists(st.floats(0.1, 10.0), min_size=FEWEST, max_size=80)
tolerances = st.floats(0.0, 0.5)


@pytest.mark.parametrize("count", range(FEWEST))
def test_few_values_tell_nothing(count: int) -> None:
    assert is_steady([float(n) for n in range(1, count + 1)], 0.02) is None


@pytest.mark.parametrize(
    ("values", "steady"),
    [
        ([1.0] * 6, True),
        ([3, 2, 1.5, 1.2, 1.1, 1.05], False),
        ([2, 2, 2, 1, 1, 1], False),
        ([1, 1, 1, 2, 2, 2], False),
        # what lies in the middle is in neither half
        ([2, 2, 2, 9, 1, 1, 1], False),
        ([2, 2, 1, 1, 1, 1], True),
        ([1, 2, 1, 2, 1, 2, 1, 2], True),
        ([1.02, 1.02, 1.02, 1.001, 1.002, 1.003], True),
        ([1.03, 1.03, 1.03, 1.0, 1.0, 1.0], False),
    ],
)
def test_halves_that_lie_apart_by_more_than_the_tolerance_are_not_steady(values: list[float], steady: bool) -> None:
    assert is_steady(values, 0.02) is steady


@pytest.mark.parametrize(("size", "share"), [(6, 2 / 20), (8, 2 / 70)])
def test_few_values_in_any_order_are_unsteady_as_often_as_is_said(size: int, share: float) -> None:
    orders = [is_steady(order, 0.0) for order in permutations(range(1, size + 1))]
    assert orders.count(False) / len(orders) == pytest.approx(share)


@pytest.mark.parametrize("half", [5, 6, 8])
def test_larger_halves_are_told_apart_by_chance_at_most_as_often_as_is_said(half: int) -> None:
    everyone = range(2 * half)
    us = [_times_above(some, [n for n in everyone if n not in some]) for some in combinations(everyone, half)]
    critical = _critical(half)
    assert 2 * sum(u <= critical for u in us) / len(us) <= LEVEL
    assert 2 * sum(u <= critical + 1 for u in us) / len(us) > LEVEL


@pytest.mark.parametrize(("first", "second"), [(1, 1), (2, 3), (4, 4), (7, 5)])
def test_orders_are_counted_by_their_u(first: int, second: int) -> None:
    everyone = range(first + second)
    counted = [0] * (first * second + 1)
    for some in combinations(everyone, first):
        counted[int(_times_above(some, [n for n in everyone if n not in some]))] += 1
    assert _ways(first, second) == tuple(counted)
    assert sum(counted) == comb(first + second, first)


def test_large_halves_go_on_where_the_exact_ones_end() -> None:
    criticals = [_critical(half) for half in range(3, 60)]
    assert all(0 < later - earlier < 60 for earlier, later in pairwise(criticals[2:]))
    # exactly, by the same recursion
    ways, total = _ways(21, 21), comb(42, 21)
    exact = max(u for u in range(200) if 2 * sum(ways[: u + 1]) <= LEVEL * total)
    assert abs(_critical(21) - exact) <= 1


@given(latencies, tolerances, st.floats(0.01, 100.0))
def test_the_unit_of_time_does_not_matter(values: list[float], tolerance: float, unit: float) -> None:
    # away from the edge, where rounding decides
    verdicts = {is_steady(values, tolerance * factor) for factor in (0.999, 1.001)}
    assert is_steady([value * unit for value in values], tolerance) in verdicts


@given(latencies)
def test_backwards_it_is_as_steady(values: list[float]) -> None:
    assert is_steady(values, 0.0) == is_steady(values[::-1], 0.0)


@given(latencies, tolerances, tolerances)
def test_what_is_steady_stays_so_where_more_is_tolerated(values: list[float], one: float, other: float) -> None:
    low, high = sorted((one, other))
    if is_steady(values, low):
        assert is_steady(values, high)


@given(st.floats(0.1, 10.0), st.integers(FEWEST, 200), tolerances)
def test_what_never_changes_is_steady(value: float, count: int, tolerance: float) -> None:
    assert is_steady([value] * count, tolerance)


@given(st.integers(3, 100), st.floats(0.03, 5.0), st.booleans())
def test_a_step_in_the_middle_is_never_steady(half: int, rise: float, falls: bool) -> None:
    values = [1.0] * half + [1.0 + rise] * half
    assert is_steady(values[::-1] if falls else values, 0.02 / (1 + rise)) is False
