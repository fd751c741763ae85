"""Ratios of totals over the same calls, with their intervals."""

import random

import pytest

from bench.ratios import ratio_of_totals


def test_the_interval_holds_the_true_ratio_as_often_as_it_says() -> None:
    draw = random.Random(1)
    held = 0
    for _ in range(100):
        calls = [draw.uniform(1, 10) for _ in range(30)]
        ratio = ratio_of_totals(calls, [2 * each * draw.gauss(1, 0.05) for each in calls])
        assert ratio is not None
        assert ratio.low is not None
        assert ratio.high is not None
        held += ratio.low <= 2 <= ratio.high
    assert held >= 90


def test_pairs_take_out_what_differs_between_clips() -> None:
    clips = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]
    ratio = ratio_of_totals(clips, [each * 1.5 for each in clips])
    assert ratio == pytest.approx((6, 1.5, 1.5, 1.5))


def test_few_readings_have_no_interval_and_none_no_ratio() -> None:
    assert ratio_of_totals([1.0] * 4, [2.0] * 4) == (4, 2.0, None, None)
    assert ratio_of_totals([], [1.0]) is None
    assert ratio_of_totals([0.0] * 5, [1.0] * 5) is None


def test_readings_without_a_partner_have_no_total_to_compare() -> None:
    assert ratio_of_totals([1.0] * 5, [1.0] * 6) is None
