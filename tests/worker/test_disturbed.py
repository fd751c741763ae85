"""The runner on machines that are quiet or not: who waits, what is marked, what is measured again."""

from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from bench.surroundings import Processors, State
from db.jobs import cancel_jobs
from db.tables import model
from tests.db.builders import QUALITY_SPEC, job_row, runs, states
from tests.db.test_views import ask
from tests.waiting import wait_until
from tests.worker.running import Ground, ground, sqlite_only
from tests.worker.scripted import entry
from worker import runner as runner_module
from worker import witness as witness_module
from worker.readings import Process
from worker.runner import Runner

pytestmark = pytest.mark.alone

_numbers = count(1)


class Machine:
    """Readings of a machine on which others use `others` processors."""

    state_seconds = 0.0
    cores: int | None = 2

    def __init__(self) -> None:
        self.others = 0.0
        self.at = 0.0
        self.busy = 0.0
        self.state_now = State(0.0)

    def processors(self) -> Processors | None:
        # A second passes between two readings, however quickly they come.
        self.at += 1.0
        self.busy += self.others
        return Processors(self.at, self.busy, 0.0, 0.0)

    def state(self) -> State:
        return self.state_now._replace(at=self.at)

    def processes(self) -> Mapping[int, Process]:
        return {99: Process(0.0, "ffmpeg", self.busy)}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(runner_module, "readings_of_this_machine", lambda probe: made)
    monkeypatch.setattr(witness_module, "SAMPLING_SECONDS", 0.05)
    return made


@pytest.fixture
def it(database_url: str, home: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    with ground(database_url, home, monkeypatch) as made:
        yield made


def strict(it: Ground, **settings: Any) -> Runner:
    """Return a runner that marks what is disturbed."""
    return it.runner(f"worker-{next(_numbers)}", mark_disturbed=True, **settings)


def test_on_a_quiet_machine_nobody_waits_and_nothing_is_marked(it: Ground, machine: Machine) -> None:
    runner = strict(it, quiet_wait_seconds=600.0)
    (job_id,) = it.queue("gated")
    assert runner.run_one() == f"job {job_id} done"
    (row,) = ask(it.database, "SELECT * FROM surroundings")
    assert (bool(row["judged"]), bool(row["contaminated"]), row["cores"], row["others_mean_cores"]) == (
        True,
        False,
        2,
        0,
    )
    assert row["gate_waited_seconds"] is not None
    assert runner.run_one() == "nothing to run"


def test_a_busy_machine_is_waited_for_and_the_progress_says_why(it: Ground, machine: Machine) -> None:
    runner = strict(it, quiet_wait_seconds=600.0)
    (job_id,) = it.queue("gated")
    machine.others = 1.2
    running = it.start(runner)
    said = '"phase":"waiting for a quiet machine"'
    wait_until(lambda: said in (job_row(it.database, job_id).progress or ""), "the job waits", 60)
    wait_until(
        lambda: "other processes use 1.2 of 2 cores (ffmpeg)" in job_row(it.database, job_id).progress, "it says why"
    )
    assert not (it.home / f"began-{job_id}").exists()
    machine.others = 0.0
    assert running.result(timeout=60) == f"job {job_id} done"
    (row,) = ask(it.database, "SELECT gate_waited_seconds, contaminated FROM surroundings")
    assert row["gate_waited_seconds"] > 1.0
    assert not row["contaminated"], "what it waited for is no part of it"


@sqlite_only
def test_a_job_that_waits_for_a_quiet_machine_is_cancelled(it: Ground, machine: Machine) -> None:
    runner = strict(it, quiet_wait_seconds=600.0)
    (job_id,) = it.queue("gated")
    machine.others = 1.2
    running = it.start(runner)
    wait_until(lambda: "quiet" in (job_row(it.database, job_id).progress or ""), "the job waits", 60)
    with it.database.write() as connection:
        cancel_jobs(connection, [job_id])
    assert running.result(timeout=60) == f"job {job_id} cancelled"


def test_a_machine_that_never_gets_quiet_is_measured_three_times_and_not_for_ever(it: Ground, machine: Machine) -> None:
    runner = strict(it, quiet_wait_seconds=0.1)
    (job_id,) = it.queue("gated")
    machine.others = 1.6
    done = []
    while (said := runner.run_one()) != "nothing to run":
        done.append(said)
    assert done == [f"job {number} done" for number in (job_id, job_id + 1, job_id + 2)]
    texts = [run.contamination for run in runs(it.database)]
    assert all(text.startswith("other processes used 1.6 of 2 cores for ") for text in texts)
    assert all("(ffmpeg)" in text for text in texts)
    assert [text.endswith("; the last of 3 tries: the machine never got quiet") for text in texts] == [
        *(False, False, True),
    ]
    assert ask(it.database, "SELECT * FROM latest") == []


@sqlite_only
def test_a_hog_that_goes_leaves_a_clean_run_behind(it: Ground, machine: Machine) -> None:
    runner = strict(it, quiet_wait_seconds=0.1)
    (job_id,) = it.queue("gated")
    machine.others = 1.6
    runner.run_one()
    machine.others = 0.1
    assert runner.run_one() == f"job {job_id + 1} done"
    assert runner.run_one() == "nothing to run"
    (latest,) = ask(it.database, "SELECT job_id FROM latest")
    assert latest["job_id"] == job_id + 1
    assert [bool(run.contaminated) for run in runs(it.database)] == [True, False]


@sqlite_only
def test_questions_are_marked_and_not_asked_again(it: Ground, machine: Machine) -> None:
    """Their answers are as good as ever."""
    runner = strict(it)
    it.queue("good", spec=QUALITY_SPEC.model_copy(update={"strategy": None}), strategy_hash=None)
    machine.others = 1.6
    runner.run_one()
    assert runner.run_one() == "nothing to run"
    (run,) = runs(it.database)
    assert run.contamination.startswith("other processes used 1.6 of 2 cores")
    assert "tries" not in run.contamination


@sqlite_only
def test_what_lasts_is_marked_and_not_measured_again(it: Ground, machine: Machine) -> None:
    runner = strict(it)
    machine.state_now = State(0.0, power_source="battery")
    it.queue("good")
    runner.run_one()
    assert runner.run_one() == "nothing to run"
    assert [run.contamination for run in runs(it.database)] == ["the machine ran on its battery"]
    allowing = strict(it, allow_battery=True)
    it.queue("good")
    allowing.run_one()
    assert [run.contamination for run in runs(it.database)][1:] == [None]


@sqlite_only
def test_where_nothing_is_to_be_marked_what_was_seen_is_stored_all_the_same(it: Ground, machine: Machine) -> None:
    runner = it.runner(mark_disturbed=False)
    (job_id,) = it.queue("good")
    machine.others = 1.6
    runner.run_one()
    assert runner.run_one() == "nothing to run"
    assert states(it.database, [job_id]) == ["done"]
    (row,) = ask(it.database, "SELECT contaminated, others_mean_cores, greediest FROM surroundings")
    assert (bool(row["contaminated"]), row["greediest"]) == (False, "ffmpeg")
    assert row["others_mean_cores"] == pytest.approx(1.6)


@sqlite_only
def test_a_spooled_result_is_measured_again_once(it: Ground, machine: Machine) -> None:
    runner = strict(it, max_repeats=1)
    (job_id,) = it.queue("good")
    machine.others = 1.6
    kept = runner.spool.remove
    runner.spool.remove = lambda path: None  # type: ignore[method-assign]  # it dies right after the commit
    runner.run_one()
    assert len(it.spooled()) == 1
    runner.spool.remove = kept  # type: ignore[method-assign]
    runner.replay_spool()
    assert it.spooled() == []
    assert [row["repeat_of"] for row in ask(it.database, "SELECT repeat_of FROM jobs ORDER BY job_id")] == [
        *(None, job_id),
    ]


@sqlite_only
@pytest.mark.parametrize("task", ["vision", "speech"])
def test_pictures_and_speech_are_measured_again(it: Ground, machine: Machine, task: str) -> None:
    """Nothing else measures their speed."""
    runner = strict(it, max_repeats=1)
    spec = QUALITY_SPEC.model_copy(update={"strategy": None})
    it.queue("good", spec=spec, strategy_hash=None)
    with it.database.write() as connection:
        entry_of = entry("good").model_copy(update={"task": task}).model_dump_json(exclude_defaults=True)
        connection.execute(update(model).where(model.c.hash == "good-hash").values(entry=entry_of))
    machine.others = 1.6
    runner.run_one()
    assert "done" in runner.run_one()
    assert runner.run_one() == "nothing to run"
