"""What else a machine did while a run was measured: readings of it, and what they come to.

"Others" are all processes but the worker and its descendants; the time that a hypervisor keeps from a virtual machine
counts as theirs. What could not be read is None, never 0.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import fsum
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from bench.disturbances import Limits

#: the kernel counts processor time in ticks of 10 ms: a shorter span says too little about others
LEAST_JUDGED_SECONDS = 0.2
#: a shorter window is one with its neighbour
_LEAST_WINDOW_SECONDS = 0.5
#: a process is named where it had at least this share of what others used
_LEAST_SHARE_TO_BE_NAMED = 0.25

PowerSource = Literal["mains", "battery"]
Thermal = Literal["nominal", "moderate", "heavy", "trapping", "sleeping"]
MemoryPressure = Literal["normal", "warning", "critical"]

_THERMAL: tuple[Thermal, ...] = ("nominal", "moderate", "heavy", "trapping", "sleeping")
_MEMORY_PRESSURE: tuple[MemoryPressure, ...] = ("normal", "warning", "critical")


class Processors(NamedTuple):
    """Sums of the processors' time since the machine's start, read at one moment."""

    #: seconds of a clock that nobody sets
    at: float
    #: time in which a processor that we may use was busy, or kept from us, summed over these processors
    busy_seconds: float
    #: time that the hypervisor gave to other machines
    stolen_seconds: float
    #: time that our own process tree used
    own_seconds: float


class Window(NamedTuple):
    """The span between two readings of the processors."""

    seconds: float
    #: processors' worth of time that others used; None where ours can't be told from theirs
    others_cores: float | None
    #: of that, what other virtual machines took
    stolen_cores: float | None


class Gpu(NamedTuple):
    """The GPU since the reading before, or now."""

    #: share of its time that others used, 0 to 1; None where ours can't be told from theirs
    others: float | None = None
    #: name of the process among them that used most
    greediest: str | None = None
    #: why its clock is held down, in words ("heat"); empty where it is not
    slowed_by: str | None = None
    celsius: float | None = None


class State(NamedTuple):
    """What is read less often. Sums count from the machine's start."""

    #: seconds of a clock that nobody sets
    at: float
    gpu: Gpu = Gpu()
    thermal: Thermal | None = None
    #: longest time, over the processors, for which heat held one down
    throttled_seconds: float | None = None
    memory_pressure: MemoryPressure | None = None
    #: time in which work stood still for want of memory
    memory_stalled_seconds: float | None = None
    swapped_bytes: int | None = None
    power_source: PowerSource | None = None
    low_power: bool | None = None
    #: time that the machine slept
    slept_seconds: float | None = None
    #: the wall clock's time less that of a clock that nobody sets and that goes on in sleep
    wall_offset_seconds: float | None = None


class Used(NamedTuple):
    """What a process among the others used of the processors."""

    name: str
    seconds: float


class Surroundings(BaseModel):
    """What else the machine did while a run was measured. Units are in the names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: from the first call for warming up to the end of measuring
    watched_seconds: float
    #: readings of the processors
    readings: int
    #: whether these can tell if the run was disturbed: not in a span that is too short, nor where ours can't be told
    judged: bool
    #: processor time that the watching itself took
    witness_cpu_seconds: float | None = None
    #: how long the job waited for a quiet machine; None where it was not to wait
    gate_waited_seconds: float | None = None
    #: processors that this machine's worker may use
    cores: int | None = None
    others_mean_cores: float | None = None
    others_max_cores: float | None = None
    #: for how long others used more than the limit, and how much they used in that time
    others_busy_seconds: float | None = None
    others_busy_cores: float | None = None
    #: of `others_mean_cores`, what other virtual machines took
    stolen_mean_cores: float | None = None
    #: name of the process among the others that used most
    greediest: str | None = None
    gpu_others_mean: float | None = None
    gpu_others_max: float | None = None
    gpu_busy_seconds: float | None = None
    gpu_greediest: str | None = None
    gpu_slowed_by: str | None = None
    gpu_slowed_seconds: float | None = None
    gpu_max_celsius: float | None = None
    #: the worst that was seen
    thermal: Thermal | None = None
    throttled_seconds: float | None = None
    memory_pressure: MemoryPressure | None = None
    memory_stalled_seconds: float | None = None
    swapped_bytes: int | None = None
    #: `battery` where it was that at any time
    power_source: PowerSource | None = None
    low_power: bool | None = None
    slept_seconds: float | None = None
    #: by how much the wall clock was set, forward where positive
    clock_step_seconds: float | None = None


def window(before: Processors, after: Processors) -> Window:
    """Return what lies between two readings."""
    seconds = after.at - before.at
    own = after.own_seconds - before.own_seconds
    if seconds <= 0 or own < 0:
        # A process of ours went out of sight with all its time: what remains can't be told apart.
        return Window(max(seconds, 0.0), None, None)
    others = max(0.0, after.busy_seconds - before.busy_seconds - own)
    stolen = max(0.0, after.stolen_seconds - before.stolen_seconds)
    return Window(seconds, others / seconds, min(stolen, others) / seconds)


def summarise(
    windows: Sequence[Window],
    states: Sequence[State],
    used: Iterable[Used] = (),
    *,
    cores: int | None,
    limits: Limits,
    gate_waited_seconds: float | None = None,
    witness_cpu_seconds: float | None = None,
) -> Surroundings:
    """Return what readings over a span come to; `used` is what each other process used meanwhile."""
    known = [each for each in _joined(windows) if each.others_cores is not None]
    watched, told = fsum(each.seconds for each in windows), fsum(each.seconds for each in known)
    judged = told >= max(LEAST_JUDGED_SECONDS, 0.9 * watched)
    fields: dict[str, object] = _others(known, used, cores, limits) if judged else {}
    return Surroundings.model_validate(
        {
            "watched_seconds": watched,
            "readings": len(windows) + 1 if windows else 0,
            "judged": judged,
            "cores": cores,
            "gate_waited_seconds": gate_waited_seconds,
            "witness_cpu_seconds": witness_cpu_seconds,
            **fields,
            **_gpu(states, limits),
            **_states(states),
        }
    )


def _joined(windows: Sequence[Window]) -> list[Window]:
    """Return the windows, each short one joined to its neighbour: a moment alone says little.

    The first and the last are short, since the thread samples when it does.
    """
    found: list[Window] = []
    for each in windows:
        if found and min(each.seconds, found[-1].seconds) < _LEAST_WINDOW_SECONDS and _both_told(each, found[-1]):
            found[-1] = joined([found[-1], each])
        else:
            found.append(each)
    return found


def _both_told(one: Window, other: Window) -> bool:
    return one.others_cores is not None and other.others_cores is not None


def joined(windows: Sequence[Window]) -> Window:
    """Return windows that follow each other as one."""
    seconds = fsum(each.seconds for each in windows)
    if seconds <= 0 or any(each.others_cores is None for each in windows):
        return Window(seconds, None, None)
    return Window(seconds, _mean(windows, "others_cores", seconds), _mean(windows, "stolen_cores", seconds))


def _mean(windows: Sequence[Window], name: str, seconds: float) -> float:
    return fsum(getattr(each, name) * each.seconds for each in windows) / seconds


def _others(windows: Sequence[Window], used: Iterable[Used], cores: int | None, limits: Limits) -> dict[str, object]:
    limit = limits.others_cores(cores)
    busy = [each for each in windows if (each.others_cores or 0.0) > limit]
    all_of_it, busy_part = joined(windows), joined(busy)
    spent = busy_part if busy else all_of_it
    return {
        "others_mean_cores": all_of_it.others_cores,
        "others_max_cores": max(each.others_cores or 0.0 for each in windows),
        "others_busy_seconds": busy_part.seconds,
        "others_busy_cores": busy_part.others_cores,
        "stolen_mean_cores": all_of_it.stolen_cores,
        "greediest": greediest(used, spent),
    }


def greediest(used: Iterable[Used], spent: Window) -> str | None:
    """Return the name of the process that used most of what others spent; None where none used much of it.

    Processes of one name count together. The hypervisor is one of them, for the other machines that it serves.
    """
    by_name: dict[str, float] = {}
    for each in used:
        by_name[each.name] = by_name.get(each.name, 0.0) + each.seconds
    if spent.stolen_cores:
        by_name["the hypervisor"] = spent.stolen_cores * spent.seconds
    if not by_name:
        return None
    name = max(by_name, key=lambda each: (by_name[each], each))
    return name if by_name[name] >= _LEAST_SHARE_TO_BE_NAMED * (spent.others_cores or 0.0) * spent.seconds > 0 else None


def _gpu(states: Sequence[State], limits: Limits) -> dict[str, object]:
    """Each state tells of the time since the one before it."""
    spans = [(after.at - before.at, after.gpu) for before, after in pairwise(states)]
    known = [(seconds, gpu, gpu.others) for seconds, gpu in spans if gpu.others is not None and seconds > 0]
    told = [(seconds, gpu.slowed_by) for seconds, gpu in spans if gpu.slowed_by is not None]
    slowed = [(seconds, reason) for seconds, reason in told if reason]
    found: dict[str, object] = {
        "gpu_max_celsius": max((s.gpu.celsius for s in states if s.gpu.celsius is not None), default=None),
        "gpu_slowed_seconds": fsum(seconds for seconds, _ in slowed) if told else None,
        "gpu_slowed_by": ", ".join(dict.fromkeys(reason for _, reason in slowed)) or None,
    }
    if known:
        total = fsum(seconds for seconds, _, _ in known)
        most = max(known, key=lambda each: each[2])
        found |= {
            "gpu_others_mean": fsum(seconds * share for seconds, _, share in known) / total,
            "gpu_others_max": most[2],
            "gpu_busy_seconds": fsum(seconds for seconds, _, share in known if share > limits.max_others_gpu),
            "gpu_greediest": most[1].greediest,
        }
    return found


def _states(states: Sequence[State]) -> dict[str, object]:
    sources = {state.power_source for state in states} - {None}
    powers = [state.low_power for state in states if state.low_power is not None]
    return {
        "thermal": worst_thermal(states),
        "memory_pressure": worst_memory_pressure(states),
        "power_source": "battery" if "battery" in sources else next(iter(sources), None),
        "low_power": any(powers) if powers else None,
        "throttled_seconds": _grown(states, "throttled_seconds"),
        "memory_stalled_seconds": _grown(states, "memory_stalled_seconds"),
        "swapped_bytes": _grown(states, "swapped_bytes"),
        "slept_seconds": _grown(states, "slept_seconds"),
        "clock_step_seconds": _difference(states, "wall_offset_seconds"),
    }


def worst_thermal(states: Sequence[State]) -> Thermal | None:
    """Return the highest thermal pressure that was seen."""
    return max((each.thermal for each in states if each.thermal), key=_THERMAL.index, default=None)


def worst_memory_pressure(states: Sequence[State]) -> MemoryPressure | None:
    """Return the highest pressure on memory that was seen."""
    seen = (each.memory_pressure for each in states if each.memory_pressure)
    return max(seen, key=_MEMORY_PRESSURE.index, default=None)


def _grown(states: Sequence[State], name: str) -> float | None:
    grown = _difference(states, name)
    return None if grown is None else max(type(grown)(0), grown)


def _difference(states: Sequence[State], name: str) -> float | None:
    """Return by how much a sum grew from the first reading to the last; None where either could not be had."""
    if len(states) < 2:
        return None
    first, last = getattr(states[0], name), getattr(states[-1], name)
    return None if first is None or last is None else last - first
