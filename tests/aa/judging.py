"""How often runs of the same job are called different, and how often a true change is found on top of their noise."""

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import log, sqrt
from statistics import stdev

from bench.replicates import LEVEL, assumed_spread, moderated, ratio_of_runs, spread_within
from bench.statistics import median
from db.compare import compare_two
from db.engine import Database
from db.history import Query
from db.sides import read_sides
from report.verdicts import verdict
from tests.aa.recorded import Recorded, store

_RESAMPLES = 1000


def called_as_measured(database: Database, pairs: Iterable[tuple[Recorded, Recorded]]) -> list[bool]:
    """Store pair after pair and compare each at once: is anything called different?

    So the first pairs have no history, and the last all of it.
    """
    called = []
    for pair in pairs:
        first, second = (store(database, run) for run in pair)
        called.append(is_called(database, first, second))
    return called


def called_any(database: Database, runs: Sequence[Recorded], pairs: int) -> list[bool]:
    """Store all runs and compare so many pairs of the same job, near or far apart, with all of the history there."""
    by_job: dict[str, list[int]] = defaultdict(list)
    for run in runs:
        by_job[run.job].append(store(database, run))
    draw = random.Random(2)
    chosen = draw.choices([ids for ids in by_job.values() if len(ids) > 1], k=pairs)
    return [is_called(database, *sorted(draw.sample(ids, 2))) for ids in chosen]


def is_called(database: Database, first: int, second: int) -> bool:
    """Whether anything about the speed of two runs is called different: tokens per second, first token or latency."""
    with database.read() as connection:
        found = compare_two(connection, Query(), *read_sides(connection, f"run:{first}", f"run:{second}"))
    return any(verdict(change) in ("faster", "slower") for change in found.lines[1].changes.values())


def called_by_readings(pairs: Iterable[tuple[Recorded, Recorded]]) -> list[bool]:
    """Judge pairs by the readings of the two runs alone: does the 99 % interval of resampled medians leave 1 out?"""
    draw = random.Random(1)

    def medians(values: Sequence[float]) -> list[float]:
        return [log(median(draw.choices(values, k=len(values)))) for _ in range(_RESAMPLES)]

    outside = int(_RESAMPLES * LEVEL / 2)
    called = []
    for first, second in pairs:
        sides = zip(medians(first.rates), medians(second.rates), strict=True)
        apart = sorted(after - before for before, after in sides)
        called.append(apart[outside] > 0 or apart[-1 - outside] < 0)
    return called


def share_found(
    logs: Sequence[float], runs: int, change: float, *, history: int = 40, deviation: float | None = None
) -> float:
    """Return how often a change, a share, is found between two sides of so many runs, drawn from real ones.

    `logs` are the real runs' figures in the order of measuring: a stretch of them is the history, what follows it are
    by turns the two sides. `deviation` scales their noise to that standard deviation, as of a steadier machine.
    """
    scale = 1.0 if deviation is None else deviation / stdev(logs)
    noise = [each * scale for each in logs]
    found = tries = 0
    for start in range(len(noise) - history - 2 * runs + 1):
        own = spread_within([noise[start : start + history]])
        sides = noise[start + history : start + history + 2 * runs]
        after = [each + log(1 + change) for each in sides[1::2]]
        result = ratio_of_runs(sides[0::2], after, moderated(own, assumed_spread(0.0)), 0.0)
        found += result is not None and result.p_value < LEVEL
        tries += 1
    return found / tries if tries else float("nan")


def deviations(logs: Sequence[float]) -> tuple[float, float]:
    """Return the standard deviation of runs' figures, and the one that runs that follow each other show."""
    steps = [after - before for before, after in pairwise(logs)]
    return stdev(logs), sqrt(sum(step**2 for step in steps) / (2 * len(steps)))
