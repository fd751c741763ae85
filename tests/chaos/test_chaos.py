"""A short selection of the fault suite, on fixed seeds; `make chaos` runs all of it."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.chaos.counting import Counts, Execution, overlapping, recomputed
from tests.chaos.databases import DatabaseKind, Databases
from tests.chaos.scenarios import SCENARIOS
from tests.chaos.site import site
from tests.chaos.storm import storm

pytestmark = pytest.mark.alone

#: those that no other test holds with real processes
_CHOSEN = (
    "worker killed after the claim",
    "worker killed after the spool",
    "worker killed after the commit",
    "session holds the GIL",
    "TERM twice",
    "QUIT",
    "disk full at the finish",
    "submitter killed before it rings",
    "cancelled queued, running, finishing",
)


@pytest.fixture(scope="module")
def databases() -> Iterator[Databases]:
    with ExitStack() as stack:
        yield Databases(stack)


@pytest.mark.parametrize("name", _CHOSEN)
def test_a_fault_loses_and_doubles_nothing(databases: Databases, tmp_path: Path, name: str) -> None:
    [scenario] = [each for each in SCENARIOS if each.name == name]
    url, away = databases.new("sqlite", tmp_path)
    with site(tmp_path / "site", url, away) as it:
        scenario.strike(it)
        counts = it.counts()
    assert not counts.bad, counts


@pytest.mark.parametrize(("kind", "seed"), [("sqlite", 1), ("postgresql", 2)])
def test_a_storm_loses_and_doubles_nothing(databases: Databases, tmp_path: Path, kind: DatabaseKind, seed: int) -> None:
    url, away = databases.new(kind, tmp_path)
    counts = storm(tmp_path / "site", url, away, seed=seed, jobs=12, strikes=4)
    assert (counts.faults, counts.bad) == (4, False), counts
    assert counts.jobs >= 12


def test_what_overlaps_is_counted() -> None:
    found = [
        Execution(1, 1, 0.0, 2.0),
        Execution(2, 1, 1.0, 3.0),
        Execution(3, 1, 3.5, None),
        Execution(3, 2, 4.0, 5.0),
        Execution(1, 2, 5.0, 6.0),
    ]
    assert (overlapping(found), recomputed(found)) == (1, 1)
    assert Counts(lost=1).bad
    assert not Counts(recomputed=3).bad
