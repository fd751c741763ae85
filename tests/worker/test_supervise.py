import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from bench.disturbances import Limits
from tests.db.builders import SPEED_SPEC
from tests.waiting import wait_until
from tests.worker.processes import ROOT
from tests.worker.scripted import entry
from worker.facts import Probe
from worker.gate import PHASE, Watch
from worker.protocol import Failed, Finished, Order, Progress
from worker.readings import NoReadings
from worker.supervise import STDERR_TAIL_BYTES, Check, Crashed, Outcome, SessionProcess, Stopped, oom_kills
from worker.witness import Witness

PROBE = Probe(
    device="cpu",
    device_name="Test CPU",
    memory_mib=8192,
    chip="Test CPU",
    os_build="Linux",
    system_memory_mib=16384,
    python_version="3",
    torch_version="2",
    transformers_version="5",
    threads=1,
)

Start = Callable[..., SessionProcess]


@pytest.fixture
def start(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Give a function that starts a scripted session; all of them are stopped at the end."""
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{home}")
    started: list[SessionProcess] = []

    def begin(module: str = "tests.worker.scripted") -> SessionProcess:
        started.append(SessionProcess(PROBE, home=home, logs=home / "logs", module=module))
        return started[-1]

    yield begin
    for session in started:
        session.stop(0.0)


def order(does: str, attempt: int = 2) -> Order:
    return Order(job_id=7, attempt=attempt, spec=SPEED_SPEC, model=entry(does))


def measure(session: SessionProcess, does: str, check: Check = lambda progress: None, seconds: float = 60.0) -> Outcome:
    return session.measure(order(does), job_seconds=seconds, check=check)


def once_it_measures(reason: str) -> Check:
    """Return a check that stops a job with a reason as soon as it measures."""
    return lambda progress: reason if progress is not None else None


def gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def test_a_session_measures_one_job_after_the_other(start: Start) -> None:
    session = start()
    first, second = measure(session, "good"), measure(session, "good")
    assert isinstance(first, Finished)
    assert isinstance(second, Finished)
    assert (first.job_id, first.attempt) == (7, 2)
    assert first.measurement.session == second.measurement.session
    assert (first.measurement.session_position, second.measurement.session_position) == (1, 2)
    assert session.alive


def test_progress_is_handed_to_the_check(start: Start, home: Path) -> None:
    seen: list[Progress] = []

    def check(progress: Progress | None) -> str | None:
        if progress is not None:
            seen.append(progress)
            (home / "go").touch()
        return None

    assert isinstance(measure(start(), "wait", check), Finished)
    assert seen[0] == Progress(phase="measuring", done=1)


def test_a_crash_is_told_with_exit_code_and_last_words(start: Start) -> None:
    session = start()
    assert measure(session, "crash") == Crashed(3)
    assert session.stderr_tail() == "attempt 2: the driver is gone"


def test_a_killed_session_has_the_signal_as_its_exit_code(start: Start) -> None:
    assert measure(start(), "kill") == Crashed(-signal.SIGKILL)


def test_half_an_event_is_a_crash(start: Start) -> None:
    assert measure(start(), "babble") == Crashed(0)


def test_a_session_that_went_between_two_jobs_has_crashed(start: Start) -> None:
    session = start()
    assert isinstance(measure(session, "leave"), Finished)
    wait_until(lambda: not session.alive, "the session has ended")
    assert measure(session, "good") == Crashed(0)


def test_a_session_that_can_not_start_has_crashed(start: Start) -> None:
    session = start("no_such_module")
    assert measure(session, "good") == Crashed(1)
    assert "no_such_module" in session.stderr_tail()


def test_the_last_words_are_those_of_the_current_job(start: Start, home: Path) -> None:
    log = home / "logs" / "session.log"
    log.parent.mkdir()
    log.write_text("what another session wrote\n")
    session = start()
    measure(session, "good")
    assert session.stderr_tail() == ""
    with log.open("a") as file:
        file.write("x" * (2 * STDERR_TAIL_BYTES) + "the end")
    assert len(session.stderr_tail()) == STDERR_TAIL_BYTES
    assert session.stderr_tail().endswith("the end")


def test_a_log_that_grew_large_is_set_aside(start: Start, home: Path) -> None:
    log = home / "logs" / "session.log"
    log.parent.mkdir()
    with log.open("wb") as file:
        file.truncate(11 * 2**20)
    start()
    assert log.with_suffix(".log.1").stat().st_size == 11 * 2**20
    assert log.stat().st_size < 2**20


def test_an_answer_to_an_earlier_attempt_is_passed_over(start: Start) -> None:
    outcome = measure(start(), "stale")
    assert isinstance(outcome, Finished)
    assert outcome.attempt == 2


def test_an_order_that_the_session_can_not_read_fails(start: Start) -> None:
    outcome = measure(start(), "unread")
    assert isinstance(outcome, Failed)
    assert outcome.message == "the session can't read its order"


@pytest.mark.parametrize("reason", ["cancelled", "lost", "shutdown"])
def test_a_check_stops_the_job(start: Start, reason: str) -> None:
    session = start()
    began = time.monotonic()
    assert measure(session, "wait", once_it_measures(reason)) == Stopped(reason)
    assert not session.alive
    assert time.monotonic() - began < 10


def test_a_session_that_ignores_term_is_killed_with_its_children(start: Start, home: Path) -> None:
    session = start()
    assert measure(session, "stubborn", once_it_measures("cancelled")) == Stopped("cancelled")
    child = int((home / "child").read_text())
    wait_until(lambda: gone(session.pid) and gone(child), "the session and its child are gone")


def test_a_job_over_its_time_is_stopped(start: Start) -> None:
    began = time.monotonic()
    assert measure(start(), "wait", seconds=0.3) == Stopped("timeout")
    assert time.monotonic() - began < 10


def test_waiting_for_the_device_is_not_job_time(start: Start, home: Path) -> None:
    looks = iter(range(1000))

    def check(progress: Progress | None) -> str | None:
        if next(looks) == 4:  # a second has passed by then
            (home / "go").touch()
        return None

    assert isinstance(measure(start(), "queue", check, seconds=0.3), Finished)


class FakeWatch(Watch):
    """Holds a job up for some looks, and records what it is told."""

    def __init__(self, looks: int = 0) -> None:
        super().__init__(Witness(NoReadings(), Limits()))
        self.looks = looks
        self.told_of: list[str] = []

    def locked(self) -> None:
        self.told_of.append("locked")

    def look(self) -> Progress | None:
        self.looks -= 1
        return Progress(phase=PHASE, reason="busy") if self.looks >= 0 else None

    def begun(self) -> None:
        self.told_of.append("begun")

    def told(self, progress: Progress) -> None:
        self.told_of.append(progress.phase)

    def released(self) -> None:
        self.told_of.append("released")


def test_a_gated_job_begins_when_the_watch_lets_it(start: Start, home: Path) -> None:
    session, watch, phases = start(), FakeWatch(looks=3), []

    def check(progress: Progress | None) -> str | None:
        phases.append(progress and (progress.phase, progress.reason))
        # Its time has not begun.
        assert not (home / "began-7").exists() or watch.looks < 0
        return None

    gated = order("gated").model_copy(update={"gated": True})
    # A second of waiting, and no time for a job.
    outcome = session.measure(gated, job_seconds=0.3, check=check, watch=watch)
    assert isinstance(outcome, Finished)
    assert (PHASE, "busy") in phases
    assert watch.told_of == ["locked", "begun", "warming up", "measuring", "released", "released"]


def test_a_job_without_a_gate_is_watched_from_the_lock_on(start: Start) -> None:
    watch = FakeWatch(looks=100)
    assert isinstance(start().measure(order("good"), job_seconds=60, check=lambda _: None, watch=watch), Finished)
    assert watch.told_of == ["locked", "begun", "measuring", "released", "released"]


def test_a_job_that_waits_for_a_quiet_machine_can_be_stopped(start: Start) -> None:
    gated = order("gated").model_copy(update={"gated": True})

    def check(progress: Progress | None) -> str | None:
        return "cancelled" if progress is not None and progress.phase == PHASE else None

    session, watch = start(), FakeWatch(looks=10**6)
    assert session.measure(gated, job_seconds=60, check=check, watch=watch) == Stopped("cancelled")
    assert watch.told_of == ["locked", "released"]


def test_nobody_who_watches_lets_everybody_begin(start: Start) -> None:
    gated = order("gated").model_copy(update={"gated": True})
    assert isinstance(start().measure(gated, job_seconds=60, check=lambda _: None), Finished)


def test_a_session_that_reads_nothing_can_be_stopped(start: Start, home: Path) -> None:
    (home / "deaf.py").write_text("import signal\nsignal.pause()\n")
    session = start("deaf")
    long = order("good").model_copy(update={"score": "x" * 2**20})  # more than a pipe holds
    looks: list[float] = []

    def check(progress: Progress | None) -> str | None:
        looks.append(time.monotonic())
        return "cancelled" if len(looks) == 3 else None

    assert session.measure(long, job_seconds=60, check=check) == Stopped("cancelled")
    assert not session.alive


def test_stopping_twice_does_no_harm(start: Start) -> None:
    session = start()
    session.stop()
    session.stop()
    assert not session.alive
    with ThreadPoolExecutor(1) as pool:
        late: Future[Outcome] = pool.submit(measure, session, "good")
        assert isinstance(late.result(timeout=20), Crashed)


def test_what_linux_says_of_killing_for_memory_is_read(tmp_path: Path) -> None:
    assert oom_kills(tmp_path) == 0
    (tmp_path / "vmstat").write_text("nr_free_pages 17\noom_kill 2\n")
    assert oom_kills(tmp_path) == 2
    (tmp_path / "vmstat").write_text("nr_free_pages 17\n")
    assert oom_kills(tmp_path) == 0
