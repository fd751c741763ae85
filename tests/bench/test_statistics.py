import random
import statistics as reference
import time
from math import sqrt

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.statistics import (
    consistency,
    earned_percentile,
    mean_and_stderr,
    median,
    median_interval,
    percentile,
    values_needed,
)

reals = st.floats(-1e9, 1e9)


@given(st.lists(reals, min_size=1))
def test_median_is_the_standard_library_s(values: list[float]) -> None:
    assert median(values) == reference.median(values)


def test_nothing_has_no_median() -> None:
    with pytest.raises(ValueError, match="no values"):
        median([])


@pytest.mark.parametrize(
    # ranks from David and Nagaraja's table for 95 %
    ("n", "low", "high"),
    [(6, 1, 6), (8, 1, 8), (9, 2, 8), (10, 2, 9), (15, 4, 12), (20, 6, 15), (25, 8, 18), (30, 10, 21), (100, 40, 61)],
)
def test_median_interval_ranks(n: int, low: int, high: int) -> None:
    values = list(range(n, 0, -1))
    assert median_interval(values) == (low, high)


@pytest.mark.parametrize("n", range(6))
def test_five_values_are_too_few_for_95_percent(n: int) -> None:
    assert median_interval([1.0] * n) is None


def test_median_interval_at_other_confidences() -> None:
    assert median_interval([3, 1, 2, 5, 4], 0.9375) == (1, 5)
    assert median_interval([3, 1, 2, 5, 4], 0.9376) is None
    assert median_interval(range(1, 8), 0.99) is None
    assert median_interval(range(1, 9), 0.99) == (1, 8)
    with pytest.raises(ValueError, match="between 0 and 1"):
        median_interval([1.0], 95)


@given(st.lists(reals, max_size=60))
def test_median_lies_in_its_interval(values: list[float]) -> None:
    interval = median_interval(values)
    assert (interval is None) == (len(values) < 6)
    if interval:
        assert interval[0] <= median(values) <= interval[1]


@given(st.lists(reals, min_size=6, max_size=60), st.floats(0.5, 0.9), st.floats(0.9, 0.96))
def test_more_confidence_is_a_wider_interval(values: list[float], less: float, more: float) -> None:
    narrow, wide = median_interval(values, less), median_interval(values, more)
    if narrow and wide:
        assert wide[0] <= narrow[0] <= narrow[1] <= wide[1]


@pytest.mark.parametrize("n", [6, 11, 20, 40])
def test_median_interval_covers_a_skewed_median(n: int) -> None:
    draw = random.Random(n)
    rounds = 3000
    covered = 0
    for _ in range(rounds):
        interval = median_interval([draw.expovariate(1.0) for _ in range(n)])
        assert interval is not None
        covered += interval[0] <= 0.6931471805599453 <= interval[1]
    # at least 95 %, less three standard errors of the simulation
    assert covered / rounds >= 0.95 - 3 * sqrt(0.05 * 0.95 / rounds)


def test_median_interval_is_fast_enough_to_be_asked_after_each_iteration() -> None:
    draw = random.Random(1)
    values: list[float] = []
    start = time.process_time()
    for _ in range(1000):
        values.append(draw.random())
        median_interval(values)
    assert time.process_time() - start < 2


def test_percentile_interpolates() -> None:
    values = [40, 10, 30, 20]
    assert [percentile(values, q) for q in (0, 25, 50, 75, 100)] == [10, 17.5, 25, 32.5, 40]
    assert percentile([7], 99) == 7


@pytest.mark.parametrize("q", [-1, 101, 0.5, float("nan")])
def test_percentile_takes_percent(q: float) -> None:
    with pytest.raises(ValueError, match="percentage"):
        percentile([1.0, 2.0], q)


def test_nothing_has_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


@given(st.lists(reals, min_size=1, max_size=50), st.floats(1, 100), st.floats(1, 100))
def test_percentile_is_monotone(values: list[float], a: float, b: float) -> None:
    low, high = percentile(values, min(a, b)), percentile(values, max(a, b))
    assert min(values) <= low <= high <= max(values)


@given(st.lists(reals, min_size=1, max_size=50))
@example([536870913.0, -536870912.9999999])
def test_percentile_50_is_the_median(values: list[float]) -> None:
    # Where two large ones cancel out, the rounding of their size is left.
    rounding = 1e-14 * max(map(abs, values))
    assert percentile(values, 50) == pytest.approx(median(values), abs=max(rounding, 1e-12))


@pytest.mark.parametrize(("q", "needed"), [(50, 11), (90, 64), (95, 130), (99, 662), (10, 64)])
def test_a_percentile_is_earned(q: float, needed: int) -> None:
    assert values_needed(q) == needed
    values = [float(n) for n in range(needed)]
    assert earned_percentile(values[1:], q) is None
    assert earned_percentile(values, q) == percentile(values, q)


def test_extremes_are_never_earned() -> None:
    assert earned_percentile(range(10_000), 100) is None
    assert earned_percentile(range(10_000), 0) is None


def test_mean_and_stderr_of_items_asked_once() -> None:
    mean, stderr = mean_and_stderr({"a": [1.0], "b": [0.0], "c": [1.0], "d": [1.0]})
    assert mean == 0.75
    assert stderr == pytest.approx(sqrt(0.75 * 0.25 / 3))


def test_asking_again_does_not_make_it_surer() -> None:
    once = mean_and_stderr({"a": [1.0], "b": [0.0], "c": [1.0]})
    thrice = mean_and_stderr({"a": [1.0] * 3, "b": [0.0] * 3, "c": [1.0] * 3})
    assert thrice == pytest.approx(once)


def test_an_item_asked_more_often_weighs_no_more() -> None:
    assert mean_and_stderr({"a": [1.0] * 9, "b": [0.0]})[0] == 0.5


def test_one_item_has_no_stderr() -> None:
    assert mean_and_stderr({"a": [1.0, 0.0]}) == (0.5, None)


@pytest.mark.parametrize("scores", [{}, {"a": []}, {"a": [1.0], "b": []}])
def test_unscored_items(scores: dict[str, list[float]]) -> None:
    with pytest.raises(ValueError, match="every item needs a score"):
        mean_and_stderr(scores)


@given(st.dictionaries(st.text(max_size=3), st.lists(st.floats(0, 1), min_size=1, max_size=4), min_size=2))
def test_mean_and_stderr_are_those_of_item_means(scores: dict[str, list[float]]) -> None:
    means = [reference.fmean(values) for values in scores.values()]
    mean, stderr = mean_and_stderr(scores)
    assert mean == pytest.approx(reference.fmean(means))
    assert stderr == pytest.approx(reference.stdev(means) / sqrt(len(means)), abs=1e-9)


def test_two_standard_errors_cover_the_truth() -> None:
    draw = random.Random(7)
    covered = 0
    for _ in range(1000):
        difficulty = [draw.betavariate(0.5, 0.5) for _ in range(60)]
        scores = {str(i): [float(draw.random() < p) for _ in range(5)] for i, p in enumerate(difficulty)}
        mean, stderr = mean_and_stderr(scores)
        assert stderr is not None
        covered += abs(mean - 0.5) <= 1.96 * stderr
    assert 920 <= covered <= 975


# ---- consistency


def test_consistency_at_known_values() -> None:
    assert consistency({"a": ["4", "4", "4"]}) == 1
    assert consistency({"a": ["4", "5", "6"]}) == 0
    assert consistency({"a": ["4", "4", "5"]}) == pytest.approx(1 / 3)
    assert consistency({"a": ["4", "4"], "b": ["1", "2"]}) == 0.5
    assert consistency({"a": ["4", "4", "5", "5"], "b": ["1", "1"]}) == pytest.approx((2 / 6 + 1) / 2)


def test_no_answer_agrees_with_nothing() -> None:
    assert consistency({"a": [None, None]}) == 0
    assert consistency({"a": ["4", "4", None]}) == pytest.approx(1 / 3)


def test_items_asked_once_say_nothing_of_consistency() -> None:
    assert consistency({}) is None
    assert consistency({"a": ["4"], "b": []}) is None
    assert consistency({"a": ["4"], "b": ["1", "1"]}) == 1


@given(st.dictionaries(st.text(max_size=2), st.lists(st.sampled_from(["a", "b", None]), max_size=6)))
def test_consistency_counts_agreeing_pairs(keys: dict[str, list[str | None]]) -> None:
    shares = []
    for answers in keys.values():
        pairs = [(x, y) for i, x in enumerate(answers) for y in answers[:i]]
        shares += [sum(x == y is not None for x, y in pairs) / len(pairs)] if pairs else []
    figure = consistency(keys)
    assert figure == (pytest.approx(reference.fmean(shares)) if shares else None)
