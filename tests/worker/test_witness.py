"""The witness: what it makes of readings, and its thread."""

import threading
import time
from collections.abc import Mapping

import pytest

from bench.disturbances import Limits
from bench.surroundings import Gpu, Processors, State
from tests.waiting import wait_until
from tests.worker.fakes import FakeClock
from worker import witness as module
from worker.readings import NoReadings, Process, Readings
from worker.witness import Witness


class Machine:
    """Readings of a machine whose time passes when a test says so."""

    state_seconds = 10.0
    cores: int | None = 2

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.busy = self.stolen = self.own = 0.0
        self.state_now = State(0.0, power_source="mains", swapped_bytes=0)
        self.running: dict[int, Process] = {7: Process(1.0, "cron", 5.0)}
        self.read = self.looks = self.states = 0

    def pass_(self, seconds: float, *, others: float = 0.0, own: float = 1.0, name: str = "ffmpeg") -> None:
        """Let time pass, in which others use so many processors and we use so many."""
        self.clock.pass_(seconds)
        self.busy += (others + own) * seconds
        self.own += own * seconds
        if others:
            before = self.running.get(99, Process(2.0, name, 0.0))
            self.running[99] = before._replace(seconds=before.seconds + others * seconds)

    def processors(self) -> Processors | None:
        self.read += 1
        return Processors(self.clock(), self.busy, self.stolen, self.own)

    def state(self) -> State:
        self.states += 1
        return self.state_now._replace(at=self.clock())

    def processes(self) -> Mapping[int, Process]:
        self.looks += 1
        return dict(self.running)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    made = FakeClock()
    monkeypatch.setattr(time, "monotonic", made)
    return made


@pytest.fixture
def machine(clock: FakeClock) -> Machine:
    return Machine(clock)


@pytest.fixture
def it(machine: Machine) -> Witness:
    """Give a witness whose thread does not run: its samples are taken as a test says."""
    return Witness(machine, Limits())


def sample(it: Witness, machine: Machine, *others: float) -> None:
    """Let seconds pass, each with a sample at its end."""
    for each in others:
        machine.pass_(1.0, others=each)
        it._sample()


def test_a_hog_in_the_middle_of_a_run(it: Witness, machine: Machine) -> None:
    it.begin()
    sample(it, machine, 0, 0, 0, 1.5, 1.5, 1.5, 1.5, 0, 0)
    seen = it.end(3.5)
    assert seen is not None
    assert (seen.watched_seconds, seen.readings, seen.judged) == (9, 10, True)
    assert (seen.others_busy_seconds, seen.others_busy_cores) == (4, 1.5)
    assert (seen.greediest, seen.gate_waited_seconds, seen.power_source) == ("ffmpeg", 3.5, "mains")
    assert seen.witness_cpu_seconds is not None
    assert it.end() is None, "it ended"


def test_what_was_before_is_no_part_of_it(it: Witness, machine: Machine) -> None:
    machine.running[8] = Process(1.0, "rsync", 1000.0)
    it.begin()
    sample(it, machine, 2, 2, 2)
    machine.running[8] = Process(1.0, "rsync", 1006.0)
    it.begin()
    sample(it, machine, 0, 0, 1.0, 1.0)
    seen = it.end()
    assert seen is not None
    assert (seen.watched_seconds, seen.others_busy_seconds, seen.greediest) == (4, 2, "ffmpeg")


def test_what_the_gate_has_just_read_is_not_read_again(it: Witness, machine: Machine) -> None:
    it.noise()
    machine.pass_(0.5)
    it.noise()
    read, told = machine.read, machine.states
    it.begin()
    it.begin()
    assert (machine.read, machine.states) == (read, told + 1), "the state is older"
    machine.pass_(0.1)
    it.begin()
    assert (machine.read, machine.states) == (read + 1, told + 2)


def test_a_process_that_was_busy_long_before_is_not_taken_for_the_hog(it: Witness, machine: Machine) -> None:
    """A little all the time comes to more than much for a while."""
    it.begin()
    for _ in range(60):
        before = machine.running[7]
        machine.running[7] = before._replace(seconds=before.seconds + 0.1)
        sample(it, machine, 0)
    sample(it, machine, 1.0, 1.0, 1.0)
    seen = it.end()
    assert seen is not None
    assert seen.greediest == "ffmpeg"


def test_a_process_id_that_was_taken_again_is_another_process(it: Witness, machine: Machine) -> None:
    machine.running[99] = Process(1.0, "old", 500.0)
    it.begin()
    machine.running[99] = Process(3.0, "new", 0.0)
    sample(it, machine, 1.0, 1.0)
    seen = it.end()
    assert seen is not None
    assert seen.greediest == "new"


def test_looks_at_every_process_are_few(it: Witness, machine: Machine) -> None:
    it.begin()
    sample(it, machine, *[1.5] * 60)
    assert machine.looks <= 32, "every two seconds at most"
    machine.looks = 0
    quiet = Witness(machine, Limits())
    quiet.begin()
    sample(quiet, machine, *[0.0] * 60)
    assert machine.looks <= 8, "with the states"
    assert machine.states <= 16


def test_jobs_of_milliseconds_share_a_look(it: Witness, machine: Machine) -> None:
    for _ in range(20):
        it.begin()
        machine.pass_(0.02)
        assert it.end() is not None
    assert machine.looks == 2, "0.4 s have passed"


def test_the_hog_of_a_short_job_is_named_though_it_shares_a_look(it: Witness, machine: Machine) -> None:
    it.begin()
    machine.pass_(0.1)
    it.begin()
    machine.pass_(0.5, others=1.5)
    seen = it.end()
    assert seen is not None
    assert seen.greediest == "ffmpeg"


def test_a_machine_that_tells_nothing_of_processors_is_not_judged() -> None:
    it = Witness(NoReadings(), Limits())
    assert it.noise() is None
    it.begin()
    seen = it.end()
    assert seen is not None
    assert (seen.judged, seen.readings, seen.watched_seconds, seen.cores) == (False, 0, 0, None)


def test_a_machine_that_can_not_be_read_loses_no_measurement(
    it: Witness, machine: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    it.begin()
    sample(it, machine, 0)

    def fail() -> None:
        raise OSError("no such file")

    monkeypatch.setattr(machine, "processors", fail)
    monkeypatch.setattr(machine, "processes", fail)
    sample(it, machine, 0, 0)
    assert it.noise() is None
    it.begin()
    seen = it.end()
    assert seen is not None
    assert not seen.judged
    assert caplog.text.count("the machine can't be watched") == 1


# --- this moment


def test_a_moment_has_to_be_seen_first(it: Witness, machine: Machine) -> None:
    assert it.noise() == ""
    machine.pass_(0.2)
    assert it.noise() == ""
    machine.pass_(0.4)
    assert it.noise() is None


def test_the_last_moment_decides(it: Witness, machine: Machine) -> None:
    sample(it, machine, 0, 0, 1.2)
    machine.pass_(0.02, others=1.2)
    assert it.noise() == "other processes use 1.2 of 2 cores (ffmpeg)"
    machine.pass_(0.4)
    assert it.noise() == "other processes use 0.9 of 2 cores (ffmpeg)", "a blink is no moment"
    sample(it, machine, 0)
    assert it.noise() is None


def test_states_are_waited_for_too_and_read_afresh(it: Witness, machine: Machine) -> None:
    sample(it, machine, 0, 0)
    machine.state_now = State(0.0, thermal="heavy", gpu=Gpu(others=0.0))
    sample(it, machine, 0, 0)
    assert it.noise() == "the machine is too hot (thermal pressure heavy)"


# --- the thread


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Give a machine in real time, sampled quickly."""
    monkeypatch.setattr(module, "SAMPLING_SECONDS", 0.01)
    made = Machine(FakeClock())
    made.clock = time.monotonic  # type: ignore[assignment]
    return made


def threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "witness"]


def test_the_thread_samples_while_jobs_run_and_ends_when_none_comes(real: Machine) -> None:
    it = Witness(real, Limits(), linger_seconds=0.05)
    with it.watching():
        it.begin()
        wait_until(lambda: len(it._span.windows) >= 3 if it._span else False, "it samples")
        assert len(threads()) == 1
        seen = it.end()
        assert seen is not None
        assert seen.readings >= 4
    wait_until(lambda: not threads(), "it ended")
    with it.watching():
        wait_until(threads, "it runs again")
    it.close()
    wait_until(lambda: not threads(), "it ended")


def test_the_thread_lingers_for_the_next_job(real: Machine) -> None:
    it = Witness(real, Limits(), linger_seconds=60.0)
    for _ in range(3):
        with it.watching():
            (first,) = threads()
    assert threads() == [first]
    it.close()
    wait_until(lambda: not threads(), "it ended")


def test_readings_are_one_interface(clock: FakeClock) -> None:
    made: list[Readings] = [Machine(clock), NoReadings()]
    for each in made:
        assert isinstance(each.state(), State)
        assert each.state_seconds > 0
