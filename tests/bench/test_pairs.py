import random
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.pairs import Difference, mcnemar, newcombe, paired_difference, wilson

counts = st.integers(0, 60)
scores = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.floats(0, 1), min_size=2, max_size=12)


def by_item(values: list[float]) -> dict[str, float]:
    return {str(number): value for number, value in enumerate(values)}


# ---- right or wrong


@pytest.mark.parametrize(
    ("table", "low", "high"),
    [
        # Newcombe 1998, method 10: right in both, in the first, in the second, in neither
        ((36, 12, 2, 0), 0.0569, 0.3404),
        ((18, 12, 2, 18), 0.0562, 0.3290),
        ((53, 0, 0, 1), -0.0729, 0.0729),
        ((0, 30, 0, 0), 0.8395, 1.0),
        # Fagerland, Lydersen and Laake 2014, square-and-add: airways of 21 children before and after a transplantation
        ((1, 1, 7, 12), -0.5069, -0.0256),
    ],
)
def test_newcombes_published_intervals(table: tuple[int, int, int, int], low: float, high: float) -> None:
    assert newcombe(*table) == pytest.approx((low, high), abs=6e-5)


@given(counts, counts, counts, counts)
def test_newcombes_interval_holds_the_difference(both: int, first: int, second: int, neither: int) -> None:
    if both + first + second + neither:
        n = both + first + second + neither
        low, high = newcombe(both, first, second, neither)
        assert -1 <= low <= (first - second) / n <= high <= 1
        assert low < high
        assert newcombe(both, second, first, neither) == pytest.approx((-high, -low), abs=1e-12)
        assert newcombe(neither, second, first, both) == pytest.approx((-high, -low), abs=1e-12)


def test_wilson_at_known_values() -> None:
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", method 3
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=6e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=6e-5)
    assert wilson(0, 20) == pytest.approx((0, 0.1611), abs=6e-5)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=6e-5)


@pytest.mark.parametrize(
    ("gained", "lost", "p"),
    # scipy.stats.binomtest
    [
        (0, 0, 1),
        (3, 3, 1),
        (5, 0, 0.0625),
        (12, 2, 0.012939453125),
        (2, 12, 0.012939453125),
        (1500, 1400, 0.06598735),
    ],
)
def test_mcnemar(gained: int, lost: int, p: float) -> None:
    assert mcnemar(gained, lost) == pytest.approx(p, rel=1e-7)


@given(counts, counts)
def test_mcnemar_is_the_share_of_splits_as_uneven(gained: int, lost: int) -> None:
    n = gained + lost
    uneven = sum(comb(n, k) for k in range(n + 1) if abs(2 * k - n) >= abs(gained - lost))
    assert mcnemar(gained, lost) == pytest.approx(uneven / 2**n)


def test_a_pair_of_runs_of_right_and_wrong() -> None:
    other = by_item([1.0] * 36 + [1.0] * 12 + [0.0] * 2)
    baseline = by_item([1.0] * 36 + [0.0] * 12 + [1.0] * 2)
    difference = paired_difference(baseline, other)
    assert (difference.items, difference.mean) == pytest.approx((50, 0.2))
    assert (difference.low, difference.high) == pytest.approx((0.0569, 0.3404), abs=6e-5)
    assert difference.p_value == pytest.approx(0.0129, abs=6e-5)
    assert difference.method == "newcombe"
    worse = paired_difference(other, baseline)
    assert (worse.mean, worse.low) == pytest.approx((-0.2, -0.3404), abs=6e-5)


def test_only_common_items_count() -> None:
    difference = paired_difference({"a": 0.0, "b": 1.0, "x": 0.3}, {"b": 1.0, "a": 1.0, "y": 0.7})
    assert difference[:2] == (2, 0.5)
    assert difference.method == "newcombe"
    with pytest.raises(ValueError, match="no item in common"):
        paired_difference({"a": 1.0}, {"b": 1.0})
    with pytest.raises(ValueError, match="no item in common"):
        paired_difference({}, {})


def test_one_item_of_right_or_wrong_says_next_to_nothing() -> None:
    difference = paired_difference({"a": 0.0}, {"a": 1.0})
    assert difference.mean == difference.p_value == 1
    assert difference.low is not None
    assert difference.low < 0


# ---- other scores


def test_other_scores_are_resampled() -> None:
    draw = random.Random(1)
    changes = [draw.uniform(-0.4, 0.5) for _ in range(80)]
    difference = paired_difference(by_item([0.5] * 80), by_item([0.5 + change for change in changes]))
    assert difference.mean == pytest.approx(sum(changes) / 80)
    # scipy.stats.bootstrap, percentile, of 20,000 resamples: -0.0170 and 0.0950
    assert (difference.low, difference.high) == pytest.approx((-0.0170, 0.0950), abs=0.005)
    assert (difference.p_value, difference.method) == (None, "bootstrap")


def test_a_single_score_has_no_interval() -> None:
    assert paired_difference({"a": 0.25}, {"a": 0.75}) == Difference(1, 0.5, None, None, None, "bootstrap")


@settings(max_examples=20, deadline=None)
@given(scores, scores, st.randoms(use_true_random=False))
def test_the_same_scores_give_the_same_figures_in_any_order(
    baseline: dict[str, float], other: dict[str, float], draw: random.Random
) -> None:
    if baseline.keys() & other.keys():
        shuffled = list(baseline.items())
        draw.shuffle(shuffled)
        difference = paired_difference(baseline, other)
        assert paired_difference(dict(shuffled), dict(reversed(other.items()))) == difference
        if difference.low is not None and difference.high is not None:
            assert difference.low <= difference.mean + 1e-9
            assert difference.high >= difference.mean - 1e-9


def test_the_bootstrap_covers_the_truth() -> None:
    draw = random.Random(5)
    covered = 0
    for _ in range(100):
        before = [draw.random() for _ in range(40)]
        after = [value + draw.gauss(0.1, 0.3) for value in before]
        difference = paired_difference(by_item(before), by_item(after))
        assert difference.low is not None
        assert difference.high is not None
        covered += difference.low <= 0.1 <= difference.high
    # 95 expected, standard deviation 2.2; the percentile interval of 40 items is a little narrow
    assert 86 <= covered <= 99


def test_newcombe_covers_the_truth() -> None:
    draw = random.Random(6)
    covered = 0
    for _ in range(1000):
        table = [0, 0, 0, 0]
        for _ in range(50):
            table[draw.choices(range(4), (0.4, 0.2, 0.1, 0.3))[0]] += 1
        low, high = newcombe(*table)
        covered += low <= 0.1 <= high
    assert 930 <= covered <= 975
