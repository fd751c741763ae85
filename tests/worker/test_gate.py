"""The gate: who waits, how long, and that nobody waits for ever."""

from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.surroundings import Surroundings
from tests.db.builders import SURROUNDINGS
from tests.worker.fakes import FakeClock
from worker.gate import PHASE, QUIET_SECONDS, Gate, Watch
from worker.protocol import Progress

BUSY = "other processes use 1.2 of 2 cores (ffmpeg)"


class Ground:
    """A gate on a clock of ours, before a machine that is as a script says, second by second."""

    def __init__(self, wait_seconds: float = 60.0) -> None:
        self.clock = FakeClock()
        self.now: Iterator[str | None] = iter(())
        self.gate = Gate(lambda: next(self.now), wait_seconds, self.clock)

    def waited(self, noises: Iterable[str | None], step: float = 1.0) -> float:
        """Let a job through, with a look every second; return how long it stood before the gate."""
        self.now = iter(noises)
        self.gate.begin()
        while self.gate.look() is not None:
            self.clock.pass_(step)
        return self.gate.waited_seconds


def always(noise: str | None) -> Iterator[str | None]:
    while True:
        yield noise


def test_on_a_quiet_machine_nobody_waits() -> None:
    assert Ground().waited(always(None)) == 0


def test_what_is_not_known_yet_is_waited_for_a_moment_without_a_reason() -> None:
    ground = Ground()
    ground.now = iter(["", None])
    ground.gate.begin()
    assert ground.gate.look() == ""
    assert ground.gate.look() is None


def test_a_job_waits_until_the_machine_was_quiet_for_a_while() -> None:
    noises = [BUSY] * 5 + [None] + [BUSY] * 2 + [None] * 9
    assert Ground().waited(noises) == 8 + QUIET_SECONDS


def test_the_reason_stays_until_the_wait_is_over() -> None:
    ground = Ground()
    ground.now = iter([BUSY, "", None])
    ground.gate.begin()
    assert [ground.gate.look() for _ in range(3)] == [BUSY] * 3


def test_a_machine_that_is_never_quiet_is_waited_for_less_each_time() -> None:
    ground = Ground(60)
    assert [ground.waited(always(BUSY)) for _ in range(8)] == [60, 30, 15, 8, 4, 2, 1, 1]
    # Once quiet, it is worth the whole wait again.
    assert ground.waited(always(None)) == 0
    assert ground.waited(always(BUSY)) == 60


def test_a_short_wait_stays_as_short() -> None:
    ground = Ground(0.5)
    assert [ground.waited(always(BUSY), step=0.25) for _ in range(3)] == [0.5] * 3


@given(st.floats(0.1, 100), st.lists(st.sampled_from([None, BUSY, ""]), min_size=1, max_size=50))
def test_nobody_waits_longer_than_the_setting(wait_seconds: float, pattern: list[str | None]) -> None:
    def noises() -> Iterator[str | None]:
        while True:
            yield from pattern

    ground = Ground(wait_seconds)
    for _ in range(3):
        assert ground.waited(noises()) < wait_seconds + 1.0


# --- one job's watch


class FakeWitness:
    """Records what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def noise(self) -> str | None:
        return None

    def begin(self) -> None:
        self.told.append("begin")

    def end(self, gate_waited_seconds: float | None = None) -> Surroundings | None:
        self.told.append("end")
        if self.told.count("end") > 1:
            return None
        return SURROUNDINGS.model_copy(update={"gate_waited_seconds": gate_waited_seconds})


def test_a_job_without_a_gate_waits_for_nothing() -> None:
    witness = FakeWitness()
    watch = Watch(witness)  # type: ignore[arg-type]
    watch.locked()
    assert watch.look() is None
    watch.begun()
    watch.released()
    (seen,) = watch.seen
    assert seen.gate_waited_seconds is None


def test_what_is_judged_begins_with_the_first_warm_up() -> None:
    witness = FakeWitness()
    watch = Watch(witness)  # type: ignore[arg-type]
    watch.locked()
    watch.begun()
    for phase in ("loading", "warming up", "warming up", "measuring"):
        watch.told(Progress(phase=phase))
    watch.released()
    watch.released()
    assert witness.told == ["begin", "begin", "end", "end"]
    assert len(watch.seen) == 1, "an end that comes twice forgets nothing, and adds nothing"


def test_each_of_several_processes_is_judged_from_its_own_warm_up_on() -> None:
    witness = FakeWitness()
    watch = Watch(witness)  # type: ignore[arg-type]
    for _ in range(2):
        witness.told.clear()
        watch.locked()
        watch.begun()
        watch.told(Progress(phase="warming up"))
        watch.released()
        assert witness.told == ["begin", "begin", "end"]
    assert len(watch.seen) == 2


def test_a_job_that_waits_says_for_what_and_how_long_it_was() -> None:
    ground, witness = Ground(), FakeWitness()
    ground.now = iter(["", BUSY, None, None])
    watch = Watch(witness, ground.gate)  # type: ignore[arg-type]
    watch.locked()
    assert watch.look() == Progress(phase=PHASE)
    ground.clock.pass_(3.0)
    assert watch.look() == Progress(phase=PHASE, reason=BUSY)
    assert watch.look() == Progress(phase=PHASE, reason=BUSY)
    ground.clock.pass_(4.0)
    assert watch.look() is None
    watch.begun()
    watch.released()
    (seen,) = watch.seen
    assert seen.gate_waited_seconds == pytest.approx(7.0)
