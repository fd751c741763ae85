"""Judging the newest reading of a series, and what re-runs of it say."""

from collections.abc import Sequence
from math import log

import numpy as np
import pytest

from bench.confirmation import Reading, Settings, Verdict, judge, needed
from tests.bench.series_values import noisy

#: of 1 % noise, as it comes: no reading stands out
QUIET = [float(value) for value in noisy((1.0, 30), variation=0.008, seed=4)]


def due(values: Sequence[float | None]) -> list[Reading]:
    return [Reading(value) for value in values]


def again(*values: float) -> list[Reading]:
    return [Reading(value, rerun=True) for value in values]


def test_a_quiet_series_is_quiet_at_every_point() -> None:
    for count in range(len(QUIET) + 1):
        assert judge(due(QUIET[:count])).state == "quiet"


@pytest.mark.parametrize("ratio", [0.9, 1.1], ids=["faster", "slower"])
def test_a_change_is_suspected_and_one_rerun_is_asked_for_at_a_time(ratio: float) -> None:
    verdict = judge(due([*QUIET, ratio]))
    assert (verdict.state, verdict.reruns) == ("suspected", 1)
    assert verdict.change is not None
    assert verdict.change.place == len(QUIET)
    assert verdict.change.ratio == pytest.approx(ratio, rel=0.02)


def test_reruns_that_agree_confirm_it() -> None:
    readings = due([*QUIET, 1.1])
    verdict = judge(readings)
    for value in (1.101, 1.098, 1.102, 1.097):
        assert verdict.state == "suspected"
        readings += again(value)
        verdict = judge(readings)
        if verdict.state == "confirmed":
            break
    assert verdict.state == "confirmed"
    assert verdict.reruns == 0
    assert verdict.change is not None
    assert verdict.change.low < 1.1 < verdict.change.high


def test_reruns_at_the_old_level_refute_it() -> None:
    readings = due([*QUIET, 1.1]) + again(1.001, 0.998)
    assert judge(readings)._replace(log_evidence=0.0) == Verdict("refuted", 0, 0.0, None)
    # The outlier is remembered as one: the next due reading is none of its business.
    assert judge([*readings, Reading(1.0)]).state == "quiet"


def test_due_readings_alone_confirm_nothing_while_reruns_can_be_had() -> None:
    slower = [1.1, 1.099, 1.102, 1.098, 1.1, 1.101]
    assert judge(due([*QUIET, *slower])).state == "suspected"
    assert judge(due([*QUIET, *slower]), can_rerun=False).state == "confirmed"


def test_reruns_are_bounded() -> None:
    settings = Settings(most_reruns=2, confirm_at=1000.0)
    readings = due([*QUIET, 1.1])
    asked = 0
    while (verdict := judge(readings, settings=settings)).reruns:
        readings += again(1.1)
        asked += 1
    assert verdict.state == "undecided"
    assert asked <= 2


def test_nothing_more_is_said_of_a_level_once_it_is_confirmed() -> None:
    readings = due([*QUIET, 1.1]) + again(1.101, 1.098, 1.102)
    for value in noisy((1.1, 20), seed=2):
        readings.append(Reading(float(value)))
        assert judge(readings, [len(QUIET)]).state == "quiet"


def test_another_change_after_a_confirmed_one_is_suspected_on_its_own() -> None:
    readings = due([*QUIET, *[float(each) for each in noisy((1.1, 8), seed=3)], 1.0])
    verdict = judge(readings, [len(QUIET)])
    assert verdict.state == "suspected"
    assert verdict.change is not None
    assert verdict.change.place == len(readings) - 1
    assert verdict.change.ratio < 0.95


def test_more_is_asked_for_where_many_series_are_judged_together() -> None:
    assert needed(1) == Settings().confirm_at
    assert needed(10_000) == pytest.approx(log(10_000 / 0.05))
    assert needed(10_000) > needed(100)
    readings = due([*QUIET, 1.1]) + again(1.1, 1.1, 1.1)
    assert judge(readings).state == "confirmed"
    assert judge(readings, judged_together=10**9).state != "confirmed"


@pytest.mark.parametrize(
    "values",
    [[], [1.0], [None] * 40, [1.0] * 40, [0.0] * 40, [float("nan")] * 40, [1.0] * 7 + [2.0], [1.0, None] * 20],
    ids=str,
)
def test_what_cannot_be_judged_is_quiet(values: list[float | None]) -> None:
    assert judge(due(values))._replace(log_evidence=0.0) == Verdict("quiet", 0, 0.0, None)


def test_a_place_counts_readings_without_a_figure_too() -> None:
    readings = due([None, *QUIET[:10], None, *QUIET[10:], 1.1])
    verdict = judge(readings)
    assert verdict.change is not None
    assert verdict.change.place == len(readings) - 1


@pytest.mark.parametrize("factor", [1e-9, 1e-3, 1e6])
def test_the_unit_does_not_matter(factor: float) -> None:
    values = np.array([*QUIET, 1.1]) * factor
    here, there = judge(due([*QUIET, 1.1])), judge(due([float(value) for value in values]))
    assert (here.state, here.reruns) == (there.state, there.reruns)
    assert here.log_evidence == pytest.approx(there.log_evidence)
