"""The query behind `benchbeat history`."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from bench.errors import InputError
from db.columns import KINDS
from db.conditions import Condition
from db.engine import Database
from db.history import COLUMNS, GROUP_FIGURES, METRICS, Query, Rows, history
from db.runs import store_measurement
from tests.db.builders import (
    QUALITY_SPEC,
    RESOLVED,
    SPEED_SPEC,
    add_jobs,
    add_worker,
    claimed_by,
    measurement,
    new_job,
)


def ask(database: Database, *conditions: str, **parts: Any) -> Rows:
    """Return the history that matches."""
    with database.read() as connection:
        return history(connection, Query(tuple(map(Condition.parse, conditions)), **parts))


def run_ids(database: Database, *conditions: str, **parts: Any) -> list[int]:
    """Return the runs that match, in order."""
    return [row[0] for row in ask(database, *conditions, columns=("run_id",), **parts).rows]


def named(rows: Rows) -> list[dict[str, Any]]:
    """Return the rows with their columns' names."""
    return [dict(zip(rows.columns, row, strict=True)) for row in rows.rows]


def store(database: Database, spec: Any = QUALITY_SPEC, *, labels: Any = None, **changes: Any) -> int:
    """Store a run of a batch of its own; returns its id."""
    count = len(ask(database).rows)
    machine = changes.pop("machine", "machine-a")
    add_jobs(database, [new_job(spec)], labels=labels or {})
    job = claimed_by(database, add_worker(database, f"worker-{count}", machine_id=machine))
    figures = changes.pop("figures", {"accuracy": 0.5})
    run_id = store_measurement(database, job.id, job.attempt, machine, measurement(figures, **changes))
    assert run_id is not None
    return run_id


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Read typed times in UTC."""
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def three(database: Database) -> list[int]:
    """Give the ids of three runs: two of `facts`, in a batch each, and one of `speed` on another machine."""
    other = QUALITY_SPEC.model_copy(update={"model": "other", "precision": "float16", "strategy": "few_shot"})
    return [
        store(database, labels={"who": "lab", "2nd": "x", "host.rack": "7"}),
        store(database, other, figures={"accuracy": 0.75, "items": 8}, started_at=1_700_086_400.0),
        store(
            database,
            SPEED_SPEC,
            machine="machine-b",
            figures={"ttft_seconds": 0.2},
            started_at=1_700_172_800.0,
            contamination=("The battery was low",),
            resolved=RESOLVED.model_copy(update={"temperature": None}),
            labels={"who": "desk"},
        ),
    ]


def test_an_empty_history_has_columns_and_no_rows(database: Database) -> None:
    assert ask(database) == Rows(list(COLUMNS), [])
    assert ask(database, group_by=("model",)).rows == []
    assert ask(database, best_by="accuracy").rows == []


def test_runs_are_told_oldest_first(database: Database, three: list[int]) -> None:
    rows = ask(database)
    assert rows.columns == list(COLUMNS)
    assert [row[0] for row in rows.rows] == three
    first = named(rows)[0]
    assert (first["model"], first["workload"], first["accuracy"]) == ("tiny", "facts", 0.5)
    assert first["started_at"] == "2023-11-14 22:13:20.000"


def test_a_limit_keeps_the_newest(database: Database, three: list[int]) -> None:
    assert run_ids(database, limit=2) == three[1:]
    assert run_ids(database, limit=0) == []
    assert run_ids(database, limit=100) == three
    assert run_ids(database, "model=tiny", limit=1) == [three[2]]


@pytest.mark.parametrize(
    ("conditions", "places"),
    [
        (["batch=2"], [1]),
        (["model=tiny"], [0, 2]),
        (["model=tiny", "model=other"], [0, 1, 2]),
        (["model!=tiny"], [1]),
        (["model~IN"], [0, 2]),
        (["model~i%y"], []),
        (["workload=speed"], [2]),
        (["strategy=few_shot"], [1]),
        (["strategy!=few_shot"], [0]),
        (["strategy="], [2]),
        (["strategy!="], [0, 1]),
        (["machine=machine-b"], [2]),
        (["device=cpu"], [0, 1, 2]),
        (["precision=float16"], [1]),
        (["accuracy>=0.5"], [0, 1]),
        (["accuracy>0.5"], [1]),
        (["accuracy<0.75", "model=tiny"], [0]),
        (["prompt_tokens>=32"], [2]),
        (["temperature=0"], [0, 1]),
        (["contaminated=true"], [2]),
        (["contaminated=no"], [0, 1]),
        (["compile!=true"], [0, 1, 2]),
        (["started_at<2023-11-15 12:00"], [0]),
        (["started_at>2023-11-15 12:00"], [1, 2]),
        (["labels.who=lab"], [0]),
        (["labels.who!=lab"], [2]),
        (["labels.who="], [1]),
        (["labels.2nd=x"], [0]),
        (["labels.host.rack=7"], [0]),
        (["labels.who~DES"], [2]),
        (["model=tiny", "workload=facts"], [0]),
        (["series=nobody's"], []),
        (["model='; DROP TABLE run; --"], []),
        (["model~'%:x"], []),
    ],
)
def test_conditions_choose_runs(database: Database, three: list[int], conditions: list[str], places: list[int]) -> None:
    assert run_ids(database, *conditions) == [three[place] for place in places]


def test_every_column_can_be_asked_for_compared_and_sorted_by(database: Database, three: list[int]) -> None:
    values = {"integer": "0", "number": "0", "boolean": "true", "time": "2000-01-01", "text": "x"}
    for name, kind in KINDS["history"].items():
        assert ask(database, columns=(name,), sort=(name,)).columns == [name]
        for operator in ("=", "!=") if kind == "boolean" else ("=", "!=", "<", ">", "<=", ">="):
            if kind != "json":
                assert run_ids(database, f"{name}{operator}{values[kind]}") is not None


@pytest.mark.parametrize(
    ("times", "places"),
    [
        ({"since": "2023-11-15"}, [1, 2]),
        ({"until": "2023-11-15"}, [0, 1]),
        ({"since": "2023-11-15", "until": "2023-11-15"}, [1]),
        ({"since": "7d"}, []),
        ({"until": "7d"}, [0, 1, 2]),
        ({"since": "999999w"}, [0, 1, 2]),
        ({"since": "9998-12-31"}, []),
    ],
)
def test_a_time_is_bounded_and_its_ends_are_within(
    database: Database, three: list[int], times: dict[str, str], places: list[int]
) -> None:
    assert run_ids(database, **times) == [three[place] for place in places]


def test_labels_are_filtered_and_shown(database: Database, three: list[int]) -> None:
    assert run_ids(database, labels={"who": "lab"}) == three[:1]
    assert run_ids(database, labels={"who": "lab", "2nd": "y"}) == []
    rows = ask(database, columns=("labels.who", "labels", "contaminated"))
    assert rows.columns == ["labels.who", "labels", "contaminated"]
    assert [row[0] for row in rows.rows] == ["lab", None, "desk"]
    assert rows.rows[0][1] == '{"2nd": "x", "host.rack": "7", "who": "lab"}'
    assert [row[2] for row in rows.rows] == [False, False, True]


def test_sorting_puts_what_is_not_there_last(database: Database, three: list[int]) -> None:
    assert run_ids(database, sort=("accuracy",)) == three
    assert run_ids(database, sort=("-accuracy",)) == [three[1], three[0], three[2]]
    assert run_ids(database, sort=("-model", "accuracy")) == [three[0], three[2], three[1]]
    assert run_ids(database, sort=("-accuracy",), limit=1) == [three[1]]
    assert run_ids(database, sort=("-labels.who",)) == [three[0], three[2], three[1]]


def test_groups_have_a_count_and_medians(database: Database, three: list[int]) -> None:
    for accuracy in (0.6, 1.0):
        store(database, figures={"accuracy": accuracy})
    rows = ask(database, group_by=("model", "strategy"))
    assert rows.columns == ["model", "strategy", "n", *GROUP_FIGURES]
    groups = named(rows)
    assert [(row["model"], row["strategy"], row["n"], row["accuracy"]) for row in groups] == [
        ("other", "few_shot", 1, 0.75),
        ("tiny", "direct", 3, 0.6),
    ]
    assert groups[0]["ttft_seconds"] is None
    chosen = ask(database, group_by=("workload",), columns=("accuracy", "items"), sort=("-n",), limit=1)
    assert chosen == Rows(["workload", "n", "accuracy", "items"], [("facts", 4, 0.675, 8.0)])


def test_disturbed_runs_are_in_a_group_only_where_they_are_asked_for(database: Database, three: list[int]) -> None:
    assert [row[:2] for row in ask(database, group_by=("workload",)).rows] == [("facts", 2)]
    both = ask(database, "contaminated!=", group_by=("labels.who",), columns=("ttft_seconds",))
    assert both.rows == [("desk", 1, 0.2), ("lab", 1, None), (None, 1, None)]


def test_the_best_run_of_each_model_and_workload(database: Database, three: list[int]) -> None:
    better = store(database, figures={"accuracy": 0.9, "accuracy_stderr": 0.05, "items": 40, "latency_seconds": 3})
    store(database, figures={"accuracy": 1.0}, contamination=("The machine was busy",))
    quick = store(database, figures={"accuracy": 0.1, "latency_seconds": 2, "items": 10})
    rows = named(ask(database, best_by="accuracy"))
    assert [(row["model"], row["accuracy"], row["accuracy_stderr"], row["n"], row["runs"]) for row in rows] == [
        ("other", 0.75, None, 8, 1),
        ("tiny", 0.9, 0.05, 40, 3),
    ]
    assert rows[1]["run_id"] == better
    (fastest,) = named(ask(database, best_by="latency_seconds", columns=("labels.who", "revision")))
    assert (fastest["run_id"], fastest["latency_seconds"], fastest["labels.who"]) == (quick, 2.0, None)
    assert named(ask(database, "model=tiny", best_by="accuracy", sort=("-accuracy",), limit=5))[0]["run_id"] == better


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_every_figure_has_its_best(database: Database, three: list[int], metric: str) -> None:
    assert metric in ask(database, best_by=metric, sort=(f"-{metric}",)).columns


def test_the_directions_of_figures() -> None:
    better_large = {name for name, is_higher in METRICS.items() if is_higher}
    assert {"accuracy", "quality", "decode_tokens_per_second", "completed"} <= better_large
    small = ("latency_seconds", "peak_process_memory_bytes", "word_error_rate", "tokens_per_correct_answer")
    assert not better_large & {*small, "energy_joules", "real_time_factor"}
    assert set(METRICS) <= set(KINDS["history"])


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"columns": ("modle",)}, "history has no column 'modle'; did you mean 'model'"),
        ({"sort": ("-acuracy",)}, "history has no column 'acuracy'; did you mean 'accuracy'"),
        ({"group_by": ("stratgy",)}, "did you mean 'strategy'"),
        ({"group_by": ("model",), "columns": ("device_name",)}, "device_name has no median"),
        ({"group_by": ("model",), "sort": ("run_id",)}, "--sort: there is no column 'run_id' to sort by"),
        ({"group_by": ("model",), "best_by": "accuracy"}, "can't be asked for at once"),
        ({"best_by": "temperature"}, "'temperature' is no figure that can be the best"),
        ({"best_by": "accurac"}, "did you mean 'accuracy'"),
        ({"since": "soon"}, "--since: 'soon' is no time"),
        ({"limit": -1}, "--limit: the limit is a number of rows, not -1"),
        ({"until": ""}, "--until: '' is no time"),
        ({"labels": {"it's": "x"}}, 'history has no column "labels.it\'s"'),
    ],
)
def test_what_can_t_be_asked_is_explained(database: Database, parts: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        ask(database, **parts)
    assert message in str(caught.value)


def test_a_series_can_be_followed(database: Database, three: list[int]) -> None:
    with database.read() as connection:
        series = connection.exec_driver_sql("SELECT series FROM history WHERE workload = 'speed'").scalar_one()
    assert run_ids(database, f"series={series}") == three[2:]


def test_columns_without_a_value_are_left_out() -> None:
    rows = Rows(["a", "b", "c", "d"], [(1, None, None, 0), (2, None, "x", None)])
    assert rows.without_empty() == Rows(["a", "c", "d"], [(1, None, 0), (2, "x", None)])
    assert Rows(["a"], []).without_empty() == Rows([], [])
