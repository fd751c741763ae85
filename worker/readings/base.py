"""What reads a machine: the interface, and the one that reads nothing."""

import time
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple, Protocol

from bench.surroundings import Processors, State


class Process(NamedTuple):
    """A process that is none of ours."""

    #: tells it from a later one with the same id
    started: float
    #: of its program, never with its arguments, which may hold secrets
    name: str
    #: processor time that it used so far
    seconds: float


class Readings(Protocol):
    """Reads a machine. What can't be had is None. Nothing here raises for a machine that lacks something."""

    #: pause between two calls of `state`, by what it costs
    state_seconds: float
    #: processors that this process may use
    cores: int | None

    def processors(self) -> Processors | None:
        """Return the sums of the processors' time. Called every second."""

    def state(self) -> State:
        """Return everything else."""

    def processes(self) -> Mapping[int, Process]:
        """Return the processes that are none of ours, as far as they can be seen, by their ids."""


class NoReadings:
    """Reads nothing: for a system that nobody knows."""

    state_seconds = 60.0
    cores: int | None = None

    def processors(self) -> Processors | None:
        """Return nothing."""
        return None

    def state(self) -> State:
        """Return a state of which nothing is known."""
        return State(time.monotonic())

    def processes(self) -> Mapping[int, Process]:
        """Return none."""
        return {}


@lru_cache(4096)
def clean_name(name: str) -> str:
    """Return a process's name as it can stand in a sentence: programs may call themselves anything."""
    return "".join(letter for letter in name if letter.isprintable()).strip()[:40] or "unnamed"
