"""What strategies gain over `direct`, from stored answers."""

from collections.abc import Sequence
from typing import Any

import pytest

from bench.errors import InputError
from bench.pairs import paired_difference
from bench.quality import quality
from bench.results import Answer
from db.conditions import Condition
from db.engine import Database
from db.gains import GAINED, Gain, gains
from db.history import Query
from db.runs import store_measurement
from tests.db.builders import QUALITY_SPEC, RESOLVED, add_jobs, add_worker, answer, claimed_by, measurement, new_job
from tests.db.test_views import ask as ask_sql


def ask(database: Database, *conditions: str, metric: str = "accuracy", **parts: Any) -> list[Gain]:
    """Return the gains of the runs that match."""
    with database.read() as connection:
        return gains(connection, Query(tuple(map(Condition.parse, conditions)), **parts), metric)


def store(
    database: Database, strategy: str, scores: Sequence[float], *, day: int = 0, resolved: Any = None, **changes: Any
) -> int:
    """Store a run with a score by item; its strategy's template is its name."""
    count = len(ask_sql(database, "SELECT run_id FROM history"))
    spec = QUALITY_SPEC.model_copy(update={"strategy": strategy} | changes.pop("spec", {}))
    add_jobs(database, [new_job(spec)])
    job = claimed_by(database, add_worker(database, f"worker-{count}"))
    settings = RESOLVED.model_copy(update={"strategy_hash": strategy} | (resolved or {}))
    started_at = 1_700_000_000.0 + 86_400 * day
    fields: dict[str, Any] = {
        "answers": tuple(answer(f"item-{n}", score=score) for n, score in enumerate(scores)),
        "resolved": settings,
        "started_at": started_at,
        "finished_at": started_at + 20,
    }
    run_id = store_measurement(database, job.id, job.attempt, "machine-a", measurement(None, **(fields | changes)))
    assert run_id is not None
    return run_id


def test_nothing_is_gained_where_nothing_was_measured(database: Database) -> None:
    assert ask(database) == []
    store(database, "few_shot", [1, 0])
    assert ask(database) == []


def test_a_strategy_is_paired_with_direct_item_by_item(database: Database) -> None:
    baseline = store(database, "direct", [1, 0, 0, 0, 1])
    run = store(database, "few_shot", [1, 1, 1, 0, 1])
    (gain,) = ask(database)
    expected = paired_difference(
        {f"item-{n}": score for n, score in enumerate([1, 0, 0, 0, 1])},
        {f"item-{n}": score for n, score in enumerate([1, 1, 1, 0, 1])},
    )
    assert (gain.items, gain.gain, gain.low, gain.high, gain.p_value, gain.method) == tuple(expected)
    assert (gain.model, gain.workload, gain.strategy, gain.metric) == ("tiny", "facts", "few_shot", "accuracy")
    assert [gain.baseline, gain.value] == pytest.approx([0.4, 0.8])
    assert (gain.baseline_run_id, gain.run_id) == (baseline, run)
    assert gain.p_value == pytest.approx(0.5)


def test_only_common_items_count(database: Database) -> None:
    store(database, "direct", [1, 0, 0])
    store(database, "few_shot", [0, 1, 1, 1, 1])
    (gain,) = ask(database)
    assert [gain.items, gain.baseline, gain.value] == pytest.approx([3, 1 / 3, 2 / 3])


def test_all_else_of_the_series_must_be_equal(database: Database) -> None:
    store(database, "direct", [1, 0])
    store(database, "few_shot", [1, 1], resolved={"temperature": 0.7})
    store(database, "role_play", [1, 1], spec={"precision": "float16"})
    store(database, "structured", [1, 1], spec={"seed": 3})
    assert ask(database) == []
    store(database, "direct", [0, 0], resolved={"temperature": 0.7})
    assert [(gain.strategy, gain.gain) for gain in ask(database)] == [("few_shot", 1.0)]


def test_the_last_run_of_each_counts_though_its_speed_was_disturbed(database: Database) -> None:
    store(database, "direct", [1, 1], day=0)
    store(database, "direct", [1, 1], day=2)
    last_direct = store(database, "direct", [0, 0], day=3, contamination=("The machine was busy",))
    store(database, "few_shot", [0, 0], day=0)
    last = store(database, "few_shot", [1, 1], day=1, resolved={"strategy_hash": "a new template"})
    (gain,) = ask(database)
    assert (gain.baseline_run_id, gain.run_id) == (last_direct, last)


def test_conditions_choose_the_runs_and_not_the_baseline_s_strategy(database: Database) -> None:
    first = store(database, "direct", [1, 0], day=0)
    second = store(database, "direct", [0, 0], day=5)
    store(database, "few_shot", [1, 1], day=1)
    store(database, "role_play", [1, 1], day=6)
    assert [gain.strategy for gain in ask(database, "strategy=few_shot")] == ["few_shot"]
    assert [gain.strategy for gain in ask(database, "model=other")] == []
    assert [gain.strategy for gain in ask(database)] == ["few_shot", "role_play"]
    assert len(ask(database, limit=1)) == 1
    # of the runs that match; where no baseline does, the last of all
    assert ask(database, "batch<=3", "strategy=few_shot")[0].baseline_run_id == second
    assert ask(database, until="2023-11-16")[0].baseline_run_id == first
    assert ask(database, "strategy=role_play", since="2023-11-20")[0].baseline_run_id == second


def test_several_samples_of_an_item_are_one_value(database: Database) -> None:
    spec = {"samples": 2}
    half = (answer("a", score=1.0), answer("a", score=0.0, sample=1), answer("b", score=0.0))
    store(database, "direct", [], spec=spec, answers=half)
    store(database, "few_shot", [], spec=spec, answers=(answer("a"), answer("a", sample=1), answer("b")))
    (gain,) = ask(database)
    assert (gain.items, gain.gain, gain.method) == (2, 0.75, "bootstrap")


def test_readability_is_that_of_the_answers_that_have_one(database: Database) -> None:
    def answers(*values: float | None) -> tuple[Answer, ...]:
        return tuple(answer(f"item-{n}", readability=value) for n, value in enumerate(values))

    store(database, "direct", [], answers=answers(40.0, 50.0, None))
    store(database, "few_shot", [], answers=answers(60.0, 60.0, 90.0))
    (gain,) = ask(database, metric="readability")
    assert (gain.items, gain.baseline, gain.value, gain.gain) == (2, 45.0, 60.0, 15.0)


def test_consistency_and_quality_follow_their_definitions(database: Database) -> None:
    def answers(*found: str) -> tuple[Answer, ...]:
        return tuple(
            answer("capital", f"It is {text}.", extracted="Paris" if text == "Paris" else None, sample=n,
                   score=float(text == "Paris"), finish="stop" if text == "Paris" else "length")
            for n, text in enumerate(found)
        )  # fmt: skip

    spec = {"samples": 2}
    store(database, "direct", [], spec=spec, answers=answers("Paris", "Rome"))
    store(database, "few_shot", [], spec=spec, answers=answers("Paris", "Paris"))
    (gain,) = ask(database, metric="consistency")
    assert (gain.items, gain.baseline, gain.value) == (1, 0.0, 1.0)
    (gain,) = ask(database, metric="quality")
    assert gain.baseline == pytest.approx(quality(accuracy=0.5, completed=0.5, consistency=0.0))
    assert gain.value == pytest.approx(quality(accuracy=1.0, completed=1.0, consistency=1.0))


def test_items_asked_once_have_no_consistency(database: Database) -> None:
    store(database, "direct", [1, 0])
    store(database, "few_shot", [1, 1])
    assert ask(database, metric="consistency") == []
    assert len(ask(database, metric="quality")) == 1


def test_another_metric_is_refused(database: Database) -> None:
    with pytest.raises(InputError, match=r"'acuracy' is nothing that a strategy gains; did you mean 'accuracy'"):
        ask(database, metric="acuracy")
    assert set(GAINED) == {"accuracy", "readability", "consistency", "quality"}
    with pytest.raises(InputError, match="--since: 'soon' is no time"):
        ask(database, since="soon")
