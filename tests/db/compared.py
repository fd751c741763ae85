"""Runs for comparisons, a model at several precisions, its speed and its answers, and the comparing itself."""

from collections.abc import Sequence
from typing import Any

from bench.spec import JobSpec
from db.compare import Comparison, compare_by, compare_two
from db.conditions import Condition
from db.engine import Database
from db.history import Query
from db.runs import store_measurement
from db.sides import read_sides
from tests.db.builders import (
    ENVIRONMENT,
    QUALITY_SPEC,
    RESOLVED,
    SPEED_SPEC,
    add_jobs,
    add_worker,
    answer,
    claimed_by,
    measurement,
    new_job,
    runs,
    sample,
)

#: latencies of a run's calls, in seconds
SECONDS = [0.5, 0.51, 0.49, 0.5, 0.52, 0.5]

#: bytes of a weight, about
_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1, "int4": 0.5}


def store_speed(
    database: Database, seconds: Sequence[float], *, day: int = 0, spec: dict[str, Any] | None = None, **changes: Any
) -> int:
    """Store a speed run with a call of each latency; a tenth of it is the first token. `figures` change its own."""
    timed = SPEED_SPEC.model_copy(update=spec or {})
    samples = tuple(
        sample(n, latency_seconds=each, ttft_seconds=each / 10, decode_tokens_per_second=7 / (0.9 * each))
        for n, each in enumerate(seconds)
    )
    middle = sorted(seconds)[len(seconds) // 2] if seconds else 1.0
    figures = {
        "latency_seconds": middle,
        "ttft_seconds": middle / 10,
        "decode_tokens_per_second": 7 / (0.9 * middle),
        "weights_bytes": int(100_000_000 * _BYTES[timed.precision]),
        "peak_process_memory_bytes": 2**30,
    } | changes.pop("figures", {})
    return _store(database, timed, day, figures, samples=samples, answers=(), **changes)


def store_quality(
    database: Database, scores: Sequence[float], *, day: int = 0, spec: dict[str, Any] | None = None, **changes: Any
) -> int:
    """Store a quality run with a score by item."""
    asked = QUALITY_SPEC.model_copy(update=spec or {})
    answers = tuple(answer(f"item-{n}", score=score) for n, score in enumerate(scores))
    figures = {
        "items": len(scores),
        "accuracy": sum(scores) / len(scores),
        "decode_tokens_per_second": 30.0,
        "weights_bytes": int(100_000_000 * _BYTES[asked.precision]),
    }
    return _store(database, asked, day, figures, answers=answers, **changes)


def store_precisions(database: Database) -> None:
    """Store a float32 and an int8 run of speed, the second half as fast, and of 40 items, 12 of them lost."""
    quantised = {"quantiser": "benchbeat int8 g64 v1"}
    store_speed(database, SECONDS)
    store_speed(database, [1.0, 1.02, 0.98, 1.0, 1.01, 1.0], spec={"precision": "int8"}, resolved=quantised)
    store_quality(database, [1.0] * 30 + [0.0] * 10)
    store_quality(database, [1.0] * 18 + [0.0] * 22, spec={"precision": "int8"}, resolved=quantised)


def ask(database: Database, by: str, *conditions: str, baseline: str | None = None, **parts: Any) -> Comparison:
    """Compare the runs that match by a column."""
    with database.read() as connection:
        return compare_by(connection, Query(tuple(map(Condition.parse, conditions)), **parts), by, baseline)


def ask_two(database: Database, first: str, second: str) -> Comparison:
    """Compare two batches or runs."""
    with database.read() as connection:
        return compare_two(connection, Query(), *read_sides(connection, first, second))


def values(comparison: Comparison) -> list[tuple[str, Any, Any]]:
    """Return workload, baseline's value and value of each line."""
    return [(line.run.columns["workload"], line.baseline_value, line.value) for line in comparison.lines]


def nights(database: Database, middles: Sequence[float], *, first_day: int = 0, **changes: Any) -> list[int]:
    """Store a run of each median, night after night."""
    return [
        store_speed(database, [middle * each for each in (0.98, 0.99, 1.0, 1.0, 1.01, 1.02)], day=day, **changes)
        for day, middle in enumerate(middles, start=first_day)
    ]


def _store(database: Database, spec: JobSpec, day: int, figures: dict[str, Any], **changes: Any) -> int:
    add_jobs(database, [new_job(spec)])
    machine = changes.pop("machine", "machine-a")
    job = claimed_by(database, add_worker(database, f"worker-{len(runs(database))}", machine_id=machine))
    started_at = 1_700_000_000.0 + 86_400 * day
    resolved = RESOLVED.model_copy(
        update=({"strategy_hash": None, "temperature": None} if spec.is_speed else {"strategy_hash": spec.strategy})
        | changes.pop("resolved", {})
    )
    environment = ENVIRONMENT.model_copy(update=changes.pop("environment", {}))
    measured = measurement(
        figures,
        **({"resolved": resolved, "environment": environment, "started_at": started_at} | changes),
        finished_at=started_at + 20,
    )
    run_id = store_measurement(database, job.id, job.attempt, machine, measured)
    assert run_id is not None
    return run_id
