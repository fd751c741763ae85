"""Which iterations of a speed workload count: all but those in which the run was still warming up. Needs no torch.

The first iteration never counts. What follows counts unless it turns out that the run was not warm yet, which is looked
at anew after each iteration (`bench.steadiness`): then the earliest ones are dropped. So a run that is steady at once
pays for a single iteration. Once twelve in a row are steady the warm-up is over: a change in the midst of a run is
told, but nothing is dropped for it any longer.
"""

from typing import NamedTuple

from bench.results import Sample
from bench.spec import StopRule
from bench.steadiness import FEWEST, is_steady

#: so many steady iterations in a row end the warm-up: twice as many as can be judged at all
ENOUGH = 2 * FEWEST


class Began(NamedTuple):
    """The moment at which an iteration began."""

    #: of the clock
    seconds: float
    #: that the device's counter of energy had read by then, where it has one
    joules: float | None


class Counted:
    """The iterations that count, as they come."""

    def __init__(self, stop: StopRule, began_seconds: float) -> None:
        """Begin with the first iteration, which is to be thrown away and began then."""
        self._stop = stop
        self._warmup_began_seconds = began_seconds
        self._iterations: list[tuple[Began, Sample]] = []
        #: iterations that were thrown away
        self.warmup_iterations = 1

    @property
    def latencies(self) -> list[float]:
        """Latencies of the iterations that count, in seconds."""
        return [sample.latency_seconds for _, sample in self._iterations]

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The iterations that count, numbered from 0."""
        numbered = enumerate(sample for _, sample in self._iterations)
        return tuple(sample.model_copy(update={"iteration": place}) for place, sample in numbered)

    @property
    def began(self) -> Began:
        """When the first iteration that counts began; there must be one."""
        return self._iterations[0][0]

    def seconds(self, now_seconds: float) -> float:
        """Return for how long those that count have been going on; 0 before the first."""
        return now_seconds - self.began.seconds if self._iterations else 0.0

    @property
    def warm(self) -> bool | None:
        """Whether those that count are steady, all of them; None where they are too few to tell."""
        return is_steady(self.latencies, self._stop.target)

    def add(self, began: Began, sample: Sample) -> None:
        """Take an iteration, and drop the earliest ones where they turn out not to have been warm."""
        self._iterations.append((began, sample))
        while self.warm is False and self._may_drop():
            del self._iterations[0]
            self.warmup_iterations += 1

    def _may_drop(self) -> bool:
        warmup_seconds = self.began.seconds - self._warmup_began_seconds
        stop = self._stop
        return (
            len(self._iterations) <= ENOUGH
            and self.warmup_iterations < stop.max_warmup_iterations
            and warmup_seconds < stop.max_warmup_seconds
        )
