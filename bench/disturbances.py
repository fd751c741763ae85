"""Whether what else a machine did disturbed a run: the limits, and the reasons in words."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from bench.surroundings import State, Surroundings, Window

#: what a database, a monitor and `benchbeat run` itself take of a small machine is no disturbance
LEAST_CORES = 0.3
#: the wall clock differs from others by so little in any case
_CLOCK_STEP_SECONDS = 0.5
#: the machine's clocks are read one after the other
_SLEPT_SECONDS = 0.5
MIB = 2**20


class Limits(NamedTuple):
    """What a machine may do besides measuring."""

    #: share of the machine's processors that other processes may use
    max_others_cpu: float = 0.1
    #: share of the GPU's time that other processes may use
    max_others_gpu: float = 0.1
    #: share of the measured time in which they may use more, in which heat may hold a clock down
    max_disturbed_share: float = 0.1
    #: what may be swapped in and out meanwhile
    max_swap_mib: int = 64
    #: share of the measured time in which work may stand still for want of memory
    max_memory_stall: float = 0.1
    #: whether the machine may run on its battery
    allow_battery: bool = False

    def others_cores(self, cores: int | None) -> float:
        """Return how many processors' worth others may use on a machine with so many."""
        if self.max_others_cpu >= 1:
            return float("inf")
        return max(LEAST_CORES, self.max_others_cpu * (cores or 1))


class Reason(NamedTuple):
    """Why a run counts as disturbed."""

    text: str
    #: whether it may be gone when the run is measured again
    passes: bool = True


def disturbances(seen: "Surroundings", limits: Limits) -> list[Reason]:
    """Return why a run was disturbed, the most telling reason first; none for a run that was not."""
    span = seen.watched_seconds
    return [
        *_by_others(seen, limits, span),
        *_by_gpu(seen, limits, span),
        *_by_heat(seen, limits, span),
        *_by_memory(seen, limits, span),
        *_by_power(seen, limits),
        *_by_clock(seen),
    ]


def _by_others(seen: "Surroundings", limits: Limits, span: float) -> Iterator[Reason]:
    seconds, cores = seen.others_busy_seconds, seen.others_busy_cores
    if seconds and cores and seconds > limits.max_disturbed_share * span:
        yield Reason(f"other processes used {_of(cores, seen.cores)} for {in_words(seconds)}{_named(seen.greediest)}")


def _by_gpu(seen: "Surroundings", limits: Limits, span: float) -> Iterator[Reason]:
    seconds, share = seen.gpu_busy_seconds, seen.gpu_others_max
    if seconds and share and seconds > limits.max_disturbed_share * span:
        used = f"other processes used up to {share:.0%} of the GPU for {in_words(seconds)}"
        yield Reason(used + _named(seen.gpu_greediest))
    slowed = seen.gpu_slowed_seconds
    if slowed and slowed > limits.max_disturbed_share * span:
        yield Reason(f"the GPU was slowed down for {in_words(slowed)}{_named(seen.gpu_slowed_by)}")


def _by_heat(seen: "Surroundings", limits: Limits, span: float) -> Iterator[Reason]:
    if seen.thermal not in (None, "nominal"):
        yield Reason(f"the machine was too hot (thermal pressure {seen.thermal})")
    throttled = seen.throttled_seconds
    if throttled and throttled > limits.max_disturbed_share * span:
        yield Reason(f"heat held the processor down for {in_words(throttled)}")


def _by_memory(seen: "Surroundings", limits: Limits, span: float) -> Iterator[Reason]:
    if seen.memory_pressure == "critical":
        yield Reason("memory was short (pressure critical)")
    stalled = seen.memory_stalled_seconds
    if stalled and stalled > limits.max_memory_stall * span:
        yield Reason(f"work stood still for {in_words(stalled)} for want of memory")
    if seen.swapped_bytes and seen.swapped_bytes > limits.max_swap_mib * MIB:
        yield Reason(f"{seen.swapped_bytes / MIB:.0f} MiB were swapped")


def _by_power(seen: "Surroundings", limits: Limits) -> Iterator[Reason]:
    if seen.power_source == "battery" and not limits.allow_battery:
        yield Reason("the machine ran on its battery", passes=False)
    if seen.low_power:
        yield Reason("the machine was in low-power mode", passes=False)


def _by_clock(seen: "Surroundings") -> Iterator[Reason]:
    if seen.slept_seconds and seen.slept_seconds > _SLEPT_SECONDS:
        yield Reason(f"the machine slept for {in_words(seen.slept_seconds)}")
    step = seen.clock_step_seconds
    if step and abs(step) > _CLOCK_STEP_SECONDS:
        yield Reason(f"the clock was set {'forward' if step > 0 else 'back'} by {in_words(abs(step))}")


def noise(now: "Window", state: "State", cores: int | None, limits: Limits, name: str | None = None) -> str | None:
    """Return why a machine is not quiet at this moment, of what may pass by itself; None where it is quiet.

    `name` is that of the process that uses most.
    """
    gpu = state.gpu.others
    if now.others_cores is not None and now.others_cores > limits.others_cores(cores):
        return f"other processes use {_of(now.others_cores, cores)}{_named(name)}"
    if gpu is not None and gpu > limits.max_others_gpu:
        return f"other processes use {gpu:.0%} of the GPU{_named(state.gpu.greediest)}"
    if state.gpu.slowed_by:
        return f"the GPU is slowed down{_named(state.gpu.slowed_by)}"
    if state.thermal not in (None, "nominal"):
        return f"the machine is too hot (thermal pressure {state.thermal})"
    return "memory is short (pressure critical)" if state.memory_pressure == "critical" else None


def in_words(seconds: float) -> str:
    """Return a time as people say it: "0.4 s", "12 s", "3 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _of(cores: float, all_cores: int | None) -> str:
    return f"{cores:.1f} of {all_cores} cores" if all_cores else f"{cores:.1f} cores"


def _named(name: str | None) -> str:
    return f" ({name})" if name else ""
