"""The evidence for a change, and the noise that it is judged by."""

import numpy as np
import pytest

from bench.change_points import describe
from bench.evidence import LEAST_HISTORY, NOTHING, REACH, evidence_of_change
from bench.noise import LEAST_SPREAD, OUTSIDE, estimate
from tests.bench.series_values import noisy


def test_without_a_change_the_evidence_is_worth_one_on_average_or_less() -> None:
    worth = [np.exp(evidence_of_change(np.log(noisy((1.0, 40), seed=seed))).log) for seed in range(600)]
    assert np.mean(worth) < 1.2
    assert np.mean([each >= 20 for each in worth]) <= 1 / 20


def test_the_more_readings_speak_for_a_change_the_more_evidence_there_is() -> None:
    logs = [np.log(noisy((1.0, 40), (1.03, 12), seed=seed)) for seed in range(20)]
    evidence = [[evidence_of_change(each[: 40 + count]).log for each in logs] for count in (1, 2, 4, 8)]
    middles = [np.median(each) for each in evidence]
    assert middles == sorted(middles)
    assert np.median([evidence_of_change(each).start for each in logs]) == 40


def test_a_change_beyond_reach_is_none_of_the_newest_readings_business() -> None:
    logs = np.log(noisy((1.0, 60), (1.03, 40)))
    assert evidence_of_change(logs).start >= len(logs) - REACH


def test_too_little_history_says_nothing() -> None:
    logs = np.log(noisy((1.0, LEAST_HISTORY), (2.0, 1)))
    assert evidence_of_change(logs[1:]).log == NOTHING
    assert evidence_of_change(logs).log > NOTHING
    assert evidence_of_change(np.empty(0)).log == NOTHING


def test_a_later_level_is_judged_by_the_noise_of_the_one_before() -> None:
    wide = estimate(np.log(noisy((1.0, 60), variation=0.05)))
    narrow = estimate(np.log(noisy((1.0, 60), variation=0.005)))
    logs = np.log([1.0, 1.01, 0.99, 1.0, 1.06])
    assert evidence_of_change(logs, narrow).log > evidence_of_change(logs, wide).log


def test_the_noise_is_that_of_the_readings_inside() -> None:
    logs = np.log(noisy((1.0, 200), variation=0.02))
    logs[[10, 50, 90]] += 1.0
    noise = estimate(logs)
    assert noise.spread == pytest.approx(0.02, rel=0.15)
    assert noise.level == pytest.approx(0.0, abs=0.005)
    assert len(noise.outliers) == 3
    assert noise.outlier_share > estimate(np.delete(logs, [10, 50, 90])).outlier_share
    assert np.exp(noise.log_weights).sum() == pytest.approx(1.0)


def test_correlated_neighbours_are_noticed() -> None:
    dice = np.random.default_rng(3)
    walk = [0.0]
    for fresh in dice.normal(size=199):
        walk.append(0.6 * walk[-1] + 0.8 * fresh)
    correlated, white = estimate(0.01 * np.array(walk)), estimate(dice.normal(0, 0.01, 200))
    assert correlated.independent_share < 0.5
    assert white.independent_share > 0.8


def test_readings_that_never_vary_have_a_spread_all_the_same() -> None:
    noise = estimate(np.zeros(100))
    assert noise.spread >= LEAST_SPREAD
    assert np.isfinite(noise.log_weights).all()
    assert OUTSIDE * noise.spread < 0.05


def test_a_drift_is_told_from_a_step() -> None:
    dice = np.random.default_rng(5)
    ramp = np.concatenate([np.zeros(30), np.linspace(0, 0.1, 30)]) + dice.normal(0, 0.005, 60)
    step = np.concatenate([np.zeros(30), np.full(30, 0.1)]) + dice.normal(0, 0.005, 60)
    assert describe(ramp, 40, 40, 10.0).kind == "drift"
    assert describe(step, 30, 30, 10.0).kind == "step"


def test_an_interval_covers_what_is_true() -> None:
    covered = 0
    for seed in range(200):
        found = describe(np.log(noisy((1.0, 30), (1.05, 10), seed=seed)), 30, 30, 10.0)
        covered += found.low <= 1.05 <= found.high
    assert covered >= 180
    assert describe(np.log(noisy((1.0, 30), (1.05, 10))), 30, 30, 3.0).p_value == pytest.approx(np.exp(-3))
