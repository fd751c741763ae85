"""Series as a machine might measure them, watched point by point through the functions that beat calls."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Literal, NamedTuple

import numpy as np

from bench.confirmation import Reading, judge

POINTS = 120
#: the point with which a change begins
CHANGES_AT = 60
_CORRELATION = 0.5
_CONTAMINATED, _CONTAMINATION = 0.05, 0.9

Noise = Literal["white", "contaminated", "correlated"]


@dataclass(frozen=True)
class Case:
    """A kind of series."""

    noise: Noise
    #: standard deviation of a reading, as a share of the level
    variation: float
    #: what is added to the level, as a share, from CHANGES_AT on; 0 for none
    step: float = 0.0
    #: whether the change comes little by little, over the points that are left
    is_drift: bool = False

    @property
    def name(self) -> str:
        """How the table calls it."""
        kinds = {"white": "", "contaminated": ", 5 % of the points at -10 %", "correlated": ", AR(1) rho .5"}
        change = "" if not self.step else f", {'drift' if self.is_drift else 'step'} of {self.step:+.0%}"
        return f"CV {self.variation:.0%}{kinds[self.noise]}{change}"


class Watched(NamedTuple):
    """What watching a series came to."""

    #: points at which a change was confirmed that was none
    false_alarms: int
    #: points from the change to its confirmation, 1 for the first changed point; None where it was not found
    delay: int | None
    #: runs that were measured to confirm something
    extra_runs: int


def watch_series(case: Case, seed: int, number: int, *, points: int = POINTS, changes_at: int = CHANGES_AT) -> Watched:
    """Watch a series to its end; re-runs are the next draws of the same noise."""
    dice = np.random.default_rng([seed, number])
    draw = _Noise(case, dice)
    readings: list[Reading] = []
    changes: list[int] = []
    false_alarms, extra_runs, delay = 0, 0, None
    for point in range(points):
        level = _level(case, point, changes_at, points)
        readings.append(Reading(level * draw()))
        verdict = judge(readings, changes)
        while verdict.reruns:
            extra_runs += 1
            readings.append(Reading(level * draw(), rerun=True))
            verdict = judge(readings, changes)
        if verdict.state == "confirmed" and verdict.change is not None:
            changes.append(verdict.change.place)
            is_true = case.step and point >= changes_at and (verdict.change.ratio - 1) * case.step > 0
            if not is_true:
                false_alarms += 1
            elif delay is None:
                delay = point - changes_at + 1
    return Watched(false_alarms, delay, extra_runs)


class _Noise:
    """Draws one factor after the other."""

    def __init__(self, case: Case, dice: np.random.Generator) -> None:
        self._case, self._dice = case, dice
        self._last = dice.normal() * case.variation

    def __call__(self) -> float:
        fresh = self._dice.normal() * self._case.variation
        if self._case.noise == "correlated":
            fresh = self._last = _CORRELATION * self._last + sqrt(1 - _CORRELATION**2) * fresh
        factor = 1 + fresh
        if self._case.noise == "contaminated" and self._dice.random() < _CONTAMINATED:
            factor *= _CONTAMINATION
        return float(factor)


def _level(case: Case, point: int, changes_at: int, points: int) -> float:
    if point < changes_at:
        return 1.0
    return 1 + case.step * ((point - changes_at) / (points - changes_at) if case.is_drift else 1)


class Row(NamedTuple):
    """A line of the table: one case and one seed."""

    case: Case
    seed: int
    series: int
    #: series with a false alarm
    alarmed: int
    #: series in which the change was found, and the median delay of these
    found: int | None
    delay: float | None
    #: extra runs a series
    extra_runs: float


def summarise(case: Case, seed: int, watched: Sequence[Watched]) -> Row:
    """Return the line of a case's series."""
    delays = [each.delay for each in watched if each.delay is not None]
    return Row(
        case,
        seed,
        len(watched),
        sum(each.false_alarms > 0 for each in watched),
        len(delays) if case.step else None,
        float(np.median(delays)) if delays else None,
        float(np.mean([each.extra_runs for each in watched])),
    )
