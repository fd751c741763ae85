"""Changes of level in whole series at once."""

import numpy as np
import pytest

from bench.past_changes import LEAST_LEVEL, least_log_evidence, past_changes
from tests.bench.series_values import noisy


def test_a_step_is_found_where_it_is() -> None:
    (found,) = past_changes({7: noisy((0.5, 60), (0.55, 60))})[7]
    assert (found.place, found.kind) == (60, "step")
    assert found.before == pytest.approx(0.5, rel=0.01)
    assert found.low < 1.1 < found.high
    assert found.high - found.low < 0.02


def test_each_of_several_changes_is_found() -> None:
    found = past_changes({1: noisy((1.0, 40), (1.1, 40), (0.95, 40), (0.93, 80))})[1]
    assert [each.place for each in found] == pytest.approx([40, 80, 120], abs=2)
    assert [each.ratio > 1 for each in found] == [True, False, False]
    # Each is described by the levels on either side of it, up to the changes next to it.
    assert found[1].before == found[0].after


def test_noise_alone_is_none() -> None:
    assert past_changes({n: noisy((1.0, 200), seed=n) for n in range(300)}) == {}


def test_outliers_are_none_wherever_they_are() -> None:
    series = {}
    for place in (0, 1, 50, 98, 99):
        series[place] = noisy((1.0, 100), seed=place)
        series[place][place] *= 3
    both = series[100] = noisy((1.0, 100), seed=7)
    both[[0, 1, 40, 41, 98, 99]] *= 0.5
    assert past_changes(series) == {}


def test_neighbours_that_resemble_each_other_are_none() -> None:
    series = {}
    for number in range(200):
        dice = np.random.default_rng(number)
        walk = [dice.normal()]
        for fresh in dice.normal(size=99):
            walk.append(0.5 * walk[-1] + 0.75**0.5 * fresh)
        series[number] = np.exp(0.01 * np.array(walk))
    assert past_changes(series) == {}


def test_a_change_below_one_percent_is_none() -> None:
    series = {1: noisy((1.0, 100), (1.007, 100), variation=0.002)}
    assert past_changes(series) == {}
    assert past_changes(series, least_change=0.005)[1][0].place == 100


def test_what_many_series_show_together_asks_for_less_of_each() -> None:
    assert least_log_evidence([], 0.05) == float("inf")
    assert least_log_evidence([2.9], 0.05) == float("inf")
    assert least_log_evidence([3.1], 0.05) == pytest.approx(np.log(20))
    # One among a thousand has to stand out more; a thousand that agree need no more than one alone.
    assert least_log_evidence([3.1, *[0.0] * 999], 0.05) == float("inf")
    assert least_log_evidence([3.1] * 1000, 0.05) == pytest.approx(np.log(20))


def test_what_is_no_figure_is_left_out_and_counts_in_places() -> None:
    values = noisy((1.0, 40), (1.2, 40))
    values[[3, 10, 60]] = np.nan, 0.0, -1.0
    (found,) = past_changes({1: values})[1]
    assert found.place == 40


@pytest.mark.parametrize(
    "values",
    [[], [1.0], [np.nan] * 30, [1.0] * 5, [1.0] * (2 * LEAST_LEVEL - 1), [0.5] * 100, [0.0] * 20, [np.inf] * 20],
    ids=str,
)
def test_too_little_or_nothing_but_the_same_is_none(values: list[float]) -> None:
    assert past_changes({1: np.array(values, dtype=float)}) == {}


def test_constant_values_with_a_step_are_a_change() -> None:
    (found,) = past_changes({1: np.array([1.0] * 30 + [1.05] * 30)})[1]
    assert found.place == 30
    assert found.ratio == pytest.approx(1.05)
