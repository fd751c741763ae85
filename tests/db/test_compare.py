"""Comparisons by a column, and of two batches or runs, on both databases."""

from dataclasses import replace
from math import log

import pytest

from bench.errors import InputError
from bench.pairs import paired_difference
from bench.replicates import assumed_spread, ratio_of_runs, reading_of_values
from db.changes import changes_of
from db.compare import Comparison, compare_two
from db.conditions import Condition
from db.engine import Database
from db.history import Query
from db.sides import read_sides
from db.spreads import read_spreads
from tests.db.builders import add_jobs
from tests.db.compared import SECONDS, ask, ask_two, store_precisions, store_quality, store_speed, values


def test_nothing_is_compared_where_nothing_was_measured(database: Database) -> None:
    assert ask(database, "precision") == Comparison("precision", (), [])


def test_precisions_are_compared_though_their_quantisers_differ(database: Database) -> None:
    store_precisions(database)
    found = ask(database, "precision")
    assert values(found) == [
        ("facts", "float32", "float32"),
        ("facts", "float32", "int8"),
        ("speed", "float32", "float32"),
        ("speed", "float32", "int8"),
    ]
    assert [line.is_baseline for line in found.lines] == [True, False, True, False]
    assert found.lines[0].changes == {}
    speed = found.lines[3].changes
    first, second = reading_of_values(SECONDS), reading_of_values([1.0, 1.02, 0.98, 1.0, 1.01, 1.0])
    assert first is not None
    assert second is not None
    assumed = assumed_spread(((first.deviation**2 + second.deviation**2) / 2) ** 0.5)
    expected = ratio_of_runs([log(0.5)], [log(1.0)], assumed, first.error**2 + second.error**2)
    assert expected is not None
    latency = speed["latency_seconds"]
    figures = latency.change, latency.low, latency.high, latency.p_value, latency.smallest, latency.freedom
    assert figures == pytest.approx(expected)
    assert (latency.n, latency.runs, latency.basis, latency.freedom) == (6, (1, 1), "assumed", 3)
    assert speed["decode_tokens_per_second"].change == pytest.approx(0.5)
    assert speed["weights_bytes"].change == 0.25
    assert speed["weights_bytes"].low is None


def test_several_processes_are_compared_with_one_though_they_are_isolated(database: Database) -> None:
    store_speed(database, SECONDS, spec={"processes": 2, "isolation": "process"})
    store_speed(database, SECONDS)
    found = ask(database, "processes")
    assert values(found) == [("speed", 1, 1), ("speed", 1, 2)]


def test_quality_is_paired_item_by_item(database: Database) -> None:
    store_precisions(database)
    change = ask(database, "precision").lines[1].changes["accuracy"]
    before = {f"item-{n}": float(n < 30) for n in range(40)}
    after = {f"item-{n}": float(n < 18) for n in range(40)}
    paired = paired_difference(before, after)
    assert (change.n, change.change, change.low, change.high, change.p_value, change.method) == tuple(paired)
    assert (change.baseline, change.figure) == (0.75, 0.45)


def test_the_least_that_could_be_shown_meets_the_interval_and_the_test(database: Database) -> None:
    store_quality(database, [1, 1, 1, 1, 1, 0, 0, 0])
    store_quality(database, [0, 0, 0, 0, 0, 0, 0, 0], spec={"precision": "int8"})
    change = ask(database, "precision").lines[1].changes["accuracy"]
    assert change.change == -0.625
    assert change.p_value == pytest.approx(0.0625)
    # Six of eight must change to be more than chance.
    assert change.smallest == 0.75


@pytest.mark.parametrize(
    ("measured", "baseline"),
    [
        (("int8", "bfloat16", "float32", "float16"), "float16"),
        (("int8", "bfloat16", "float32"), "float32"),
        (("int8", "bfloat16"), "bfloat16"),
        (("int8", "int4"), "int8"),
    ],
)
def test_the_baseline_of_precisions(database: Database, measured: tuple[str, ...], baseline: str) -> None:
    for day, precision in enumerate(measured):
        store_speed(database, SECONDS, spec={"precision": precision}, day=day)
    found = ask(database, "precision")
    assert {line.baseline_value for line in found.lines} == {baseline}
    assert [line.is_baseline for line in found.lines] == [True] + [False] * (len(measured) - 1)


def test_a_baseline_is_chosen_by_its_value(database: Database) -> None:
    for size in (1, 4, 16):
        store_speed(database, SECONDS, spec={"batch_size": size})
    assert [line.value for line in ask(database, "batch_size").lines] == [1, 4, 16]
    assert [line.value for line in ask(database, "batch_size", baseline="4.0").lines] == [4, 1, 16]
    with pytest.raises(InputError, match="no run that matches has '5'"):
        ask(database, "batch_size", baseline="5")
    with pytest.raises(InputError, match="no run that matches has 'x'"):
        ask(database, "batch_size", baseline="x")


def test_truths_and_temperatures_are_values_too(database: Database) -> None:
    store_speed(database, SECONDS, spec={"compile": True})
    store_speed(database, SECONDS, spec={"compile": False}, day=1)
    assert [line.value for line in ask(database, "compile").lines] == [False, True]
    assert [line.value for line in ask(database, "compile", baseline="true").lines] == [True, False]
    store_quality(database, [1, 0], resolved={"temperature": 0.5})
    store_quality(database, [1, 0], day=1)
    assert [line.value for line in ask(database, "temperature").lines] == [0.0, 0.5]


def test_versions_are_compared_within_a_series_with_the_oldest(database: Database) -> None:
    first = store_speed(database, SECONDS, environment={"torch_version": "2.12"})
    last = store_speed(database, SECONDS, environment={"torch_version": "2.13"}, day=2)
    store_speed(database, SECONDS, environment={"torch_version": "2.13"}, day=1)
    found = ask(database, "torch_version")
    assert [(line.run.id, line.value) for line in found.lines] == [(first, "2.12"), (last, "2.13")]


def test_all_else_of_the_series_must_be_equal(database: Database) -> None:
    store_speed(database, SECONDS)
    store_speed(database, SECONDS, spec={"precision": "int8", "new_tokens": 16})
    assert ask(database, "precision").notes == ["no two runs that match differ in precision alone"]
    assert ask(database, "precision", baseline="int8").lines == ()


def test_machines_bring_their_device_with_them(database: Database) -> None:
    store_speed(database, SECONDS)
    store_speed(database, SECONDS, machine="machine-b", resolved={"device": "cuda", "device_name": "GPU"}, day=1)
    assert [line.value for line in ask(database, "machine").lines] == ["machine-a", "machine-b"]
    store_speed(database, SECONDS, machine="machine-b", day=2)
    (note,) = ask(database, "machine").notes
    assert note == "Measured on several devices, the last is shown (--device chooses): machine-b."
    assert [line.value for line in ask(database, "device").lines] == ["cpu", "cuda"]


def test_the_last_clean_run_counts(database: Database) -> None:
    store_speed(database, SECONDS)
    last = store_speed(database, SECONDS, day=1)
    disturbed = store_speed(database, SECONDS, day=2, contamination=("The machine was busy",))
    other = store_speed(database, SECONDS, spec={"precision": "int8"})
    assert [line.run.id for line in ask(database, "precision").lines] == [last, other]
    store_speed(database, SECONDS, spec={"precision": "int8"}, day=2, contamination=("The machine was busy",))
    assert ask(database, "precision", "contaminated=true").lines[0].run.id == disturbed


def test_one_value_is_said_by_name(database: Database) -> None:
    store_speed(database, SECONDS)
    alone = ["every run that matches has the precision float32; there is nothing to compare it with"]
    assert ask(database, "precision").notes == alone
    assert ask(database, "strategy").notes == ["no run that matches has a strategy"]


def test_series_with_one_value_are_counted(database: Database) -> None:
    store_precisions(database)
    store_speed(database, SECONDS, spec={"new_tokens": 16})
    assert ask(database, "precision").notes == ["Left out: 1 series with one precision only."]


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("precison", "there is no column 'precison'; did you mean 'precision'?"),
        ("workload", "workload: what different workloads measure can't be compared"),
        ("accuracy", "accuracy is nothing that was set"),
        ("labels", "name one of the labels: labels.NAME"),
    ],
)
def test_a_column_that_nothing_can_be_compared_by(database: Database, column: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        ask(database, column)
    assert said in str(caught.value)


def test_two_batches_are_compared_in_their_common_series(database: Database) -> None:
    store_speed(database, SECONDS, environment={"torch_version": "2.12"})
    store_speed(database, [each * 1.5 for each in SECONDS], day=1)
    found = ask_two(database, "1", "batch:2")
    assert values(found) == [("speed", "batch 1", "batch 1"), ("speed", "batch 1", "batch 2")]
    assert found.lines[1].changes["latency_seconds"].change == pytest.approx(1.5)
    assert found.differences == [("torch_version", "2.12", "2.13")]
    store_speed(database, SECONDS, spec={"new_tokens": 16}, day=1)
    assert ask_two(database, "1", "3").notes == [
        "batch 1 and batch 3 have no series in common: new_tokens is 8 in one and 16 in the other"
    ]
    assert ask_two(database, "1", "9").notes == ["there is no clean run of batch 9 that matches"]


def test_two_runs_are_compared_whatever_they_differ_in(database: Database) -> None:
    store_precisions(database)
    found = ask_two(database, "run:1", "run:2")
    assert [(each.column, each.baseline, each.other) for each in found.differences] == [
        ("precision", "float32", "int8"),
        ("quantiser", "-", "benchbeat int8 g64 v1"),
    ]
    assert ask_two(database, "run:1", "run:3").notes == [
        "run 1 and run 3 measured different workloads, whose figures have no common unit"
    ]
    assert ask_two(database, "run:1", "run:99").notes == ["there is no run 99 that matches"]


@pytest.mark.parametrize("count", [2, 4])
def test_a_few_readings_give_a_ratio_without_an_interval(database: Database, count: int) -> None:
    store_speed(database, SECONDS[:count])
    store_speed(database, SECONDS[:count], spec={"precision": "int8"})
    change = ask(database, "precision").lines[1].changes["latency_seconds"]
    assert (change.change, change.low, change.smallest) == (1.0, None, None)


def test_clips_are_paired_call_by_call(database: Database) -> None:
    store_quality(database, [1.0] * 6)
    store_quality(database, [1.0] * 6, spec={"precision": "int8"})
    before, after = (
        replace(
            line.run, columns={**line.run.columns, "task": "speech", "latency_seconds": 2.0, "real_time_factor": 0.1}
        )
        for line in ask(database, "precision").lines
    )
    after = replace(after, columns={**after.columns, "latency_seconds": 3.0, "real_time_factor": 0.15})
    clips = [1.0, 2.0, 4.0, 1.0, 2.0, 4.0]
    timed = {before.id: {"latency_seconds": clips}, after.id: {"latency_seconds": [each * 1.5 for each in clips]}}
    with database.read() as connection:
        spreads = read_spreads(connection, [(before, "A"), (after, "B")])
    found = changes_of(before, after, timed, {}, spreads)
    # Nothing differs between the pairs, so the least is assumed.
    expected = ratio_of_runs([0.0], [log(1.5)], assumed_spread(0.0), 0.0)
    assert expected is not None
    for metric in ("latency_seconds", "real_time_factor"):
        assert (found[metric].low, found[metric].high, found[metric].n) == pytest.approx(
            (expected.low, expected.high, 6)
        )
    # Other batches are other calls.
    bigger = replace(after, columns={**after.columns, "batch_size": 4})
    assert changes_of(before, bigger, timed, {}, spreads)["latency_seconds"].low is None


def test_tasks_of_lm_eval_have_the_interval_of_their_errors(database: Database) -> None:
    store_quality(database, [1.0] * 6)
    store_quality(database, [1.0] * 6, spec={"precision": "int8"})
    before, after = (
        replace(line.run, columns={**line.run.columns, "accuracy": figure, "accuracy_stderr": 0.03})
        for line, figure in zip(ask(database, "precision").lines, (0.6, 0.5), strict=True)
    )
    with database.read() as connection:
        change = changes_of(before, after, {}, {}, read_spreads(connection, []))["accuracy"]
    assert (change.low, change.high) == pytest.approx((-0.18316, -0.01684), abs=1e-5)
    assert change.method == "normal"


def test_one_reading_a_run_is_enough_where_there_is_a_history(database: Database) -> None:
    ids = [store_speed(database, [middle], day=day) for day, middle in enumerate((0.5, 0.51, 0.49, 0.5, 0.9))]
    change = ask_two(database, f"run:{ids[3]}", f"run:{ids[4]}").lines[1].changes["latency_seconds"]
    assert (change.basis, change.n) == ("history", None)
    assert change.p_value is not None
    assert change.p_value < 0.01


def test_a_run_without_samples_or_figures_is_compared_in_what_it_has(database: Database) -> None:
    nothing = {"latency_seconds": None, "ttft_seconds": None, "decode_tokens_per_second": None}
    ids = [store_speed(database, [], figures=nothing), store_speed(database, SECONDS, day=1)]
    changes = ask_two(database, f"run:{ids[0]}", f"run:{ids[1]}").lines[1].changes
    assert set(changes) == {"weights_bytes", "peak_process_memory_bytes"}


def test_a_batch_that_goes_on_is_told(database: Database) -> None:
    store_speed(database, SECONDS)
    store_speed(database, SECONDS, day=1)
    add_jobs(database, name="evening")
    assert ask_two(database, "1", "evening") == Comparison(
        "side",
        (),
        ["there is no clean run of batch 3 that matches: 1 of its jobs is still to be measured"],
        heads=["evening is batch 3"],
    )


def test_what_else_differs_is_told_of_a_column_too(database: Database) -> None:
    store_speed(database, SECONDS, environment={"torch_version": "2.12"})
    store_speed(database, SECONDS, spec={"precision": "int8"}, resolved={"quantiser": "q"})
    assert ask(database, "precision").differences == [("torch_version", "2.12", "2.13")]


def test_calls_of_other_lengths_are_compared_by_their_rates_only(database: Database) -> None:
    short, long = store_speed(database, SECONDS), store_speed(database, [4.0] * 6, spec={"new_tokens": 64})
    changes = ask_two(database, f"run:{short}", f"run:{long}").lines[1].changes
    assert changes["latency_seconds"].low is None
    assert changes["decode_tokens_per_second"].low is not None


def test_a_side_of_disturbed_runs_is_told(database: Database) -> None:
    store_speed(database, SECONDS)
    store_speed(database, SECONDS, day=1, contamination=("busy",))
    (note,) = ask_two(database, "2023-11-14", "2023-11-15").notes
    assert note == (
        "there is no clean run of 2023-11-15 that matches; "
        "what it measured was disturbed (run:2 compares a run all the same)"
    )
    with database.read() as connection:
        query = Query((Condition("contaminated", "=", "true"),))
        assert compare_two(connection, query, *read_sides(connection, "1", "2")).notes == [
            "there is no clean run of batch 1 that matches"
        ]
