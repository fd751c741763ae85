"""What a row of the table is: figures, what stands beside them, a goal; and how both are measured fairly."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from bench.statistics import median, median_interval

A = TypeVar("A")
B = TypeVar("B")


class AbsentError(Exception):
    """A row can't be measured here; the message is the reason, in a sentence without its end."""


def alternate(ours: Callable[[], A], theirs: Callable[[], B], pairs: int, *, warm_up: int = 1) -> list[tuple[A, B]]:
    """Call both so many times, in the order A B B A ..., after calls that do not count; returns (ours, theirs).

    So a machine that gets slower while it is measured, or favours whoever comes second, favours neither.
    """
    for _ in range(warm_up):
        ours()
        theirs()
    measured = []
    for number in range(pairs):
        if number % 2 == 0:
            a, b = ours(), theirs()
        else:
            b, a = theirs(), ours()
        measured.append((a, b))
    return measured


@dataclass(frozen=True)
class Result:
    """One row of the table: the lower its figure the better."""

    row: str
    #: what the figure is, in words
    what: str
    #: unit of the figures, `s`, `ms`, `MB`, or nothing for a count
    unit: str
    #: one figure a repetition
    ours: tuple[float, ...]
    goal: "Goal | None" = None
    #: what was measured in alternation with it
    beside: str = ""
    #: figures of that, the i-th measured next to the i-th of ours
    theirs: tuple[float, ...] = ()
    note: str = ""
    #: readings that a figure made of many stands on; 0 counts the figures
    readings: int = 0
    #: the size at which it was taken (jobs queued, runs stored), of the one figure of a row that may grow with it
    size: int | None = None

    @property
    def n(self) -> int:
        """How many readings it stands on."""
        return self.readings or len(self.ours)

    @property
    def ratios(self) -> tuple[float, ...]:
        """Ours by theirs, pair by pair."""
        return tuple(a / b for a, b in zip(self.ours, self.theirs, strict=True)) if self.theirs else ()

    @property
    def ratio(self) -> float | None:
        """Median of the ratios."""
        return median(self.ratios) if self.ratios else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Interval of 95 % of the median ratio; None below 6 pairs."""
        return median_interval(self.ratios)

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is no goal, or too little was measured to tell."""
        return self.goal.met(self) if self.goal else None


class Goal(ABC):
    """What a result has to reach."""

    @abstractmethod
    def met(self, result: Result) -> bool | None:
        """Whether a result reaches it; None where that can't be told."""

    @abstractmethod
    def in_words(self, unit: str) -> str:
        """Return the goal for the table."""


@dataclass(frozen=True)
class AtMost(Goal):
    """The median of the figure is at most `limit`, in the result's unit."""

    limit: float

    def met(self, result: Result) -> bool:
        """Judge the median."""
        return median(result.ours) <= self.limit

    def in_words(self, unit: str) -> str:
        """Return the goal for the table."""
        return f"at most {self.limit:g} {unit}".strip()


@dataclass(frozen=True)
class RatioAtMost(Goal):
    """The median ratio is at most `limit`."""

    limit: float

    def met(self, result: Result) -> bool | None:
        """Judge the median ratio."""
        return None if result.ratio is None else result.ratio <= self.limit

    def in_words(self, unit: str) -> str:
        """Return the goal for the table."""
        return f"ratio at most {self.limit:g}"


#: a wider interval holds nearly everything, and says nothing
_WIDE = 0.1


@dataclass(frozen=True)
class NotSlower(Goal):
    """The interval of the ratio contains 1 or lies below, and is narrow enough to tell: slower was not shown."""

    def met(self, result: Result) -> bool | None:
        """Judge the interval."""
        if result.interval is None:
            return None
        low, high = result.interval
        return low <= 1 and high - low < _WIDE

    def in_words(self, unit: str) -> str:
        """Return the goal for the table."""
        return f"interval holds 1, narrower than {_WIDE:g}"


@dataclass(frozen=True)
class Both(Goal):
    """The figure reaches a goal, and its ratio another one."""

    figure: AtMost
    ratio: RatioAtMost

    def met(self, result: Result) -> bool | None:
        """Judge both."""
        ratio_met = self.ratio.met(result)
        return None if ratio_met is None else self.figure.met(result) and ratio_met

    def in_words(self, unit: str) -> str:
        """Return the goal for the table."""
        return f"{self.figure.in_words(unit)}, {self.ratio.in_words(unit)}"
