"""How a change of a level is told."""

from dataclasses import replace
from datetime import UTC, datetime

from bench.level_changes import LevelChange, told

SLOWER = LevelChange(
    change_id=1,
    series="0" * 16,
    state="confirmed",
    kind="step",
    model="tiny",
    workload="speed",
    precision="float32",
    prompt_tokens=64,
    new_tokens=32,
    batch_size=4,
    device="mps",
    machine="mini",
    before_seconds=1.0,
    after_seconds=1.1,
    ratio=1.1,
    low=1.08,
    high=1.12,
    changed_at=datetime(2026, 5, 1, 3, 0, tzinfo=UTC),
    last_run_id=7,
    first_run_id=8,
    extra_runs=2,
)


def test_what_changed_is_told_with_its_shape() -> None:
    assert told(SLOWER)[1] == "tiny speed 64+32 x 4 float32, mps of mini"


def test_what_no_model_generated_has_no_shape_and_no_precision() -> None:
    cost = replace(SLOWER, model="benchbeat", workload="claim-sqlite", precision="-", prompt_tokens=0, new_tokens=0)
    assert told(replace(cost, batch_size=1))[1] == "benchbeat claim-sqlite, mps of mini"
