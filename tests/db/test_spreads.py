"""How far runs lie apart, as the history knows it, on both databases."""

from math import log

import pytest

from bench.replicates import Spread, prior_of, spread_within
from db.compared_runs import ChosenRun, chosen_runs
from db.conditions import Condition
from db.engine import Database
from db.history import Query
from db.spreads import Spreads, read_spreads
from tests.db.compared import store_speed

LATENCY = "latency_seconds"


def seconds(middle: float) -> list[float]:
    """Return readings with such a median."""
    return [middle * each for each in (0.98, 0.99, 1.0, 1.0, 1.01, 1.02)]


def read(database: Database, *run_ids: int) -> tuple[Spreads, list[ChosenRun]]:
    """Return the spreads for runs, and the runs."""
    with database.read() as connection:
        runs = [
            run
            for run_id in run_ids
            for run in chosen_runs(connection, Query((Condition("run_id", "=", str(run_id)),)), None)
        ]
        return read_spreads(connection, list(zip(runs, "AB", strict=True))), runs


def logs(*middles: float) -> list[float]:
    """Return the logarithms of medians."""
    return [log(each) for each in middles]


def test_two_runs_alone_have_no_spread(database: Database) -> None:
    first, second = store_speed(database, seconds(0.5)), store_speed(database, seconds(0.6), day=1)
    spreads, runs = read(database, first, second)
    assert spreads.own(LATENCY, *runs) is None
    assert spreads.near(LATENCY, *runs) is None
    assert spreads.logs(LATENCY, runs[1]) == pytest.approx(logs(0.6))
    assert spreads.figure(LATENCY, runs[1]) == pytest.approx(0.6)


def test_the_spread_is_that_of_the_earlier_runs(database: Database) -> None:
    earlier = (0.5, 0.51, 0.49)
    for day, middle in enumerate(earlier):
        store_speed(database, seconds(middle), day=day)
    first, second = (store_speed(database, seconds(middle), day=3 + n) for n, middle in enumerate((0.5, 0.9)))
    spreads, runs = read(database, first, second)
    # The two that are compared lie apart for whatever reason, and tell nothing about it.
    assert spreads.own(LATENCY, *runs) == pytest.approx(spread_within([logs(*earlier)]))
    assert spreads.own(LATENCY, *reversed(runs)) == pytest.approx(spread_within([logs(*earlier)]))


def test_before_between_and_after_are_kept_apart(database: Database) -> None:
    middles = (0.5, 0.51, 0.52, 0.7, 0.72, 0.71, 0.9, 0.91)
    ids = [store_speed(database, seconds(middle), day=day) for day, middle in enumerate(middles)]
    spreads, runs = read(database, ids[2], ids[5])
    expected = spread_within([logs(0.5, 0.51), logs(0.7, 0.72), logs(0.9, 0.91)])
    assert spreads.own(LATENCY, *runs) == pytest.approx(expected)


def test_versions_are_kept_apart(database: Database) -> None:
    for day, (middle, version) in enumerate(((0.5, "2.12"), (0.51, "2.12"), (0.7, "2.13"), (0.72, "2.13"))):
        store_speed(database, seconds(middle), day=day, environment={"torch_version": version})
    first, second = (store_speed(database, seconds(0.5), day=9 + n) for n in range(2))
    spreads, runs = read(database, first, second)
    assert spreads.own(LATENCY, *runs) == pytest.approx(spread_within([logs(0.5, 0.51), logs(0.7, 0.72)]))


def test_both_series_count_where_two_are_compared(database: Database) -> None:
    for day, middle in enumerate((0.5, 0.51)):
        store_speed(database, seconds(middle), day=day)
        store_speed(database, seconds(middle * 2.1), day=day, spec={"precision": "int8"})
    first = store_speed(database, seconds(0.5), day=3)
    second = store_speed(database, seconds(1.0), day=3, spec={"precision": "int8"})
    spreads, runs = read(database, first, second)
    own = spreads.own(LATENCY, *runs)
    assert own is not None
    assert own.freedom == 2


def test_disturbed_runs_tell_nothing_but_may_be_compared(database: Database) -> None:
    store_speed(database, seconds(0.5))
    store_speed(database, seconds(5.0), day=1, contamination=("busy",))
    first = store_speed(database, seconds(0.5), day=2)
    second = store_speed(database, seconds(0.8), day=3, contamination=("busy",))
    spreads, runs = read(database, first, second)
    assert spreads.own(LATENCY, *runs) is None
    assert spreads.logs(LATENCY, runs[1]) == pytest.approx(logs(0.8))


def steady(database: Database, *, step: float = 1.01, runs: int = 5, machine: str = "machine-a") -> list[Spread]:
    """Store some runs of three series, night after night, and return their spreads."""
    spreads = []
    for tokens in (16, 32, 64):
        middles = [tokens / 16 * step ** (day * tokens % 3) for day in range(runs)]
        for day, middle in enumerate(middles):
            store_speed(database, seconds(middle), day=day, machine=machine, spec={"new_tokens": tokens})
        spread = spread_within([logs(*middles)])
        assert spread is not None
        spreads.append(spread)
    return spreads


def test_three_other_series_of_the_machine_tell_something(database: Database) -> None:
    expected = prior_of(steady(database))
    first, second = (store_speed(database, seconds(0.5), day=8 + n) for n in range(2))
    spreads, runs = read(database, first, second)
    near = spreads.near(LATENCY, *runs)
    assert near is not None
    assert expected is not None
    assert near == pytest.approx(expected)
    # Of the other machine there is nothing.
    others, again = read(database, store_speed(database, seconds(0.5), machine="machine-b"), first)
    assert others.near(LATENCY, *again) is None


def test_a_few_runs_of_other_series_tell_nothing(database: Database) -> None:
    steady(database, runs=3)
    first, second = (store_speed(database, seconds(0.5), day=8 + n) for n in range(2))
    spreads, runs = read(database, first, second)
    assert spreads.near(LATENCY, *runs) is None


def test_what_changed_all_series_alike_is_in_no_spread(database: Database) -> None:
    expected = prior_of(steady(database))
    chosen = [
        (run, side)
        for side, slower, day in (("A", 1.0, 8), ("B", 1.5, 9))
        for tokens in (16, 32, 64, 128)
        for run in [store_speed(database, seconds(slower * tokens / 16), day=day, spec={"new_tokens": tokens})]
    ]
    with database.read() as connection:
        found = chosen_runs(connection, Query(since="2023-11-20"), "batch")
        runs = {run.id: run for run in found}
        spreads = read_spreads(connection, [(runs[run], side) for run, side in chosen])
    first, second = runs[chosen[3][0]], runs[chosen[7][0]]
    near = spreads.near(LATENCY, first, second)
    assert expected is not None
    assert near == pytest.approx(expected)


def test_of_two_machines_the_less_steady_one_counts(database: Database) -> None:
    steady(database)
    expected = prior_of(steady(database, step=1.2, machine="machine-b"))
    ids = [store_speed(database, seconds(1.0), day=9, machine=machine) for machine in ("machine-a", "machine-b")]
    spreads, runs = read(database, *ids)
    assert expected is not None
    assert spreads.near(LATENCY, *runs) == pytest.approx(expected)


def test_what_was_not_measured_is_left_out(database: Database) -> None:
    for day in range(3):
        store_speed(database, seconds(0.5 + 0.01 * day), day=day)
    first, second = (store_speed(database, seconds(0.5), day=3 + n) for n in range(2))
    spreads, runs = read(database, first, second)
    assert spreads.own("real_time_factor", *runs) is None
    assert spreads.logs("real_time_factor", runs[0]) == []
    assert spreads.figure("real_time_factor", runs[0]) is None
    assert set(spreads.figures(runs[0])) == {"decode_tokens_per_second", "ttft_seconds", LATENCY}
