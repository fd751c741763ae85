"""A table of `make bench` as runs of ours."""

import json
from typing import Any

import pytest

from bench.errors import InputError
from bench.imports.records import Imported
from tests.bench.imports.reading import data, runs


def table(row: dict[str, Any] | None = None, **changes: Any) -> list[Imported]:
    """Return the runs of the fixture, with fields of the head and of its first row changed; `...` leaves one out."""
    found = json.loads(data("make-bench.json"))
    found["results"][0] |= row or {}
    found["results"][0] = {name: value for name, value in found["results"][0].items() if value is not ...}
    return runs(json.dumps({name: value for name, value in (found | changes).items() if value is not ...}))


def test_a_time_is_a_speed_run_of_no_tokens_with_its_readings() -> None:
    run = table()[0]
    assert (run.source, run.model, run.workload.name) == (
        "make-bench",
        "benchbeat",
        "claim-sqlite/claim-from-n-queued-jobs@10000",
    )
    assert run.workload.description == "claim from 10,000 queued jobs"
    assert run.is_speed
    assert (run.prompt_tokens, run.new_tokens, run.items) == (0, 0, 10_000)
    assert [each.latency_seconds for each in run.readings] == pytest.approx([0.0004] * 3 + [0.0005] * 2 + [0.0006])
    figures = run.figures
    assert (figures.iterations, figures.items) == (6, 10_000)
    assert figures.latency_seconds == pytest.approx(0.00045)
    assert figures.latency_low_seconds == pytest.approx(0.0004)
    assert figures.latency_high_seconds == pytest.approx(0.0006)
    assert run.finished_at - run.started_at == 540


def test_what_stands_beside_it_is_in_the_metrics() -> None:
    found = {each.name: (each.task, each.filter, each.value) for each in table()[0].metrics}
    assert found == {
        "figure": ("claim-sqlite", "ms", 0.45),
        "beside": ("claim-sqlite", "ms", 0.3),
        "beside_seconds": ("claim-sqlite", "s", pytest.approx(0.0003)),
        "ratio": ("claim-sqlite", "ratio", 1.5),
        "ratio_low": ("claim-sqlite", "ratio", 1.3333333333333335),
        "ratio_high": ("claim-sqlite", "ratio", 2.0),
        "goal_met": ("claim-sqlite", "count", 1.0),
    }


def test_sizes_differ_at_the_end_of_a_name_and_a_percentile_has_the_number_that_it_stands_on() -> None:
    small, large = table()[:2]
    assert [each.workload.name.rpartition("@")[2] for each in (small, large)] == ["10000", "100000"]
    assert small.workload.name.rpartition("@")[0] == large.workload.name.rpartition("@")[0]
    assert small.definition("machine-a") != large.definition("machine-a")
    assert (large.figures.iterations, large.figures.latency_low_seconds, len(large.readings)) == (700, None, 1)


def test_memory_and_counts_are_no_times() -> None:
    memory, count = table()[2:]
    assert memory.workload.name == "memory/workers-main-process-after-a-job"
    assert (memory.is_speed, memory.figures.peak_process_memory_bytes, memory.readings) == (False, 76_500_000, ())
    assert (count.is_speed, count.figures.peak_process_memory_bytes) == (False, None)
    assert [(each.name, each.filter, each.value) for each in count.metrics] == [("figure", "count", 0.0)]


def test_versions_explain_a_change_and_are_no_part_of_the_series() -> None:
    run = table()[0]
    assert run.environment.git_commit == "d779db3d779db3d779db3d779db3d779db3d779db"
    assert run.environment.libraries == {"sqlalchemy": "2.1.9", "celery": "5.7.0"}
    newer = table(git_commit="e" * 40, sqlalchemy="2.2.0")[0]
    assert newer.environment != run.environment
    assert newer.definition("machine-a") == run.definition("machine-a")


def test_a_quick_table_and_another_unit_are_other_series() -> None:
    run = table()[0]
    quick, seconds = table(quick=True)[0], table({"unit": "s"})[0]
    assert quick.workload.name == "claim-sqlite/claim-from-n-queued-jobs@quick@10000"
    assert run.definition("a") not in (quick.definition("a"), seconds.definition("a"))


def test_a_table_of_an_older_benchbeat_has_less_in_its_head() -> None:
    run = table({"size": ...}, finished_at=..., os_build=..., device_name=..., quick=..., benchbeat=...)[0]
    assert (run.environment.os_build, run.environment.benchbeat_version) == ("Linux x86_64", "-")
    assert (run.items, run.finished_at, run.machine_by_hardware()) == (None, run.started_at, "unknown")


@pytest.mark.parametrize(
    ("row", "head", "said"),
    [
        ({}, {"taken_at": "yesterday"}, "out:1: taken_at must be a time (it is 'yesterday')"),
        ({}, {"taken_at": "1960-01-01"}, "out:1: taken_at must be after 1970"),
        ({}, {"finished_at": "2026-11-26T09:00:00+00:00"}, "out:1: finished_at lies before taken_at"),
        ({}, {"processors": -1}, "out:1: processors must be at least 0"),
        ({}, {"results": {}}, "out:1: is no table of `make bench`: its results are no list of rows"),
        ({}, {"results": []}, "out: holds no results"),
        ({"row": ...}, {}, "out:1 (row 1): row and what must say what was measured"),
        ({"values": []}, {}, "out:1 (row 1): values must hold at least one reading"),
        ({"values": "fast"}, {}, "out:1 (row 1): values must be a list of numbers"),
        ({"values": [1, None]}, {}, "out:1 (row 1): values: reading 2 must be a number (it is None)"),
        ({"values": [1e300]}, {}, "out:1 (row 1): values: reading 1 must be a number"),
        ({"size": -3}, {}, "out:1 (row 1): size must be at least 0 (it is -3)"),
        ({"size": 1.5}, {}, "out:1 (row 1): size must be a whole number"),
        ({"ratio_interval": [1]}, {}, "out:1 (row 1): ratio_interval must be two numbers"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(row: dict[str, Any], head: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        table(row, **head)
    assert str(caught.value).startswith(said)
