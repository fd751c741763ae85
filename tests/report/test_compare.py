"""Comparisons in tables and for programs."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from db.changes import Change
from db.compare import Comparison, compare_by, compare_two
from db.engine import Database
from db.history import Query
from db.prune import prune_samples
from db.sides import read_sides
from report.compare import COLUMNS, figure_rows, print_comparison
from report.verdicts import verdict
from tests.db.compared import store_precisions, store_quality, store_speed
from tests.db.imported import OF_OURS, store_ours, store_rows
from tests.report.conftest import Terminal

SECONDS = [0.5, 0.51, 0.49, 0.5, 0.52, 0.5]
ACCURACY = Change("accuracy", 0.5, 0.6, "difference", 0.1, 0.01, 0.2, 60, 0.01, "newcombe")
LATENCY = Change("latency_seconds", 1.0, 2.0, "ratio", 2.0, 1.9, 2.1, 10, 0.001, "t-test", 0.05, basis="history")


def compared(database: Database, by: str = "precision") -> Comparison:
    """Compare all runs by a column."""
    with database.read() as connection:
        return compare_by(connection, Query(), by)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (ACCURACY, "better"),
        (replace(ACCURACY, low=-0.2, high=-0.1), "worse"),
        (replace(ACCURACY, low=-0.1), "no difference shown"),
        (replace(ACCURACY, p_value=0.06), "no difference shown"),
        (replace(ACCURACY, least=1.2, low=-0.1), "too few items"),
        (replace(ACCURACY, method="bootstrap", n=19), "too few items"),
        (replace(ACCURACY, low=None), None),
        (LATENCY, "slower"),
        (replace(LATENCY, low=0.5, high=0.6), "faster"),
        (replace(LATENCY, low=0.9, p_value=0.02), "no difference shown"),
        (replace(LATENCY, low=0.9, p_value=0.02, basis="machine"), "no difference shown"),
        (replace(LATENCY, low=0.9, p_value=0.02, basis="assumed"), "not enough runs to tell"),
        (replace(LATENCY, basis="assumed"), "slower"),
        (replace(LATENCY, low=None, high=None), None),
        (replace(LATENCY, metric="decode_tokens_per_second"), "faster"),
    ],
)
def test_the_verdict_follows_from_the_interval(change: Change, said: str | None) -> None:
    assert verdict(change) == said


def test_speed_and_quality_are_sections_of_their_own(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    store_precisions(database)
    print_comparison(compared(database), "table")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Speed and memory by precision; the baseline is float32"
    assert lines[3].split()[:5] == ["tiny", "speed", "float32", "381", "MiB"]
    assert lines[3].endswith("baseline")
    assert "0.25" in lines[4]
    assert lines[4].endswith("0.500  0.37 to 0.68   slower")
    quality = lines.index("Quality by precision; the baseline is float32")
    assert lines[quality + 3].endswith("40  0.750     -           -                 baseline")
    assert lines[quality + 4].endswith("40  0.450     -0.300      -0.433 to -0.143  worse")
    # The speed run's tokens stand beside the accuracy.
    assert " 7.778 " in lines[quality + 4] or " 7.77" in lines[quality + 4]


def test_by_source_it_is_said_what_was_timed(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    store_ours(database)
    prompt, answer = {"n_prompt": 128, "n_gen": 0}, {"n_prompt": 0, "n_gen": 64, "n_depth": 128}
    store_rows(database, *(OF_OURS | each | {"samples_ns": [0.125e9] * 6} for each in (prompt, answer)))
    print_comparison(compared(database, "source"), "table")
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1][:4] == ["model", "workload", "new_tokens", "source"]
    assert {"speed_of", "prefill_tokens_per_second"} <= set(lines[1])
    assert not {"attention", "cache"} & set(lines[1])
    assert [line[-7:] for line in lines if "llama-bench" in line] == [
        ["1024", "prompt", "2.000", "1.70", "to", "2.36", "faster"],
        ["-", "answer", "6.095", "5.17", "to", "7.19", "faster"],
    ]


def test_of_two_sides_it_is_said_what_was_timed(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    store_ours(database)
    store_rows(database, OF_OURS | {"n_prompt": 128, "n_gen": 0, "samples_ns": [0.125e9] * 6})
    with database.read() as connection:
        print_comparison(compare_two(connection, Query(), *read_sides(connection, "run:1", "run:2")), "table")
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    (header,) = (line for line in lines if "speed_of" in line)
    assert "prefill_tokens_per_second" in header
    assert lines[lines.index(header) + 2][-7:] == ["1024", "prompt", "2.000", "1.70", "to", "2.36", "faster"]


def test_what_could_have_been_shown_is_said(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    store_speed(database, SECONDS)
    store_speed(database, SECONDS, spec={"precision": "int8"})
    store_quality(database, [1.0] * 20 + [0.0] * 10)
    store_quality(database, [1.0] * 19 + [0.0] * 11, spec={"precision": "int8"})
    print_comparison(compared(database), "table")
    out = capsys.readouterr().out
    # Six readings a side and no other run.
    assert "not enough runs to tell (44 %)" in out
    assert "no difference shown (0.2)" in out


def test_quality_alone_brings_its_own_speed(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    store_quality(database, [1.0] * 8)
    store_quality(database, [1.0] * 8, spec={"precision": "int8"})
    print_comparison(compared(database), "table")
    out = capsys.readouterr().out
    assert "Speed and memory" not in out
    assert "of these runs themselves" in out


def test_what_differs_between_two_batches_stands_above(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    store_speed(database, SECONDS, environment={"torch_version": "2.12"})
    store_speed(database, SECONDS, day=1)
    with database.read() as connection:
        found = compare_two(connection, Query(), *read_sides(connection, "1", "2"))
    print_comparison(found, "table")
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["torch_version: 2.12 -> 2.13", "", "Speed and memory: batch 1 -> batch 2"]
    assert "0.5 -> 0.5" in lines[5]
    # What is equal on both sides is not shown twice.
    assert "weights_bytes" not in lines[3]


def test_programs_get_a_line_for_each_figure(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    store_precisions(database)
    found = compared(database)
    print_comparison(found, "json")
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == len(figure_rows(found))
    assert tuple(rows[0]) == COLUMNS
    latency = next(row for row in rows if row["metric"] == "latency_seconds" and row["workload"] == "speed")
    assert (latency["baseline_value"], latency["value"], latency["kind"]) == ("float32", "int8", "ratio")
    assert (latency["change"], latency["verdict"]) == (2.0, "slower")


def test_markdown_has_both_tables(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    store_precisions(database)
    print_comparison(compared(database), "md")
    out = capsys.readouterr().out
    assert out.count("| model | workload | precision |") == 2


@pytest.mark.parametrize("width", [80, 200])
def test_a_terminal_is_not_overrun(database: Database, terminal: Callable[[int], Terminal], width: int) -> None:
    store_precisions(database)
    store_speed(database, SECONDS, spec={"new_tokens": 16, "precision": "bfloat16"})
    store_speed(database, SECONDS, spec={"new_tokens": 16})
    found = compared(database)
    out = terminal(width)
    print_comparison(found, "table")
    assert max(map(len, out.lines)) <= width
    assert "each row is a block" not in out.getvalue()


def sides(database: Database, first: str, second: str) -> Comparison:
    """Compare two sides."""
    with database.read() as connection:
        return compare_two(connection, Query(), *read_sides(connection, first, second))


def printed(comparison: Comparison, capsys: pytest.CaptureFixture[str], output: str = "table") -> str:
    """Return what is printed of a comparison."""
    print_comparison(comparison, output)
    return capsys.readouterr().out


def test_the_test_is_said_with_what_its_spread_stands_on(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    store_speed(database, SECONDS)
    store_speed(database, SECONDS, day=1)
    said = "Test: moderated t-test at the 1 % level, on the logarithm of each run's median."
    out = printed(sides(database, "1", "2"), capsys)
    assert said in out
    assert "single readings, for want of any runs" in out
    store_speed(database, SECONDS, day=2)
    store_speed(database, SECONDS, day=3)
    out = printed(sides(database, "3", "4"), capsys)
    assert said in out
    assert "earlier runs of the same series" in out
    assert "no difference shown (" in out


def test_lines_that_stand_on_different_things_are_counted(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    for day in range(3):
        store_speed(database, SECONDS, day=day)
        store_speed(database, SECONDS, day=day, spec={"precision": "int8"})
    store_speed(database, SECONDS, spec={"new_tokens": 16})
    store_speed(database, SECONDS, spec={"new_tokens": 16, "precision": "int8"})
    out = printed(compared(database), capsys)
    assert "earlier runs of the same series (1 line); single readings, for want of any runs (1 line)" in out


def test_quality_of_two_sides_is_set_side_by_side(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    store_quality(database, [1.0] * 30 + [0.0] * 10)
    store_quality(database, [1.0] * 18 + [0.0] * 22, day=1)
    out = printed(sides(database, "1", "2"), capsys)
    assert out.startswith("Quality: batch 1 -> batch 2\n")
    assert "0.750 -> 0.450" in out
    assert "McNemar's exact test at the 5 % level" in out
    assert out.count("worse") == 1


def test_days_say_what_they_are_and_how_many_runs_they_have(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    for day in range(5):
        store_speed(database, SECONDS, day=day)
    out = printed(sides(database, "2023-11-14..2023-11-16", "2023-11-17..2023-11-18"), capsys)
    assert "3 -> 2" in out
    assert "how many times as fast as 2023-11-14..2023-11-16" in out


def test_pruned_samples_are_told(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    interval = {"latency_low_seconds": 0.49, "latency_high_seconds": 0.52, "iterations": 6}
    store_speed(database, SECONDS, figures=interval)
    store_speed(database, SECONDS, day=1, figures=interval)
    assert list(prune_samples(database, 0.0))
    out = printed(sides(database, "1", "2"), capsys)
    assert "The samples of 2 runs were pruned; the stored interval of the latency stands for them." in out


def test_what_else_differs_stands_above_a_column(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    store_speed(database, SECONDS, environment={"torch_version": "2.12"})
    store_speed(database, SECONDS, spec={"precision": "int8"})
    out = printed(compared(database), capsys)
    assert out.startswith("Not only precision differs. torch_version: 2.12 -> 2.13\n")


def test_many_lines_mislead_by_their_number(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    for tokens in range(2, 22):
        store_speed(database, SECONDS, spec={"new_tokens": tokens})
        store_speed(database, SECONDS, spec={"new_tokens": tokens}, day=1, environment={"torch_version": "2.14"})
    out = printed(compared(database, "torch_version"), capsys)
    assert "Of 20 intervals of 99 %, about 0 leave no change out by chance alone." in out


@pytest.mark.parametrize("width", [80, 200])
def test_two_sides_fit_into_a_terminal(database: Database, terminal: Callable[[int], Terminal], width: int) -> None:
    for day in (0, 1):
        for tokens in (16, 512):
            for precision in ("float32", "bfloat16"):
                store_speed(database, SECONDS, day=day, spec={"new_tokens": tokens, "precision": precision})
        store_quality(database, [1.0] * 20 + [0.0] * 10, day=day)
    out = terminal(width)
    print_comparison(sides(database, "2023-11-14", "2023-11-15"), "table")
    assert max(map(len, out.lines)) <= width
    assert "each row is a block" not in out.getvalue()


def test_programs_get_what_the_test_stands_on(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    for day in range(4):
        store_speed(database, SECONDS, day=day)
    rows = json.loads(printed(sides(database, "3", "4"), capsys, "json"))
    latency = next(row for row in rows if row["metric"] == "latency_seconds")
    assert (latency["method"], latency["confidence"], latency["spread_from"]) == ("t-test", 0.99, "history")
    assert (latency["baseline_runs"], latency["runs"], latency["verdict"]) == (1, 1, "no difference shown")
    assert latency["spread_freedom"] > 1
