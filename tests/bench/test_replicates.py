"""The spread of runs, and two sides tested by it."""

import random
from math import exp, log, sqrt
from statistics import stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.replicates import (
    ASSUMED_FREEDOM,
    LEVEL,
    Spread,
    assumed_spread,
    moderated,
    prior_of,
    ratio_of_runs,
    reading_of,
    reading_of_values,
    spread_within,
)
from bench.student import quantile

logs = st.lists(st.floats(-3, 3), min_size=1, max_size=8)


def test_a_spread_is_taken_within_groups_not_between_them() -> None:
    pooled = spread_within([[1.0, 1.2, 1.1], [5.0, 5.3], [9.0]])
    assert pooled is not None
    assert pooled.freedom == 3
    assert pooled.variance == pytest.approx((2 * stdev([1.0, 1.2, 1.1]) ** 2 + stdev([5.0, 5.3]) ** 2) / 3)


@pytest.mark.parametrize("groups", [[], [[]], [[1.0], [2.0], []]])
def test_runs_by_themselves_have_no_spread(groups: list[list[float]]) -> None:
    assert spread_within(groups) is None


def test_runs_that_are_equal_have_none_either_but_it_is_known() -> None:
    assert spread_within([[0.5] * 4]) == (0.0, 3)


def drawn(draw: random.Random, series: int, freedom: float) -> list[Spread]:
    """Return variances about 0.02 squared that differ as a prior of so many degrees of freedom says, from nine runs."""
    found = []
    for _ in range(series):
        variance = 0.02**2 * freedom / draw.gammavariate(freedom / 2, 2)
        found.append(Spread(variance * draw.gammavariate(4, 2) / 8, 8))
    return found


@pytest.mark.parametrize("freedom", [4, 12])
def test_a_prior_is_found_again(freedom: float) -> None:
    prior = prior_of(drawn(random.Random(7), 500, freedom))
    assert prior is not None
    assert sqrt(prior.variance) == pytest.approx(0.02, rel=0.05)
    assert prior.freedom == pytest.approx(freedom, rel=0.25)


def test_few_series_are_worth_few_degrees_of_freedom() -> None:
    alike = [Spread(0.0004, 30.0)] * 4
    prior = prior_of(alike)
    assert prior == pytest.approx(Spread(0.0004, 4), rel=0.05)
    assert prior_of(alike[:2]) is None


def test_series_that_never_differ_tell_nothing() -> None:
    assert prior_of([Spread(0.0, 5)] * 4) is None
    # One of several does not count for infinitely little.
    prior = prior_of([Spread(0.0, 5), *[Spread(0.0004, 5)] * 4])
    assert prior is not None
    assert prior.variance > 0


def test_what_is_assumed_follows_the_readings_within_bounds() -> None:
    assert assumed_spread(0.0) == pytest.approx(Spread(0.0004, ASSUMED_FREEDOM))
    assert assumed_spread(3.0) == pytest.approx(Spread(0.09, ASSUMED_FREEDOM))
    assert assumed_spread(0.1) == pytest.approx(Spread(0.15**2, ASSUMED_FREEDOM))


def test_own_runs_outweigh_what_was_known_before_as_they_grow() -> None:
    prior = Spread(0.01, 3)
    assert moderated(None, prior) == prior
    assert moderated(Spread(0.0, 1), prior) == pytest.approx(Spread(0.0075, 4))
    assert moderated(Spread(0.0001, 300), prior).variance == pytest.approx(0.0002, rel=0.01)


def test_readings_tell_how_well_a_median_is_known() -> None:
    draw = random.Random(3)
    values = [exp(draw.gauss(0, 0.05)) for _ in range(400)]
    reading = reading_of_values(values)
    assert reading is not None
    assert reading.deviation == pytest.approx(0.05, rel=0.15)
    assert reading.error == pytest.approx(0.05 * sqrt(1.5708 / 400), rel=0.15)
    assert reading_of_values(values[:5]) is None
    assert reading_of_values([0.0] * 8) is None
    assert reading_of(1.0, 1.0, 10) == (0.0, 0.0)


@given(logs, logs, st.floats(0.001, 1), st.floats(2, 50))
def test_interval_and_verdict_agree(before: list[float], after: list[float], deviation: float, freedom: float) -> None:
    result = ratio_of_runs(before, after, Spread(deviation**2, freedom), 0.0)
    if result is None:
        return
    assert result.low <= result.value <= result.high
    if abs(result.p_value - LEVEL) > 1e-9:
        assert (result.p_value < LEVEL) == (not result.low <= 1 <= result.high)
    if abs(abs(log(result.value)) - log(1 + result.smallest)) > 1e-9:
        assert (result.p_value < LEVEL) == (abs(log(result.value)) > log(1 + result.smallest))
    turned = ratio_of_runs(after, before, Spread(deviation**2, freedom), 0.0)
    assert turned is not None
    assert (turned.value, turned.low) == pytest.approx((1 / result.value, 1 / result.high))


def test_one_run_a_side_is_a_t_test_with_the_spreads_freedom() -> None:
    result = ratio_of_runs([0.0], [0.1], Spread(0.0004, 2), 0.0)
    assert result is not None
    reach = quantile(0.01, 2) * sqrt(2 * 0.0004)
    assert (result.low, result.high) == pytest.approx((exp(0.1 - reach), exp(0.1 + reach)))


def test_single_runs_are_never_worth_much() -> None:
    known = Spread(0.0004, 1000)
    alone, several = ratio_of_runs([0.0], [0.1], known, 0.0), ratio_of_runs([0.0] * 4, [0.1] * 9, known, 0.0)
    assert alone is not None
    assert several is not None
    assert (alone.freedom, several.freedom) == (3, 12)


def test_an_interval_is_never_narrower_than_the_readings_make_it() -> None:
    close = Spread(1e-8, 20)
    narrow, wide = ratio_of_runs([0.0], [0.01], close, 0.0), ratio_of_runs([0.0], [0.01], close, 0.0004)
    assert narrow is not None
    assert wide is not None
    assert narrow.p_value < LEVEL < wide.p_value


def test_equal_runs_without_any_spread() -> None:
    none = Spread(0.0, 5)
    assert ratio_of_runs([0.5], [0.5], none, 0.0) == (1, 1, 1, 1, 0, 3)
    different = ratio_of_runs([0.5], [0.6], none, 0.0)
    assert different is not None
    assert different.p_value == 0


def test_what_would_take_a_hundredfold_change_is_not_tested() -> None:
    assert ratio_of_runs([0.0], [0.5], Spread(1.0, 1), 0.0) is None


def test_a_side_without_runs_is_an_error() -> None:
    with pytest.raises(ValueError, match="both sides"):
        ratio_of_runs([], [1.0], Spread(1.0, 5), 0.0)


def test_runs_that_are_alike_are_called_different_as_often_as_the_level_says() -> None:
    draw = random.Random(11)
    called = 0
    for _ in range(2000):
        own = spread_within([[draw.gauss(0, 0.05) for _ in range(6)]])
        result = ratio_of_runs([draw.gauss(0, 0.05)], [draw.gauss(0, 0.05)], moderated(own, Spread(0.0025, 4)), 0.0)
        assert result is not None
        called += result.p_value < LEVEL
    assert called <= 30
