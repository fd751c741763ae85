"""A hog beside a real worker: what it disturbs is marked, measured again, and no baseline."""

import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import wait_until
from tests.worker.hogged import VARIABLE
from tests.worker.hogs import hogging
from tests.worker.processes import START_SECONDS, Stack, speed_sweep

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(platform.system() != "Linux", reason="its hogs name themselves in /proc"),
]

HOG = "test-hog"


class Watched(Stack):
    """A stack whose worker waits and marks as in earnest, and sees no process but the hogs."""

    def command(self, *arguments: str) -> list[str]:
        if arguments[0] == "worker":
            return [sys.executable, "-P", "-m", "tests.worker.hogged", *arguments]
        return super().command(*arguments)


@pytest.fixture
def it(tmp_path: Path, sqlite_template: Path, tiny_qwen: Path) -> Iterator[Watched]:
    folder = tmp_path / "stack"
    folder.mkdir()
    (folder / "history.db").write_bytes(sqlite_template.read_bytes())
    settings = {
        "BENCHBEAT_MARK_DISTURBED": "true",
        "BENCHBEAT_QUIET_WAIT_SECONDS": "0.5",
        # A hog is one among many on a machine that runs tests.
        "BENCHBEAT_MAX_OTHERS_CPU": "0",
        VARIABLE: HOG,
    }
    made = Watched(folder, f"sqlite:///{folder}/history.db", {"tiny": tiny_qwen}, **settings)
    try:
        yield made
    finally:
        made.close()


def test_a_hog_in_the_middle_of_a_run_is_marked_and_the_run_measured_again(it: Watched) -> None:
    it.worker()
    before = it.submit_speed(1, seconds=2.0)
    it.wait_ended(before)
    (clean,) = it.runs(before)
    assert (bool(clean.contaminated), clean.contamination) == (False, None)

    batch_id = it.submit_speed(1, seconds=6.0)
    it.wait_measuring(batch_id)
    with hogging(HOG, 4):
        wait_until(lambda: it.runs(batch_id), "the run is stored", START_SECONDS)
    it.wait_ended(batch_id)

    (disturbed, *_, last) = it.runs(batch_id)
    assert disturbed.contaminated
    assert disturbed.contamination.startswith("other processes used ")
    assert disturbed.contamination.endswith(f"({HOG})")
    assert not last.contaminated
    first_job, *again = it.jobs(batch_id)
    assert [job.repeat_of for job in again] == [job.id for job in it.jobs(batch_id)[:-1]]
    assert {job.reason for job in again} == {"contaminated"}
    assert {job.machine for job in again} == {"test-machine"}
    assert first_job.state == "done"
    # The baseline is what it was until the clean run came, and that is no other series.
    assert {run.series_id for run in it.runs(batch_id)} == {disturbed.series_id}
    asked = f"select job_id from latest where batch = {batch_id}"
    assert it.call("sql", "-o", "csv", asked).stdout.split() == ["job_id", str(again[-1].id)]
    shown = it.call("status", "--batch", str(batch_id)).stdout
    assert f"job {first_job.id}: {disturbed.contamination}; measured again as job {again[0].id}" in shown


def test_a_job_waits_for_a_hog_to_end(it: Watched) -> None:
    it.environment["BENCHBEAT_QUIET_WAIT_SECONDS"] = "600"
    it.worker()
    with hogging(HOG, 4):
        batch_id = it.submit_speed(1, seconds=0.5)
        wait_until(
            lambda: "other processes use " in (it.jobs(batch_id)[0].progress or ""), "the job waits", START_SECONDS
        )
        assert it.runs(batch_id) == []
        assert "waiting for a quiet machine: other processes use" in it.call("status").stdout
    it.wait_ended(batch_id)
    (run,) = it.runs(batch_id)
    assert not run.contaminated
    asked = "select gate_waited_seconds > 0 as waited, judged from surroundings"
    assert it.call("sql", "-o", "csv", asked).stdout.split() == ["waited,judged", "1,1"]


def test_run_on_a_machine_that_never_gets_quiet_comes_to_an_end_that_says_so(it: Watched) -> None:
    """Its worker is the real one, which sees this machine as it is."""
    it.environment["BENCHBEAT_MAX_REPEATS"] = "1"
    sweep = it.sweep(speed_sweep(it.models, 1, seconds=1.5))
    with hogging(HOG, 4):
        done = it.call("run", str(sweep), "-o", "csv", timeout_seconds=2 * START_SECONDS)
    assert done.returncode == 0, done.stderr
    (batch_id,) = it.batches()
    first, second = it.runs(batch_id)
    assert second.contamination.endswith("; the last of 2 tries: the machine never got quiet")
    lines = done.stderr.splitlines()
    assert lines[-3:] == [
        "2 of 2 runs were disturbed, and no baseline:",
        f"job 1: {first.contamination}; measured again as job 2",
        f"job 2: {second.contamination}",
    ]
    assert any(line.startswith("[2/2] job 2 done: ") for line in lines)
    assert len(done.stdout.splitlines()) == 3, "both runs, under a head"
    assert it.call("sql", "-o", "csv", "select * from latest").stdout.count("\n") <= 1
