"""How a batch is getting on, in lines and as a live picture."""

import io
import time
from typing import Any

import pytest
from rich.console import Console

from db.status import BatchStatus, JobStatus, Waiting
from report.progress import Snapshot, disturbance_lines, outcome_line, picture, progress_line, waiting_line

NO_PROGRESS = {
    "phase": "loading",
    "done": 0,
    "total": None,
    "median_seconds": None,
    "low_seconds": None,
    "high_seconds": None,
}


def job(number: int = 1, state: str = "done", **changes: Any) -> JobStatus:
    """Return a job with fields changed."""
    fields: dict[str, Any] = {
        "id": number,
        "batch_id": 1,
        "state": state,
        "what": f"tiny facts item-{number} float32",
        "queue": "any.4",
        "memory_mib": 1000,
        "attempt": 1,
        "worker_id": None,
        "progress": None,
        "error": None,
        "run_id": None,
        "accuracy": None,
        "decode_tokens_per_second": None,
    }
    return JobStatus(**(fields | changes))


def snapshot(*jobs: JobStatus, waiting: list[Waiting] | None = None) -> Snapshot:
    """Return a batch of jobs."""
    counts = {
        state: sum(each.state == state for each in jobs)
        for state in ("queued", "running", "done", "failed", "cancelled")
    }
    return Snapshot(BatchStatus(1, "nightly", 0, 0.0, **counts), list(jobs), waiting or [])


def drawn(now: Snapshot, width: int = 80) -> list[str]:
    """Return the picture as a terminal shows it."""
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(picture(now, time.monotonic() - 75))
    return [line.rstrip() for line in out.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("ended", "line"),
    [
        (job(accuracy=0.75), "job 1 done: tiny facts item-1 float32: accuracy 0.750"),
        (job(decode_tokens_per_second=81.26), "job 1 done: tiny facts item-1 float32: 81.3 tokens/s"),
        (
            job(decode_tokens_per_second=5.0, warm=False),
            "job 1 done: tiny facts item-1 float32: 5.0 tokens/s, its latencies are not steady",
        ),
        (
            job(accuracy=0.0, decode_tokens_per_second=5.0),
            "job 1 done: tiny facts item-1 float32: accuracy 0.000, 5.0 tokens/s",
        ),
        (job(state="failed", error="no memory"), "job 1 failed: tiny facts item-1 float32: no memory"),
        (job(state="cancelled"), "job 1 cancelled: tiny facts item-1 float32"),
        (
            job(decode_tokens_per_second=5.0, contamination="the machine slept for 9.0 s"),
            "job 1 done: tiny facts item-1 float32: 5.0 tokens/s; disturbed: the machine slept for 9.0 s",
        ),
    ],
)
def test_a_job_that_has_ended_is_a_line(ended: JobStatus, line: str) -> None:
    assert outcome_line(ended) == line


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "loading"),
        ({"phase": "asking", "done": 3, "total": 12}, "asking 3/12"),
        ({"phase": "measuring", "done": 7}, "measuring, 7 iterations"),
        ({"phase": "measuring", "done": 7, "process": 2}, "measuring, 7 iterations, process 2"),
        (
            {"phase": "measuring", "done": 7, "median_seconds": 1.2345, "low_seconds": 1.2, "high_seconds": 1.301},
            "measuring, 7 iterations, median 1.23 s (1.2 to 1.3)",
        ),
        (
            {"phase": "waiting for a quiet machine", "reason": "other processes use 1.2 of 2 cores (ffmpeg)"},
            "waiting for a quiet machine: other processes use 1.2 of 2 cores (ffmpeg)",
        ),
        ({"phase": "measuring", "done": 2, "median_seconds": 0.00123}, "measuring, 2 iterations, median 0.00123 s"),
    ],
)
def test_progress_is_a_line(changes: dict[str, Any], line: str) -> None:
    assert progress_line(NO_PROGRESS | changes) == line


def test_a_batch_without_disturbances_says_nothing_of_them() -> None:
    assert disturbance_lines([]) == []
    assert disturbance_lines([job(1, run_id=1), job(2, "failed"), job(3, "running")]) == []


def test_disturbed_runs_are_told_with_what_became_of_them() -> None:
    jobs = [
        job(1, run_id=1, contamination="the machine slept for 9.0 s"),
        job(2, run_id=2),
        job(3, "queued", repeat_of=1, reason="contaminated"),
        # one that a person asked for is no answer to a disturbance
        job(4, run_id=4, contamination="512 MiB were swapped"),
        job(5, "queued", repeat_of=4, reason="retry asked for"),
    ]
    assert disturbance_lines(jobs) == [
        "2 of 3 runs were disturbed, and no baseline:",
        "job 1: the machine slept for 9.0 s; measured again as job 3",
        "job 4: 512 MiB were swapped",
    ]
    assert disturbance_lines(jobs[:1])[0] == "1 of 1 run was disturbed, and no baseline:"


def test_of_many_disturbed_runs_the_last_are_told() -> None:
    lines = disturbance_lines([job(number, run_id=number, contamination="heat") for number in range(1, 31)])
    assert lines[0] == "30 of 30 runs were disturbed, and no baseline:"
    assert lines[1:-1] == [f"job {number}: heat" for number in range(23, 31)]
    assert lines[-1] == "All of them: benchbeat history --batch 1 --where contaminated=true"


def test_a_job_that_said_nothing_yet_is_starting() -> None:
    assert progress_line(None) == "starting"


@pytest.mark.parametrize(("jobs", "line"), [(1, "1 job waits in queue q: why"), (2, "2 jobs wait in queue q: why")])
def test_jobs_that_nobody_takes_are_a_line(jobs: int, line: str) -> None:
    assert waiting_line(Waiting("q", jobs, "why")) == line


def test_the_picture_shows_how_far_the_batch_is() -> None:
    now = snapshot(
        job(1, accuracy=0.5),
        job(2, "failed", error="no memory"),
        job(3, "cancelled"),
        job(4, "running", progress=NO_PROGRESS | {"phase": "asking", "done": 3, "total": 12}),
        job(5, "queued"),
    )
    head, *rows = drawn(now)
    assert head.startswith("batch 1 ")
    assert head.endswith("3/5 jobs 1 failed 1:15")
    assert rows == [
        "done tiny facts item-1 float32: accuracy 0.500",
        "fail tiny facts item-2 float32: no memory",
        "stop tiny facts item-3 float32",
        "run  tiny facts item-4 float32: asking 3/12",
    ]


def test_the_picture_keeps_the_last_jobs_only() -> None:
    rows = drawn(snapshot(*(job(number) for number in range(1, 31))))[1:]
    assert [row.split()[3] for row in rows] == [f"item-{number}" for number in range(23, 31)]


def test_the_picture_says_why_jobs_wait() -> None:
    now = snapshot(job(1, "queued"), waiting=[Waiting("mps.16", 1, "needs the device mps; the workers have cpu")])
    assert drawn(now)[-1] == "1 job waits in queue mps.16: needs the device mps; the workers have cpu"


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_picture_is_no_wider_than_the_terminal_and_a_line_a_job(width: int) -> None:
    long = "deepseek-r1-distill-qwen-1.5b arithmetic chain_of_thought t=0.3 bfloat16"
    now = snapshot(job(1, "failed", what=long, error="an error " * 30), job(2, "running", what=long))
    lines = drawn(now, width)
    assert max(map(len, lines)) <= width
    assert sum(line.startswith(("fail", "run")) for line in lines) == 2


def test_a_snapshot_knows_who_runs_and_who_has_ended() -> None:
    now = snapshot(job(1), job(2, "running"), job(3, "queued"), job(4, "failed"))
    assert [each.id for each in now.ended] == [1, 4]
    assert [each.id for each in now.running] == [2]
