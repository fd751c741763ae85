"""Warming up, over simulated latencies: what is thrown away, what it costs, and what it gains."""

import random
from collections.abc import Callable
from itertools import count
from statistics import fmean
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.results import Sample
from bench.spec import StopRule
from bench.statistics import median
from worker.speed import is_enough
from worker.warmup import ENOUGH, Began, Counted

#: runs of each kind of latencies
RUNS = 80

#: latency of the n-th iteration (0 is the one that never counts), in seconds, before there is noise
Course = Callable[[int], float]

COURSES: dict[str, Course] = {
    "steady": lambda n: 1.0,
    "decaying": lambda n: 1.0 + 0.7**n,
    "decaying slowly": lambda n: 1.0 + 0.9**n,
    "two steps": lambda n: 3.0 if n < 2 else 2.0 if n < 5 else 1.0,
    "alternating": lambda n: 1.0 + 0.3 * (n % 2),
    "slowing down": lambda n: 1.0 + 0.04 * n,
    "speeding up": lambda n: 2.0 * 0.96**n,
}


class Run(NamedTuple):
    """How a simulated run ended."""

    thrown_away: int
    counted: int
    median: float
    warm: bool | None


def sample(seconds: float) -> Sample:
    return Sample(iteration=0, batch_size=1, prompt_tokens=1, new_tokens=2, latency_seconds=seconds)


def run(latency: Callable[[int], float], stop: StopRule | None = None) -> Run:
    """Measure until the stop rule is met, on a clock that shows nothing but the iterations."""
    stop = stop or StopRule()
    now = latency(0)
    counted = Counted(stop, 0.0)
    numbers = count(1)
    while not is_enough(stop, counted.latencies, counted.seconds(now)):
        began, seconds = now, latency(next(numbers))
        now += seconds
        counted.add(Began(began, None), sample(seconds))
    return Run(counted.warmup_iterations, len(counted.samples), median(counted.latencies), counted.warm)


def simulated(course: str, noise: float, stop: StopRule | None = None) -> list[Run]:
    """Return runs of a course with noise of this coefficient of variation, long on the right."""
    dice = random.Random(f"{course} {noise}")
    return [run(lambda n: COURSES[course](n) * dice.lognormvariate(0, noise), stop) for _ in range(RUNS)]


def mean(runs: list[Run], name: str) -> float:
    return fmean(float(getattr(each, name)) for each in runs)


def test_what_is_steady_at_once_pays_for_one_iteration() -> None:
    assert run(COURSES["steady"]) == Run(1, 6, 1.0, True)


@pytest.mark.parametrize("noise", [0.01, 0.05, 0.2])
def test_noise_costs_less_than_an_iteration_and_is_seldom_taken_for_a_change(noise: float) -> None:
    runs = simulated("steady", noise)
    assert mean(runs, "warm") > 0.95
    assert mean(runs, "thrown_away") < 2
    assert mean(runs, "median") == pytest.approx(1, abs=noise / 10 + 0.001)


@pytest.mark.parametrize("course", ["decaying", "decaying slowly", "two steps"])
def test_a_model_that_gets_faster_is_measured_once_it_is_fast(course: str) -> None:
    runs = simulated(course, 0.01)
    assert mean(runs, "warm") > 0.85
    assert mean(runs, "median") < {"decaying": 1.02, "decaying slowly": 1.07, "two steps": 1.01}[course]
    # beside a fixed count of one, with the same stop rule: a figure that is as good or better, in the same time or less
    once = simulated(course, 0.01, StopRule(max_warmup_iterations=1))
    assert mean(once, "thrown_away") == 1
    assert mean(runs, "median") < mean(once, "median") + 0.001
    assert mean(runs, "thrown_away") + mean(runs, "counted") < mean(once, "counted") + 4


def test_the_steps_of_a_compiler_are_thrown_away_but_for_what_moves_no_median() -> None:
    for each in simulated("two steps", 0.01):
        assert each.thrown_away >= 3
        assert each.median == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("course", ["slowing down", "speeding up"])
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_what_never_gets_steady_comes_to_the_cap_and_says_so(course: str, noise: float) -> None:
    runs = simulated(course, noise, StopRule(max_warmup_iterations=12))
    assert {each.thrown_away for each in runs} == {12}
    assert {each.counted for each in runs} == {30}
    assert {each.warm for each in runs} == {False}


def test_the_cap_on_seconds_holds_as_well() -> None:
    drifting = COURSES["slowing down"]
    assert run(drifting, StopRule(max_warmup_seconds=4.0))[::3] == (4, False)
    # The first iteration took longer already.
    assert run(drifting, StopRule(max_warmup_seconds=0.5))[::3] == (1, False)


@pytest.mark.parametrize("course", ["slowing down", "speeding up", "decaying slowly"])
@pytest.mark.parametrize("noise", [0.05, 0.2])
def test_what_noise_hides_at_first_is_told_at_the_end(course: str, noise: float) -> None:
    assert mean(simulated(course, noise), "warm") < 0.45


@pytest.mark.parametrize("steps", [1.5, 0.7])
def test_a_change_in_the_midst_is_told_and_nothing_is_thrown_away_for_it(steps: float) -> None:
    # noise that keeps the stop rule from being met before
    changing = run(lambda n: (1.0 + 0.1 * (n % 3)) * (steps if n > 15 else 1.0))
    assert (changing.thrown_away, changing.counted, changing.warm) == (1, 30, False)
    late = run(lambda n: (1.0 + 0.1 * (n % 3)) * (steps if n > 4 else 1.0))
    assert late.thrown_away > 1
    assert late.warm is True


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.2])
def test_what_takes_turns_is_steady(noise: float) -> None:
    runs = simulated("alternating", noise)
    assert {each.warm for each in runs} == {True}
    assert mean(runs, "thrown_away") < 2


def test_too_few_iterations_tell_nothing() -> None:
    assert run(COURSES["decaying"], StopRule(max_iterations=5)) == Run(
        1, 5, median([1 + 0.7**n for n in range(1, 6)]), None
    )
    assert run(COURSES["decaying"], StopRule(max_seconds=4.0))[::3] == (1, None)


def test_the_seconds_of_the_stop_rule_count_from_the_first_iteration_that_counts() -> None:
    # Three of two seconds each, of which the first turns out not to count, and then of one second.
    found = run(lambda n: 2.0 if n < 4 else 1.0 + n / 1e6, StopRule(max_seconds=12.5, target=0.0001))
    assert (found.thrown_away, found.counted) == (2, 11)


def test_a_count_begins_with_its_first_iteration() -> None:
    counted = Counted(StopRule(max_warmup_iterations=3), 0.0)
    assert counted.seconds(99.0) == 0
    for n, seconds in enumerate([5.0, 4.0, 3.0, 2.0, 1.5, 1.2, 1.1, 1.0]):
        counted.add(Began(10.0 + n, 100.0 * n), sample(seconds))
    assert counted.warmup_iterations == 3
    assert counted.began == Began(12.0, 200.0)
    assert counted.seconds(20.0) == 8
    assert [each.iteration for each in counted.samples] == list(range(6))
    assert counted.latencies == [3.0, 2.0, 1.5, 1.2, 1.1, 1.0]
    assert counted.warm is False


noisy = st.lists(st.floats(0.1, 10.0), min_size=1, max_size=60)


@given(noisy, st.integers(1, 40), st.floats(0.1, 100.0))
def test_what_counts_is_the_end_of_what_was_measured_and_the_caps_hold(
    latencies: list[float], cap: int, seconds: float
) -> None:
    stop = StopRule(max_warmup_iterations=cap, max_warmup_seconds=seconds)
    counted = Counted(stop, 0.0)
    now = 1.0
    for latency in latencies:
        counted.add(Began(now, None), sample(latency))
        now += latency
    thrown_away = counted.warmup_iterations - 1
    assert counted.latencies == latencies[thrown_away:]
    assert 1 <= counted.warmup_iterations <= cap
    assert counted.latencies
    # The last one that was dropped began before the cap.
    if thrown_away:
        assert 1.0 + sum(latencies[: thrown_away - 1]) < seconds
    if counted.warm is False and len(counted.latencies) <= ENOUGH:
        assert counted.warmup_iterations == cap or counted.began.seconds >= seconds
    if thrown_away:
        assert len(latencies) >= 6
