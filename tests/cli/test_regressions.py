"""`regressions`: what people type, what they see, and the exit code."""

import csv
import io
import json

from db.engine import Database
from db.runs import store_measurement
from report.regressions import COLUMNS
from tests.cli.conftest import Command
from tests.db.builders import SPEED_SPEC, add_jobs, add_worker, claimed_by, measurement, new_job
from tests.db.test_level_changes import QUIET, measured


def test_a_slow_down_that_stands_is_exit_code_3(benchbeat: Command, history: Database) -> None:
    measured(history, QUIET, threads=2)
    quiet = benchbeat("regressions")
    assert (quiet.code, quiet.out) == (0, "")
    assert quiet.err == "no change of level in 12 clean speed runs\n"
    measured(history, (0.6, 0.602), threads=1)
    done = benchbeat("regressions")
    assert done.code == 3
    lines = done.out.splitlines()
    assert lines[0].startswith("Slower, confirmed by ")
    assert lines[1] == "  tiny speed 32+8 float32, cpu of machine-a"
    assert "500 ms -> 60" in lines[2]
    assert lines[3] == "  changed with it: threads 2 -> 1"
    assert lines[-1] == "Confirmed: 1 slower."
    assert benchbeat("regressions", "--model", "tiny", "--since", "2020-01-01").code == 3


def test_one_that_was_undone_is_shown_and_is_no_failure(benchbeat: Command, history: Database) -> None:
    measured(history, (*QUIET, 0.6, 0.601, 0.599, 0.6, 0.602, 0.6, 0.599, 0.601, *QUIET))
    done = benchbeat("regressions")
    assert done.code == 0
    assert "another change followed" in done.out
    assert done.out.splitlines()[-1] == "Confirmed: 1 slower, 1 faster."


def test_programs_get_a_row_a_change(benchbeat: Command, history: Database) -> None:
    measured(history, (*QUIET, 0.6, 0.602))
    (row,) = json.loads(benchbeat("regressions", "-o", "json").out)
    assert list(row) == list(COLUMNS)
    assert (row["direction"], row["stands"], row["environment"]) == ("slower", True, None)
    (row,) = csv.DictReader(io.StringIO(benchbeat("regressions", "-o", "csv").out))
    assert row["state"] == "confirmed"
    assert "| confirmed |" in benchbeat("regressions", "-o", "md").out


def test_what_was_refuted_is_shown_when_it_is_asked_for(benchbeat: Command, history: Database) -> None:
    measured(history, QUIET)
    add_jobs(history, [new_job(SPEED_SPEC)])
    for number, seconds in enumerate((0.6, 0.5)):
        worker = add_worker(history, f"other-{number}", queues=("any.4", "machine.machine-a.cpu"))
        claimed = claimed_by(history, worker)
        store_measurement(history, claimed.id, claimed.attempt, "machine-a", measurement({"latency_seconds": seconds}))
        said = benchbeat("regressions", "--judge")
        assert said.code == 0
    assert said.out == ""
    shown = benchbeat("regressions", "--all")
    assert shown.out.startswith("Slower, suspected, and refuted by 1 more run\n")
    assert shown.code == 0


def test_runs_that_wait_to_be_judged_are_told(benchbeat: Command, history: Database) -> None:
    add_jobs(history, [new_job(SPEED_SPEC)])
    claimed = claimed_by(history, add_worker(history))
    store_measurement(history, claimed.id, claimed.attempt, "machine-a", measurement({"latency_seconds": 0.5}))
    assert "1 run waits to be judged: beat does it" in benchbeat("regressions").err
    assert "waits" not in benchbeat("regressions", "--judge").err


def test_nothing_measured_is_exit_code_4(benchbeat: Command, history: Database) -> None:
    assert benchbeat("regressions").code == 4
    done = benchbeat("regressions", "-o", "json")
    assert (done.code, done.out) == (4, "[]\n")
    assert benchbeat("regressions", "--since", "some day").code == 2
