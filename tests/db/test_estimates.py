"""How long jobs will take, from the past."""

from typing import Any

import pytest

from bench.spec import JobSpec
from db.engine import Database
from db.estimates import Estimate, estimate
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


def ask(database: Database, *specs: JobSpec, **options: Any) -> Estimate:
    """Return the estimate for jobs."""
    with database.read() as connection:
        return estimate(connection, specs, **options)


def store(database: Database, spec: JobSpec, seconds: float, *, device: str = "cpu") -> None:
    """Store a run that took so long."""
    add_jobs(database, [new_job(spec)])
    job = claimed_by(database, add_worker(database, f"worker-{seconds}-{device}"))
    resolved = RESOLVED.model_copy(update={"device": device, "max_new_tokens": spec.max_new_tokens})
    figures = {} if spec.is_speed else {"items": spec.items}
    changes = {"started_at": 1_700_000_000.0, "finished_at": 1_700_000_000.0 + seconds, "resolved": resolved}
    assert store_measurement(database, job.id, job.attempt, "machine-a", measurement(figures, **changes)) is not None


def changed(spec: JobSpec, **fields: Any) -> JobSpec:
    """Return a specification with fields changed."""
    return spec.model_copy(update=fields)


def test_nothing_is_known_of_the_first_jobs(database: Database) -> None:
    assert ask(database, QUALITY_SPEC, SPEED_SPEC) == Estimate(0.0, 0, 2)
    assert ask(database) == Estimate(0.0, 0, 0)


def test_the_same_job_takes_the_median_of_its_runs(database: Database) -> None:
    for seconds in (10.0, 12.0, 90.0):
        store(database, QUALITY_SPEC, seconds)
    for seconds in (3.0, 5.0):
        store(database, SPEED_SPEC, seconds)
    assert ask(database, QUALITY_SPEC) == Estimate(12.0, 1, 0)
    found = ask(database, QUALITY_SPEC, SPEED_SPEC, changed(QUALITY_SPEC, model="another"))
    assert found == Estimate(16.0, 2, 1)


def test_more_answers_and_more_tokens_take_proportionally_longer(database: Database) -> None:
    store(database, QUALITY_SPEC, 10.0)
    store(database, SPEED_SPEC, 4.0)
    assert ask(database, changed(QUALITY_SPEC, items=1)).seconds == pytest.approx(5.0)
    assert ask(database, changed(QUALITY_SPEC, samples=3, temperature=0.5)).seconds == pytest.approx(30.0)
    assert ask(database, changed(SPEED_SPEC, new_tokens=16)).seconds == pytest.approx(8.0)


def test_the_nearest_kind_counts(database: Database) -> None:
    store(database, QUALITY_SPEC, 10.0)
    store(database, changed(QUALITY_SPEC, strategy="few_shot"), 30.0)
    store(database, changed(QUALITY_SPEC, precision="float16", max_new_tokens=64), 4.0)
    assert ask(database, changed(QUALITY_SPEC, strategy="few_shot", seed=7)).seconds == pytest.approx(30.0)
    assert ask(database, changed(QUALITY_SPEC, strategy="few_shot", batch_size=4)).seconds == pytest.approx(30.0)
    # a new strategy: both of its precision
    assert ask(database, changed(QUALITY_SPEC, strategy="structured")).seconds == pytest.approx(20.0)
    assert ask(database, changed(QUALITY_SPEC, precision="bfloat16", strategy="few_shot")).seconds == pytest.approx(
        10.0
    )
    # another workload of the model, by the answer
    other = changed(QUALITY_SPEC, workload="patterns", items=20)
    assert ask(database, other).seconds == pytest.approx(100.0)
    # nothing about speed can be told from answers
    assert ask(database, SPEED_SPEC) == Estimate(0.0, 0, 1)


def test_a_job_of_a_device_goes_by_that_device(database: Database) -> None:
    store(database, SPEED_SPEC, 8.0, device="cpu")
    store(database, SPEED_SPEC, 2.0, device="cuda")
    assert ask(database, changed(SPEED_SPEC, device="cuda")).seconds == pytest.approx(2.0)
    assert ask(database, changed(SPEED_SPEC, device="mps")) == Estimate(0.0, 0, 1)
    assert ask(database, SPEED_SPEC).seconds == pytest.approx(5.0)


def test_a_job_over_every_item_takes_the_workload_s_size(database: Database) -> None:
    store(database, QUALITY_SPEC, 10.0)
    whole = changed(QUALITY_SPEC, items=None)
    assert ask(database, whole).seconds == pytest.approx(10.0)  # the stored workload has two items
    assert ask(database, changed(QUALITY_SPEC, items=50)).seconds == pytest.approx(10.0)
    assert ask(database, whole, items={"facts": 6}).seconds == pytest.approx(30.0)
    unknown = changed(whole, workload="patterns")
    assert ask(database, unknown) == Estimate(0.0, 0, 1)
    assert ask(database, unknown, items={"patterns": 4}) == Estimate(20.0, 1, 0)
