"""The files of traces, and the mark of a profiled run."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.db.builders import SPEED_SPEC, job_row, runs
from tests.worker.running import Ground, ground
from worker.traces import PARTIAL, mark, remove_old_traces, trace_file, traces_of


@pytest.fixture
def it(database_url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    with ground(database_url, home, monkeypatch) as made:
        yield made


def written(home: Path, job_id: int, attempt: int, age_seconds: float = 0.0) -> Path:
    """Put a trace and its table there, as of some time ago."""
    file = trace_file(home, job_id, attempt)
    file.parent.mkdir(exist_ok=True)
    for each in (file, file.with_name(f"job-{job_id}-{attempt}.txt")):
        each.write_text("trace")
        os.utime(each, (time.time() - age_seconds,) * 2)
    return file


def test_a_mark_says_where_the_trace_is_or_that_there_is_none(tmp_path: Path) -> None:
    assert mark(tmp_path, 3, 1) == "it was profiled (no trace could be written; the session's log says why)"
    written(tmp_path, 3, 1)
    assert mark(tmp_path, 3, 1) == "it was profiled (trace: traces/job-3-1.json.gz)"


def test_traces_of_a_job_are_its_own_the_last_one_last(tmp_path: Path) -> None:
    assert traces_of(tmp_path, 3) == []
    second, first = written(tmp_path, 3, 2), written(tmp_path, 3, 1, 60)
    written(tmp_path, 31, 1)
    first.with_name(f"{PARTIAL}job-3-3.json.gz").touch()  # of an attempt that was interrupted while it wrote
    assert traces_of(tmp_path, 3) == [first, second]


def test_old_traces_are_removed_with_their_tables(tmp_path: Path) -> None:
    assert remove_old_traces(tmp_path, 0) == 0
    old, young = written(tmp_path, 1, 1, 7200), written(tmp_path, 2, 1, 60)
    interrupted = old.with_name(f"{PARTIAL}job-1-1.json.gz")
    interrupted.touch()
    os.utime(interrupted, (old.stat().st_mtime, old.stat().st_mtime))
    assert remove_old_traces(tmp_path, 3600, dry_run=True) == 1
    assert old.exists()
    assert remove_old_traces(tmp_path, 3600) == 1
    assert sorted(young.parent.iterdir()) == [young, young.with_name("job-2-1.txt")]


def test_a_profiled_run_is_marked_and_not_measured_again(it: Ground) -> None:
    """Also where nothing else is marked: its speed is the profiler's too."""
    (job_id,) = it.queue("good", spec=SPEED_SPEC.model_copy(update={"profile": True}))
    written(it.home, job_id, 1)
    runner = it.runner(mark_disturbed=False)
    assert runner.run_one() == f"job {job_id} done"
    (run,) = runs(it.database)
    assert run.contaminated
    assert run.contamination == f"it was profiled (trace: traces/job-{job_id}-1.json.gz)"
    assert job_row(it.database, job_id).state == "done"
    assert runner.run_one() == "nothing to run", "no job measures it again"
