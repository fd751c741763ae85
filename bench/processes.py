"""One job in several processes: the share of each, and what they measured as one measurement.

Each process loads the model anew, so that what differs from one process to the next (the layout of memory, say) shows,
which no number of iterations in one process would tell (Kalibera and Jones 2013, "Rigorous benchmarking in reasonable
time").
"""

from collections.abc import Iterable, Sequence
from math import ceil, fsum, sqrt

from bench.results import Figures, Measurement, Sample
from bench.spec import StopRule
from bench.speed_figures import median_of, speed_figures, tokens_generated
from bench.statistics import median

#: StopRule has none of 1 and more
_WIDEST_TARGET = 0.99


def share_of(stop: StopRule, processes: int, iterations: int | None = None) -> StopRule:
    """Return the stop rule of one of several processes that share a job.

    Each gets its share of iterations, rounded up, and of seconds; since the interval narrows with the root of the
    iterations, the target of a share is wider by the root of the processes. The first process finds by that how many
    iterations it takes, and the others measure as many (`iterations`): of unequal shares the median would be the
    larger one's.
    """
    return stop.model_copy(
        update={
            "target": max(stop.target, min(stop.target * sqrt(processes), _WIDEST_TARGET)),
            "min_iterations": iterations or ceil(stop.min_iterations / processes),
            "max_iterations": iterations or ceil(stop.max_iterations / processes),
            "max_seconds": stop.max_seconds / processes,
        }
    )


def pooled(parts: Sequence[Measurement]) -> Measurement:
    """Return what several processes measured of one speed job, in their order, as one measurement.

    Its figures are those of all iterations together; of what a process has once, the median (loading, first call), the
    sum (energy) or the most (memory, warm-up). Raises ValueError where they did not measure the same thing.
    """
    first = parts[0]
    for number, part in enumerate(parts[1:], start=2):
        _check_alike(first, part, number)
    samples = [
        sample.model_copy(update={"process": process})
        for process, part in enumerate(parts, start=1)
        for sample in part.samples
    ]
    numbered = tuple(sample.model_copy(update={"iteration": place}) for place, sample in enumerate(samples))
    return first.model_copy(
        update={
            "figures": _pooled_figures(parts, numbered),
            "samples": numbered,
            "environment": first.environment.model_copy(update={"git_dirty": _any_dirty(parts)}),
            "finished_at": parts[-1].finished_at,
            "contamination": tuple(dict.fromkeys(reason for part in parts for reason in part.contamination)),
        }
    )


def _check_alike(first: Measurement, part: Measurement, number: int) -> None:
    """Raise ValueError where something changed between the first process and another one."""
    for before, after in ((first.resolved, part.resolved), (first.environment, part.environment)):
        # A file that somebody edits meanwhile is no reason: a changed checkout says so as it is.
        was, now = before.model_dump(exclude={"git_dirty"}), after.model_dump(exclude={"git_dirty"})
        for name in was:
            if now[name] != was[name]:
                raise ValueError(f"its process {number} found {name} {now[name]!r}, the first one {was[name]!r}")


def _any_dirty(parts: Sequence[Measurement]) -> bool | None:
    known = [part.environment.git_dirty for part in parts if part.environment.git_dirty is not None]
    return any(known) if known else None


def _pooled_figures(measured: Sequence[Measurement], samples: Sequence[Sample]) -> Figures:
    figures, parts = speed_figures(samples), [each.figures for each in measured]
    joules = _sum_of([part.energy_joules for part in parts])
    medians = [median([sample.latency_seconds for sample in each.samples]) for each in measured]
    warm = [part.warm for part in parts]
    return figures.model_copy(
        update={
            "load_seconds": median_of(part.load_seconds for part in parts),
            "first_call_seconds": median_of(part.first_call_seconds for part in parts),
            "model_bandwidth_utilization": _utilization(parts, figures),
            "peak_device_memory_bytes": _most_of(part.peak_device_memory_bytes for part in parts),
            "peak_process_memory_bytes": _most_of(part.peak_process_memory_bytes for part in parts),
            "weights_bytes": _most_of(part.weights_bytes for part in parts),
            "energy_joules": joules,
            "energy_joules_per_token": None if joules is None else joules / tokens_generated(samples),
            "energy_source": None if joules is None else parts[0].energy_source,
            "warmup_iterations": _most_of(part.warmup_iterations for part in parts),
            "warm": False if False in warm else None if None in warm else True,
            "process_latency_low_seconds": min(medians),
            "process_latency_high_seconds": max(medians),
        }
    )


def _utilization(parts: Sequence[Figures], figures: Figures) -> float | None:
    """Return the pooled utilisation of the bandwidth: in proportion to the speed of decoding."""
    if figures.decode_tokens_per_second is None:
        return None
    for part in parts:
        if part.model_bandwidth_utilization and part.decode_tokens_per_second:
            return part.model_bandwidth_utilization * figures.decode_tokens_per_second / part.decode_tokens_per_second
    return None


def _sum_of(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fsum(known) if len(known) == len(values) else None


def _most_of(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)
