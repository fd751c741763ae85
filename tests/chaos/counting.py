"""Counting what faults did: lost, doubled, computed again, at the same time on the device."""

import json
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.chaos.session import EXECUTIONS


@dataclass
class Counts:
    """What became of the jobs of one trial."""

    jobs: int = 0
    faults: int = 0
    #: accepted jobs without an end, or done without a run
    lost: int = 0
    #: results beyond the first of a job
    doubled: int = 0
    #: executions beyond the first that ended
    recomputed: int = 0
    #: pairs of executions that held the device at the same time
    overlapping: int = 0
    seconds: float = 0.0
    #: what else is not as it must be, in words
    broken: list[str] = field(default_factory=list)

    @property
    def bad(self) -> bool:
        """Whether anything was lost, doubled, overlapping or otherwise wrong."""
        return bool(self.lost or self.doubled or self.overlapping or self.broken)


@dataclass(frozen=True)
class Execution:
    """One execution of a job; one that was killed has no end."""

    job: int
    attempt: int
    begin: float
    end: float | None


def executions(home: Path) -> list[Execution]:
    """Return what was executed in a home, by its beginning."""
    file = home / EXECUTIONS
    if not file.exists():
        return []
    begun: dict[tuple[int, int, int], float] = {}
    ended: list[Execution] = []
    for line in file.read_text().splitlines():
        entry: dict[str, Any] = json.loads(line)
        key = (entry["pid"], entry["job"], entry["attempt"])
        if entry["what"] == "begin":
            if key in begun:
                ended.append(Execution(key[1], key[2], begun[key], None))
            begun[key] = entry["at"]
        elif key in begun:
            ended.append(Execution(key[1], key[2], begun.pop(key), entry["at"]))
    ended += [Execution(job, attempt, at, None) for (_, job, attempt), at in begun.items()]
    return sorted(ended, key=lambda each: each.begin)


def recomputed(found: list[Execution]) -> int:
    """Return how many executions ended beyond the first of their job."""
    ends = Counter(each.job for each in found if each.end is not None)
    return sum(count - 1 for count in ends.values())


def overlapping(found: list[Execution]) -> int:
    """Return how many executions began while another one, that came to its end, held the device."""
    whole = [each for each in found if each.end is not None]
    return sum(later.begin < (earlier.end or 0.0) for earlier, later in pairwise(whole))
