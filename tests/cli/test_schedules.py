"""`benchbeat schedule`: what people type, what they see, and what they get wrong."""

import json
from pathlib import Path

import pytest

from db.engine import Database
from db.schedules import change_schedule, schedule_by_name, seconds_now
from scheduler.schedules import Ticker
from tests.cli.conftest import Command

AXES = ("--model", "smollm2-135m", "--workload", "facts", "--items", "4")
NIGHTLY = ("schedule", "add", "nightly", *AXES, "--cron", "0 2 * * *", "--timezone", "Europe/Zurich")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sweep.toml"
    path.write_text('name = "mine"\n[[sweep]]\nmodel = "smollm2-135m"\nworkload = "facts"\nitems = [4, 8]\n')
    return path


def fire(history: Database, name: str, seconds_ago: float = 1.0) -> None:
    with history.write() as connection:
        found = schedule_by_name(connection, name)
        change_schedule(connection, found.id, next_due_at=seconds_now(connection) - seconds_ago)
    Ticker(history).tick()


def test_a_schedule_is_added_and_listed(benchbeat: Command, history: Database) -> None:
    added = benchbeat(*NIGHTLY)
    assert added.code == 0
    assert added.out.startswith("nightly\n  at 02:00 every day (Europe/Zurich): nightly, 1 job\n  next  ")
    assert "No beat is running" in added.err
    listed = benchbeat("schedule", "list").out
    times = [line for line in listed.splitlines() if " 02:00 CE" in line]
    assert len(times) == 3
    (row,) = json.loads(benchbeat("schedule", "list", "-o", "json").out)
    assert (row["schedule"], row["state"], row["cron"], row["jobs"]) == ("nightly", "active", "0 2 * * *", 1)
    assert len(row["next"]) == 3


def test_its_file_may_go(benchbeat: Command, history: Database, file: Path) -> None:
    text = file.read_text()
    options = ("--every", "45m", "--machine", "lab-mac", "--misfire", "all", "--grace", "2d", "--overlap", "queue")
    assert benchbeat("schedule", "add", "often", str(file), *options).code == 0
    file.unlink()
    assert benchbeat("schedule", "show", "often", "--sweep").out == text
    shown = benchbeat("schedule", "show", "often").out
    assert "every 45m: mine, 2 jobs" in shown
    assert "missed times: all, within 2d; while its last batch runs: queue" in shown
    assert "machine: lab-mac" in shown
    jobs = json.loads(benchbeat("schedule", "show", "often", "--jobs", "-o", "json").out)
    assert [job["items"] for job in jobs] == [4, 8]


def test_what_became_of_it_is_shown(benchbeat: Command, history: Database) -> None:
    benchbeat(*NIGHTLY)
    assert "it has not been due yet" in benchbeat("schedule", "show", "nightly").out
    # A due time fires once: two within a millisecond would be one.
    fire(history, "nightly", seconds_ago=2.0)
    fire(history, "nightly")
    shown = benchbeat("schedule", "show", "nightly").out
    assert "1 queued" in shown
    assert "batch 1 had not ended" in shown
    assert "overlapped (batch 1 had not ended)" in benchbeat("schedule", "list").out
    rows = json.loads(benchbeat("schedule", "show", "nightly", "-o", "json").out)
    assert [(row["outcome"], row["batch"]) for row in rows] == [("overlapped", None), ("fired", 1)]
    found = json.loads(
        benchbeat("sql", "select schedule, outcome, batch from firings order by due_at", "-o", "json").out
    )
    assert found == [
        {"schedule": "nightly", "outcome": "fired", "batch": 1},
        {"schedule": "nightly", "outcome": "overlapped", "batch": None},
    ]


def test_status_names_schedules(benchbeat: Command, history: Database) -> None:
    benchbeat(*NIGHTLY)
    overview = benchbeat("status").out
    assert "Schedules" in overview
    assert "nightly: next " in overview
    with history.write() as connection:
        found = schedule_by_name(connection, "nightly")
        change_schedule(connection, found.id, paused=True, paused_reason="its job of x is not valid")
    assert "nightly: paused, since its job of x is not valid" in benchbeat("status").out
    rows = json.loads(benchbeat("status", "-o", "json").out)
    assert [(row["kind"], row["id"]) for row in rows] == [("schedule", "nightly")]


def test_a_schedule_rests_goes_on_and_goes(benchbeat: Command, history: Database) -> None:
    benchbeat(*NIGHTLY)
    assert benchbeat("schedule", "pause", "nightly").out == "nightly is paused\n"
    assert benchbeat("schedule", "pause", "nightly").out == "nightly was paused already\n"
    assert "paused" in benchbeat("schedule", "list").out
    assert benchbeat("schedule", "resume", "nightly").out.startswith("nightly\n  at 02:00 every day")
    assert benchbeat("schedule", "resume", "nightly").out == "nightly is not paused\n"
    assert benchbeat("schedule", "remove", "nightly").out == "nightly is removed; its batches stay\n"
    assert "no schedule yet" in benchbeat("schedule", "list").out


def test_a_trigger_queues_now(benchbeat: Command, history: Database, broker_url: str) -> None:
    benchbeat(*NIGHTLY)
    benchbeat("schedule", "pause", "nightly")
    assert benchbeat("schedule", "trigger", "nightly").out == "batch 1: queued by nightly\n"
    (row,) = json.loads(benchbeat("schedule", "trigger", "nightly", "-o", "json").out)
    assert (row["batch"], row["jobs"]) == (2, 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--cron", "0 2 * * * *"), "--cron: a cron line has five fields"),
        (("--cron", "0 0 30 2 *"), "--cron: '0 0 30 2 *' is never due: no such day exists"),
        (("--cron", "0 25 * * *"), "--cron: the hour of '0 25 * * *' can't be '25'"),
        (("--cron", "@hourly", "--timezone", "Europe/Zürich"), "did you mean 'Europe/Zurich'?"),
        (("--every", "45"), "--every: '45' is no duration"),
        (("--every", "5s"), "--every: must be from 1m to 366d"),
        (("--every", "1h", "--timezone", "UTC"), "--timezone: goes with --cron"),
        ((), "give either --cron"),
        (("--cron", "@daily", "--every", "1h"), "give either --cron"),
        (("--cron", "@daily", "--misfire", "lates"), "--misfire: unknown misfire 'lates'; did you mean 'latest'?"),
        (("--cron", "@daily", "--overlap", "kill"), "--overlap: unknown overlap 'kill'"),
        (("--cron", "@daily", "--grace", "99d"), "--grace: can be 31d at most"),
        (("--cron", "@daily", "--grace", "1h", "--misfire", "skip"), "--grace: goes with --misfire latest or all"),
        (("--cron", "@daily", "--model", "smollm"), "--model: "),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_stored(
    benchbeat: Command, history: Database, arguments: tuple[str, ...], said: str
) -> None:
    done = benchbeat("schedule", "add", "nightly", *AXES, *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert "no schedule yet" in benchbeat("schedule", "list").out


@pytest.mark.parametrize("command", ["show", "pause", "resume", "remove", "trigger"])
def test_a_schedule_that_is_not_there_has_near_ones(benchbeat: Command, history: Database, command: str) -> None:
    benchbeat(*NIGHTLY)
    done = benchbeat("schedule", command, "nihgtly")
    assert (done.code, done.err) == (2, "Error: there is no schedule 'nihgtly'; did you mean 'nightly'?\n")


def test_a_name_is_taken_once(benchbeat: Command, history: Database) -> None:
    benchbeat(*NIGHTLY)
    done = benchbeat(*NIGHTLY)
    assert done.code == 2
    assert "there is a schedule 'nightly' already; remove it first, or choose another name" in done.err


def test_one_that_was_made_from_options_has_no_file(benchbeat: Command, history: Database) -> None:
    benchbeat(*NIGHTLY)
    done = benchbeat("schedule", "show", "nightly", "--sweep")
    assert done.code == 2
    assert "was made from options, not from a file; --jobs shows its jobs" in done.err
