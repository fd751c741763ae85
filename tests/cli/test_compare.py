"""`compare`: by a column, and two batches or runs."""

import csv
import io
import json

import pytest

from db.engine import Database
from report.compare import COLUMNS
from tests.cli.conftest import Command
from tests.db.compared import store_precisions


def test_precisions_are_compared(benchbeat: Command, history: Database) -> None:
    store_precisions(history)
    done = benchbeat("compare", "--by", "precision")
    assert done.code == 0, done.err
    assert done.out.startswith("Speed and memory by precision; the baseline is float32\n")
    assert "Quality by precision" in done.out
    assert "Quality" not in benchbeat("compare", "--by", "precision", "--workload", "speed").out


def test_a_baseline_is_chosen(benchbeat: Command, history: Database) -> None:
    store_precisions(history)
    done = benchbeat("compare", "--by", "precision", "--baseline", "int8", "-o", "json")
    assert {row["baseline_value"] for row in json.loads(done.out)} == {"int8"}
    done = benchbeat("compare", "--by", "precision", "--baseline", "int9")
    assert (done.code, done.err) == (2, "Error: --baseline: no run that matches has 'int9'; did you mean 'int8'?\n")


def test_strategies_and_versions_of_three_nights(benchbeat: Command, nights: Database) -> None:
    done = benchbeat("compare", "--by", "strategy", "--workload", "arithmetic", "-o", "csv")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert {row["baseline_value"] for row in rows} == {"direct"}
    assert {row["value"] for row in rows} == {"few_shot", "chain_of_thought"}
    done = benchbeat("compare", "--by", "torch_version", "--workload", "speed")
    assert "the baseline is 2.12.0" in done.out


def test_two_nights_and_two_machines_are_compared(benchbeat: Command, nights: Database) -> None:
    done = benchbeat("compare", "2026-05-01..2026-05-03", "2026-05-04..2026-05-06", "--workload", "speed")
    assert done.code == 0, done.err
    assert done.out.startswith("torch_version: ")
    assert "Speed and memory: 2026-05-01..2026-05-03 -> 2026-05-04..2026-05-06" in done.out
    done = benchbeat("compare", "machine:lab-a", "machine:lab-b")
    assert (done.code, done.out) == (4, "")
    assert "machine lab-a and machine lab-b have no series in common: " in done.err


def test_the_last_batches_of_a_name_are_compared(benchbeat: Command, history: Database) -> None:
    store_precisions(history)
    store_precisions(history)
    done = benchbeat("compare", "nightly~4", "nightly")
    assert done.code == 0, done.err
    assert done.out.startswith("nightly~4 is batch 4\nnightly is batch 8\n")


def test_two_runs_are_compared(benchbeat: Command, history: Database) -> None:
    store_precisions(history)
    done = benchbeat("compare", "run:1", "run:2")
    assert done.code == 0, done.err
    assert done.out.startswith("precision: float32 -> int8\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "say what to compare"),
        (("3",), "say what to compare"),
        (("3", "4", "5"), "say what to compare"),
        (("3", "4", "--by", "precision"), "--by: goes without batches, runs"),
        (("3", "4", "--baseline", "3"), "--baseline: goes with --by"),
        (("3", "4", "--batch", "3"), "--batch: goes with --by"),
        (("machine:lab-a", "machine:lab-b", "--machine", "lab-a"), "--machine: goes without machine:ID"),
        (("yesterday", "today", "--since", "7d"), "--since and --until: go without days"),
        (("3", "job:4"), "'job:4' is nothing to compare"),
        (("machine:gone", "3"), "there is no machine 'gone'"),
        (("yesterdy", "today"), "did you mean 'yesterday'?"),
        (("3", "3"), "can't be compared with itself"),
        (("--by", "precison"), "did you mean 'precision'"),
        (("--by", "workload"), "different workloads"),
    ],
)
def test_what_can_t_be_asked_is_exit_code_2(
    benchbeat: Command, nights: Database, arguments: tuple[str, ...], said: str
) -> None:
    done = benchbeat("compare", *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--by", "attention"), "every run that matches has the attention sdpa; there is nothing to compare it with\n"),
        (("--by", "precision", "--where", "model~gone"), "no run matches\n"),
        (("998", "999"), "there is no clean run of batch 998 that matches\n"),
    ],
)
def test_nothing_to_compare_is_exit_code_4(
    benchbeat: Command, nights: Database, arguments: tuple[str, ...], said: str
) -> None:
    done = benchbeat("compare", *arguments)
    assert (done.code, done.out, done.err) == (4, "", said)
    done = benchbeat("compare", *arguments, "-o", "csv")
    assert (done.code, done.out) == (4, ",".join(COLUMNS) + "\r\n")


def test_an_empty_history_says_how_to_begin(benchbeat: Command, history: Database) -> None:
    done = benchbeat("compare", "--by", "precision")
    assert (done.code, done.err) == (4, "nothing was measured yet; begin with `benchbeat run`\n")
