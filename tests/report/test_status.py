"""What goes on, printed."""

import json
from collections.abc import Callable

import pytest

from bench.errors import InputError
from bench.spec import JobSpec
from db.engine import Database
from db.jobs import extend_lease, fail_job
from db.runs import store_measurement
from db.workers import mark_seen
from report.status import print_batch, print_job, print_overview
from tests.db.builders import (
    LATE_LIFE,
    add_jobs,
    add_worker,
    claimed_by,
    late_result,
    let_lease_run_out,
    measurement,
    new_job,
)
from tests.report.conftest import Terminal

MACHINE = "3f2b8c1e-6a4d-4c1e-9d8a-2f6f7a0b1c2d"
PROGRESS = {
    "phase": "asking",
    "done": 3,
    "total": 12,
    "median_seconds": None,
    "low_seconds": None,
    "high_seconds": None,
}
LONG = JobSpec(
    model="deepseek-r1-distill-qwen-1.5b", workload="arithmetic", strategy="chain_of_thought", temperature=0.3
)


@pytest.fixture
def busy(database: Database) -> Database:
    """Give a history in which one job failed, one was measured, one runs, and three wait in vain."""
    worker = add_worker(database, f"{MACHINE}-cpu-1a2b3c4d", machine_id=MACHINE)
    add_jobs(database, [new_job(LONG), new_job(), new_job()], name="nightly-text-of-the-whole-team")
    failed = claimed_by(database, worker)
    fail_job(
        database,
        failed.id,
        failed.attempt,
        error="The session process ended with signal 9",
        stderr="Killed\n",
        max_attempts=1,
    )
    done = claimed_by(database, worker)
    store_measurement(database, done.id, done.attempt, MACHINE, measurement({"accuracy": 0.5}))
    running = claimed_by(database, worker)
    extend_lease(database, running.id, running.attempt, 60, json.dumps(PROGRESS))
    mark_seen(database, worker.worker_id, job_id=running.id, loaded="x")
    add_jobs(
        database,
        [new_job(queue="any.16", memory_mib=12_000)] * 2
        + [new_job(LONG.model_copy(update={"device": "cuda"}), queue="cuda.1")],
    )
    return database


def test_an_empty_history_says_how_to_begin(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    print_overview(database, "table")
    assert capsys.readouterr().out == (
        "Batches\nnone yet; begin with `benchbeat run --model smollm2-135m --workload facts --items 12`\n"
        "\nWorkers\nnone is running\n"
    )


def test_the_overview_shows_everything_that_goes_on(busy: Database, capsys: pytest.CaptureFixture[str]) -> None:
    print_overview(busy, "table")
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["batch", "name", "created", "jobs", "queued", "running", "done", "failed"]
    assert lines[4].split()[-5:] == ["3", "0", "1", "1", "1"]
    assert "job 3 (batch 1): tiny facts direct float32: asking 3/12" in lines
    worker = next(line for line in lines if line.startswith("3f2b8c1e"))
    assert worker.split("  ")[:4] == ["3f2b8c1e-cpu-1a2b3c4d", "cpu (Test CPU)", "8.0 GiB", "job 3"]
    assert lines[-7:] == [
        "Waiting in vain",
        "2 jobs wait in queue any.16: tiny in float32 needs 11.7 GiB; the largest live device has 8.0 GiB "
        "(Test CPU, cpu): start a worker on a larger machine",
        "1 job waits in queue cuda.1: needs the device cuda; the workers have cpu",
        "",
        "Failures",
        "job 1 (batch 1): deepseek-r1-distill-qwen-1.5b arithmetic chain_of_thought t=0.3 float32: "
        "The session process ended with signal 9",
        "`benchbeat status 1` shows its attempts and what it wrote last",
    ]
    assert lines[lines.index("Queues") + 1 :][:2] == ["any.16: 2 waiting", "cuda.1: 1 waiting"]


def test_programs_get_the_overview_whole(busy: Database, capsys: pytest.CaptureFixture[str]) -> None:
    print_overview(busy, "json")
    rows = json.loads(capsys.readouterr().out)
    assert [row["kind"] for row in rows] == [
        "batch",
        "batch",
        "job",
        "worker",
        *["queue"] * 2,
        *["waiting"] * 2,
        "failure",
    ]
    assert rows[1]["details"].pop("left_seconds") is None
    assert rows[1]["details"] == {"jobs": 3, "queued": 0, "running": 1, "done": 1, "failed": 1, "cancelled": 0} | {
        "disturbed": 0
    }
    assert rows[2]["details"] == {"batch": 1, "progress": PROGRESS}
    assert rows[3]["id"] == f"{MACHINE}-cpu-1a2b3c4d"
    assert rows[3]["details"]["job_id"] == 3


def test_a_batch_is_shown_job_by_job(busy: Database, capsys: pytest.CaptureFixture[str]) -> None:
    print_batch(busy, 1, "table")
    head, _, _, failed, done, running = capsys.readouterr().out.splitlines()
    assert head == "batch 1 nightly-text-of-the-whole-team: 1 running, 1 done, 1 failed"
    assert failed.split()[:3] == ["1", "failed", LONG.model]
    assert failed.endswith("The session process ended with signal 9")
    assert done.split()[-2:] == ["1", "1"]
    assert running.endswith("asking 3/12")


def test_a_batch_says_what_disturbed_its_runs(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    worker = add_worker(database, queues=("any.4", "machine.machine-a.cpu"))
    add_jobs(database, 2)
    for contamination, again in ((("the machine slept for 9.0 s",), True), ((), False), ((), False)):
        job = claimed_by(database, worker)
        measured = measurement({"accuracy": 0.5}, contamination=contamination, worth_repeating=again)
        store_measurement(database, job.id, job.attempt, "machine-a", measured, max_repeats=2)
    print_batch(database, 1, "table")
    lines = capsys.readouterr().out.splitlines()
    assert lines[3].endswith("disturbed: the machine slept for 9.0 s")
    assert lines[-2:] == [
        "1 of 3 runs was disturbed, and no baseline:",
        "job 1: the machine slept for 9.0 s; measured again as job 3",
    ]
    print_overview(database, "table")
    head, row = capsys.readouterr().out.splitlines()[1:4:2]
    assert (head.split()[-2:], row.split()[-2:]) == (["done", "disturbed"], ["3", "1"])
    print_job(database, 3, "json")
    assert json.loads(capsys.readouterr().out)[0]["note"] == "contaminated"


def test_a_batch_says_why_its_jobs_wait(busy: Database, capsys: pytest.CaptureFixture[str]) -> None:
    print_batch(busy, 2, "table")
    assert capsys.readouterr().out.splitlines()[-1] == (
        "1 job waits in queue cuda.1: needs the device cuda; the workers have cpu"
    )


def test_programs_get_a_batch_without_sentences(busy: Database, capsys: pytest.CaptureFixture[str]) -> None:
    print_batch(busy, 1, "json")
    rows = json.loads(capsys.readouterr().out)
    assert [(row["job"], row["state"], row["run"]) for row in rows] == [
        (1, "failed", None),
        (2, "done", 1),
        (3, "running", None),
    ]


def test_a_job_is_shown_with_its_attempts_and_its_last_output(
    busy: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    print_job(busy, 1, "table")
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "job 1 (batch 1): deepseek-r1-distill-qwen-1.5b arithmetic chain_of_thought t=0.3 float32",
        "failed: The session process ended with signal 9",
    ]
    assert lines[2] == ""
    events = [line.split()[2:] for line in lines[5:8]]
    assert [event[0] for event in events] == ["queued", "claimed", "failed"]
    assert events[1][1:] == ["1", "3f2b8c1e-cpu-1a2b3c4d", "-"]
    assert " ".join(events[2][1:]) == "1 - The session process ended with signal 9"
    assert lines[8:] == ["", "last output of attempt 1:", "Killed"]


def test_an_earlier_attempts_error_is_shown_too(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    add_jobs(database)
    worker = add_worker(database)
    job = claimed_by(database, worker)
    fail_job(database, job.id, job.attempt, error="out of memory", max_attempts=3)
    claimed_by(database, worker)
    print_job(database, job.id, "table")
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "running: starting"
    assert [line.split()[2] for line in lines[5:]] == ["queued", "claimed", "failed", "claimed"]
    assert lines[7].endswith("out of memory")


def test_a_job_that_waits_in_vain_says_why(busy: Database, capsys: pytest.CaptureFixture[str]) -> None:
    print_job(busy, 6, "table")
    assert capsys.readouterr().out.splitlines()[1:3] == [
        "queued",
        "waits: needs the device cuda; the workers have cpu",
    ]


def test_programs_get_a_jobs_life(busy: Database, capsys: pytest.CaptureFixture[str]) -> None:
    print_job(busy, 1, "json")
    queued, claimed, failed = json.loads(capsys.readouterr().out)
    assert (queued["event"], queued["attempt"], queued["worker"]) == ("queued", None, None)
    assert (claimed["event"], claimed["attempt"], claimed["worker"]) == ("claimed", 1, f"{MACHINE}-cpu-1a2b3c4d")
    assert (failed["event"], failed["note"]) == ("failed", "The session process ended with signal 9")


def test_a_life_says_who_rang_who_gave_back_and_what_came_too_late(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    job_id = late_result(database)
    print_job(database, job_id, "json")
    life = [(event["event"], event["attempt"]) for event in json.loads(capsys.readouterr().out)]
    assert life == LATE_LIFE
    print_job(database, job_id, "table")
    assert "its result is kept in the worker's spool/superseded" in capsys.readouterr().out


def test_what_is_not_there_is_an_error(database: Database) -> None:
    with pytest.raises(InputError, match=r"^there is no job 7$"):
        print_job(database, 7, "table")
    with pytest.raises(InputError, match=r"^there is no batch 7; there is none yet$"):
        print_batch(database, 7, "table")


def test_a_worker_that_was_lost_is_not_shown(busy: Database, capsys: pytest.CaptureFixture[str]) -> None:
    from sqlalchemy import update

    from db.tables import worker

    let_lease_run_out(busy, 3)
    with busy.write() as connection:
        connection.execute(update(worker).values(seen_at=0.0))
    print_overview(busy, "table")
    assert "Workers\nnone is running\n" in capsys.readouterr().out


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("show", ["overview", "batch", "job"])
def test_a_terminal_is_not_overrun(busy: Database, terminal: Callable[[int], Terminal], width: int, show: str) -> None:
    out = terminal(width)
    if show == "overview":
        print_overview(busy, "table")
    else:
        {"batch": print_batch, "job": print_job}[show](busy, 1, "table")
    assert max(map(len, out.lines)) <= width
    assert "each row is a block" not in out.getvalue()
