"""Comparisons of sides that hold several runs, night after night, on both databases."""

import pytest

from db.engine import Database
from db.prune import prune_samples
from tests.db.compared import SECONDS, ask, ask_two, nights, store_speed, values


def test_days_are_compared_by_all_their_clean_runs(database: Database) -> None:
    nights(database, (0.5, 0.51, 0.49, 0.5, 0.56, 0.55, 0.57))
    found = ask_two(database, "2023-11-14..2023-11-17", "2023-11-18..2023-11-20")
    assert values(found) == [
        ("speed", "2023-11-14..2023-11-17", "2023-11-14..2023-11-17"),
        ("speed", "2023-11-14..2023-11-17", "2023-11-18..2023-11-20"),
    ]
    change = found.lines[1].changes["latency_seconds"]
    means = [(0.5 * 0.51 * 0.49 * 0.5) ** (1 / 4), (0.56 * 0.55 * 0.57) ** (1 / 3)]
    assert (change.baseline, change.figure) == pytest.approx(means)
    assert change.change == pytest.approx(means[1] / means[0])
    assert (change.runs, change.basis) == ((4, 3), "history")
    assert found.lines[0].figures["latency_seconds"] == pytest.approx(means[0])


def test_more_runs_show_smaller_changes(database: Database) -> None:
    ids = nights(database, (0.5, 0.51, 0.49, 0.5, 0.53, 0.54, 0.52, 0.53))
    alone = ask_two(database, f"run:{ids[3]}", f"run:{ids[7]}").lines[1].changes["latency_seconds"]
    together = ask_two(database, "2023-11-14..2023-11-17", "2023-11-18..").lines[1].changes["latency_seconds"]
    assert alone.smallest is not None
    assert together.smallest is not None
    assert together.smallest < alone.smallest


def test_runs_with_other_versions_do_not_stand_for_a_side(database: Database) -> None:
    nights(database, (0.4, 0.41), environment={"torch_version": "2.12"})
    nights(database, (0.5, 0.51), first_day=2)
    nights(database, (0.6,), first_day=5)
    found = ask_two(database, "2023-11-14..2023-11-17", "2023-11-19")
    assert found.lines[1].changes["latency_seconds"].runs == (2, 1)
    assert found.differences == []


def test_history_makes_a_difference_of_what_would_be_none_without(database: Database) -> None:
    nights(database, (0.5, 0.501, 0.499, 0.5, 0.502, 0.5, 0.499, 0.501))
    ids = nights(database, (0.5, 0.6), first_day=8)
    change = ask_two(database, f"run:{ids[0]}", f"run:{ids[1]}").lines[1].changes["latency_seconds"]
    assert change.basis == "history"
    assert change.p_value is not None
    assert change.p_value < 0.01
    fresh = nights(database, (0.5, 0.6), first_day=8, spec={"new_tokens": 16})
    change = ask_two(database, f"run:{fresh[0]}", f"run:{fresh[1]}").lines[1].changes["latency_seconds"]
    assert change.basis == "assumed"
    assert change.p_value is not None
    assert change.p_value > 0.01


def test_pruned_runs_are_tested_by_what_is_left_of_them(database: Database) -> None:
    low, high = {"latency_low_seconds": 0.49, "latency_high_seconds": 0.52}, {"iterations": 6}
    ids = [store_speed(database, SECONDS, day=day, figures=low | high) for day in range(2)]
    whole = ask_two(database, f"run:{ids[0]}", f"run:{ids[1]}").lines[1].changes
    assert list(prune_samples(database, 0.0))
    pruned = ask_two(database, f"run:{ids[0]}", f"run:{ids[1]}").lines[1].changes
    assert pruned["latency_seconds"] == whole["latency_seconds"]
    assert pruned["decode_tokens_per_second"].low is not None
    assert (pruned["ttft_seconds"].change, pruned["ttft_seconds"].low) == (1.0, None)


def test_pruned_runs_with_a_history_lose_nothing(database: Database) -> None:
    ids = nights(database, (0.5, 0.51, 0.49, 0.5, 0.6))
    assert list(prune_samples(database, 0.0))
    change = ask_two(database, f"run:{ids[3]}", f"run:{ids[4]}").lines[1].changes["ttft_seconds"]
    assert (change.basis, change.n) == ("history", None)
    assert change.low is not None


def test_runs_that_never_differ_are_not_infinitely_well_known(database: Database) -> None:
    ids = [store_speed(database, [0.5] * 6, day=day) for day in range(4)]
    ids.append(store_speed(database, [0.501] * 6, day=4))
    same = ask_two(database, f"run:{ids[2]}", f"run:{ids[3]}").lines[1].changes["latency_seconds"]
    assert (same.change, same.p_value) == (1.0, 1.0)
    other = ask_two(database, f"run:{ids[3]}", f"run:{ids[4]}").lines[1].changes["latency_seconds"]
    assert other.p_value is not None
    assert other.p_value > 0.01


def test_a_clock_that_went_back_moves_a_run_but_breaks_nothing(database: Database) -> None:
    nights(database, (0.5, 0.51, 0.49))
    later = nights(database, (0.5,), first_day=9)
    # Measured afterwards, by a clock that was set back.
    earlier = nights(database, (0.52,), first_day=1)
    found = ask_two(database, f"run:{later[0]}", f"run:{earlier[0]}")
    assert found.lines[1].changes["latency_seconds"].basis == "history"
    assert found.lines[1].changes["latency_seconds"].change == pytest.approx(0.52 / 0.5)


def test_two_machines_with_one_name_are_told(database: Database) -> None:
    nights(database, (0.5, 0.51))
    nights(database, (0.3,), first_day=2, resolved={"device_name": "Another CPU"})
    found = ask_two(database, "2023-11-14..2023-11-15", "2023-11-16")
    assert found.differences == [("device_name", "Test CPU", "Another CPU")]
    assert found.notes == ["Two machines may share a name, as its device has two: machine-a."]
    # The other one's runs are not its own.
    assert found.lines[1].changes["latency_seconds"].runs == (2, 1)


def test_machines_are_compared_in_what_both_measured(database: Database) -> None:
    nights(database, (0.5, 0.51))
    nights(database, (0.25,), machine="machine-b", resolved={"device": "cuda", "device_name": "GPU"})
    nights(database, (0.25,), machine="machine-b", spec={"new_tokens": 16})
    found = ask_two(database, "machine:machine-a", "machine:machine-b")
    assert [line.run.columns["machine"] for line in found.lines] == ["machine-a", "machine-b"]
    assert ("device", "cpu", "cuda") in found.differences
    assert found.notes == ["Left out: 1 series of machine machine-b that machine machine-a has not."]


def test_a_run_is_on_one_side_only(database: Database) -> None:
    ids = nights(database, (0.5, 0.51))
    assert ask_two(database, "machine:machine-a", f"run:{ids[1]}").notes == [
        "machine machine-a and run 2 hold the same runs"
    ]
    store_speed(database, SECONDS, spec={"new_tokens": 16}, day=3)
    store_speed(database, SECONDS, spec={"new_tokens": 16}, day=4)
    found = ask_two(database, "2023-11-14", "machine:machine-a")
    assert found.lines == ()


def test_the_runs_of_a_value_stand_for_it_together(database: Database) -> None:
    nights(database, (0.5, 0.51, 0.49), environment={"torch_version": "2.12"})
    nights(database, (0.52, 0.53), first_day=3)
    change = ask(database, "torch_version").lines[1].changes["latency_seconds"]
    assert change.runs == (3, 2)
    assert change.figure == pytest.approx((0.52 * 0.53) ** 0.5)
