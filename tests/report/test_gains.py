"""Gains in a table and for programs."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from db.gains import Gain
from report.gains import COLUMNS, print_gains, verdict
from tests.report.conftest import Terminal

GAIN = Gain(
    model="smollm2-135m",
    workload="facts",
    strategy="few_shot",
    temperature=0.0,
    precision="float32",
    machine="lab",
    metric="accuracy",
    items=120,
    baseline=0.5,
    value=0.625,
    gain=0.125,
    low=0.031,
    high=0.2155,
    p_value=0.0123,
    method="newcombe",
    baseline_run_id=1,
    run_id=2,
)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.01, 0.2, "better"),
        (-0.2, -0.01, "worse"),
        (-0.1, 0.1, "no difference shown"),
        (0.0, 0.1, "no difference shown"),
        (None, None, "too few items"),
    ],
)
def test_the_verdict_follows_from_the_interval(low: float | None, high: float | None, said: str) -> None:
    assert verdict(replace(GAIN, low=low, high=high)) == said


def test_a_table_has_the_interval_in_one_cell_and_the_method_below(capsys: pytest.CaptureFixture[str]) -> None:
    tiny = replace(GAIN, strategy="role_play", gain=-0.0001, low=-0.05, high=0.05, p_value=0.0000002)
    print_gains([GAIN, tiny, replace(GAIN, low=None, high=None, p_value=None, method="bootstrap")], "table")
    header, _, first, second, third, newcombe, bootstrap = capsys.readouterr().out.splitlines()
    assert header.split("  ")[-1].strip() == "verdict"
    assert "0.500   0.625     +0.125  +0.031 to +0.215  0.012    better" in first
    # Never -0.000.
    assert "+0.000  -0.050 to +0.050  < 0.001  no difference shown" in second
    assert third.endswith("+0.125  -                 -        too few items")
    assert newcombe == "Paired by item. Scores of 0 and 1: Newcombe's interval, p of McNemar's exact test."
    assert bootstrap == "Paired by item. Other scores: percentile interval of 2,000 bootstrap resamples."


def test_the_machine_is_named_where_there_are_several(capsys: pytest.CaptureFixture[str]) -> None:
    print_gains([GAIN], "table")
    assert "machine" not in capsys.readouterr().out
    print_gains([GAIN, replace(GAIN, machine="attic")], "table")
    assert "attic" in capsys.readouterr().out


def test_many_comparisons_are_not_taken_at_their_word(capsys: pytest.CaptureFixture[str]) -> None:
    print_gains([GAIN] * 9, "table")
    assert "chance" not in capsys.readouterr().out
    print_gains([GAIN] * 64, "table")
    assert "Of 64 intervals of 95 %, about 3 leave zero out by chance alone." in capsys.readouterr().out


def test_points_of_readability_have_four_digits(capsys: pytest.CaptureFixture[str]) -> None:
    points = replace(GAIN, metric="readability", baseline=41.234, value=60.0, gain=18.766, low=-1.5, high=30.25)
    print_gains([points], "table")
    assert "41.23   60           +18.77  -1.5 to +30.25" in capsys.readouterr().out


def test_programs_get_every_field_and_the_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    print_gains([GAIN], "json")
    (row,) = json.loads(capsys.readouterr().out)
    assert tuple(row) == COLUMNS
    assert (row["gain"], row["low"], row["p_value"], row["verdict"]) == (0.125, 0.031, 0.0123, "better")
    print_gains([GAIN], "csv")
    (line,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert line["verdict"] == "better"


@pytest.mark.parametrize("width", [80, 200])
def test_a_terminal_is_not_overrun(terminal: Callable[[int], Terminal], width: int) -> None:
    out = terminal(width)
    long = replace(GAIN, model="deepseek-r1-distill-qwen-1.5b", workload="instructions", strategy="chain_of_thought")
    print_gains([GAIN, long, replace(GAIN, machine="b", temperature=0.5, items=60, p_value=1.0)], "table")
    assert max(map(len, out.lines)) <= width
    assert "each row is a block" not in out.getvalue()
