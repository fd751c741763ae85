"""Judging the newest reading of a series, and what re-runs of it say.

A change is suspected by the newest readings, and believed once re-runs on the same machine agree. The re-runs are asked
for one at a time; each is a reading of the series like any other, so a refuted suspicion leaves behind what it
measured, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log
from typing import TYPE_CHECKING, Literal, NamedTuple

from bench.change_points import LEAST_CHANGE, ChangePoint, describe, logarithms
from bench.evidence import REACH, evidence_of_change
from bench.noise import Noise, estimate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: earlier regimes that tell a new one how noisy the series is
_REMEMBERED = 3


class Reading(NamedTuple):
    """A clean median of a series: seconds, tokens per second, any positive figure of one unit."""

    #: what is no finite positive figure is left out
    value: float | None
    #: measured to confirm a suspicion, not because it was due
    rerun: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """Where suspicion begins and ends; evidence is the natural logarithm of a likelihood ratio (`bench.evidence`)."""

    #: from here on a re-run is asked for
    suspect_at: float = 1.0
    #: the same where the newest reading stands alone: it may be an outlier
    suspect_alone_at: float = 1.8
    #: below it a suspicion is refuted
    refute_below: float = 0.7
    #: from here on it is confirmed; more where many series are judged together
    confirm_at: float = 8.5
    #: re-runs after one due reading
    most_reruns: int = 7
    #: re-runs within the newest 32 readings
    most_reruns_in_reach: int = 12
    #: a smaller change is none, as a share
    least_change: float = LEAST_CHANGE
    #: of the changes that are confirmed, the share that may be none
    false_discoveries: float = 0.05


class Verdict(NamedTuple):
    """What the newest reading of a series says."""

    #: `undecided`: suspected still, and enough re-runs were made: the next due reading is waited for
    state: Literal["quiet", "suspected", "confirmed", "refuted", "undecided"]
    #: how many re-runs to ask for now; judge again when they have been measured
    reruns: int
    #: natural logarithm of the evidence for a change
    log_evidence: float
    #: the change that is suspected, confirmed or undecided
    change: ChangePoint | None


def judge(
    readings: Sequence[Reading],
    changes: Sequence[int] = (),
    *,
    judged_together: int = 1,
    can_rerun: bool = True,
    settings: Settings = Settings(),
) -> Verdict:
    """Return what the newest of a series' readings, in order of time, says.

    `changes` are the places of the changes that were confirmed before. `judged_together` is the number of series that
    are judged on the same occasion: the more, the more evidence is asked for (see `needed`). Where the machine is gone
    (`can_rerun`), the due readings must do.
    """
    logs, places = logarithms([reading.value for reading in readings])
    starts = [sum(place < change for place in places) for change in sorted(changes)]
    prior = _noise_before(logs, starts)
    begin = starts[-1] if starts else 0
    regime = logs[begin:]
    evidence = evidence_of_change(regime, prior, settings.least_change)
    reruns = [readings[place].rerun for place in places[begin:]]
    newest = _trailing(reruns)
    is_alone = evidence.start == len(regime) - 1
    suspect_at = settings.suspect_alone_at if is_alone else settings.suspect_at
    if evidence.log < (settings.refute_below if newest else suspect_at):
        return Verdict("refuted" if newest else "quiet", 0, evidence.log, None)
    change = describe(regime, evidence.start, places[begin + evidence.start], evidence.log, prior)
    agreed = any(reruns[evidence.start :]) or not can_rerun
    if agreed and evidence.log >= needed(judged_together, settings):
        return Verdict("confirmed", 0, evidence.log, change)
    left = min(settings.most_reruns - newest, settings.most_reruns_in_reach - sum(reruns[-REACH:])) if can_rerun else 0
    if left < 1 or evidence.log + left * evidence.per_reading < needed(judged_together, settings):
        return Verdict("undecided", 0, evidence.log, change)
    return Verdict("suspected", 1, evidence.log, change)


def needed(judged_together: int, settings: Settings = Settings()) -> float:
    """Return the log evidence that confirms a change where so many series are judged on one occasion.

    It is the threshold of the e-Benjamini-Hochberg procedure (Wang and Ramdas, 2022) for a single discovery, n / share.
    """
    return max(settings.confirm_at, log(max(judged_together, 1) / settings.false_discoveries))


def _noise_before(logs: NDArray[np.float64], starts: Sequence[int]) -> Noise | None:
    prior = None
    bounds = [0, *starts][-_REMEMBERED - 1 :]
    for begin, end in pairwise(bounds):
        if end > begin:
            prior = estimate(logs[begin:end], prior)
    return prior


def _trailing(reruns: Sequence[bool]) -> int:
    """Return how many re-runs there were since the last due reading."""
    count = 0
    for rerun in reversed(reruns):
        if not rerun:
            break
        count += 1
    return count
