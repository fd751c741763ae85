"""Runs for comparisons: a model at several precisions, its speed and its answers."""

from collections.abc import Sequence
from typing import Any

from bench.spec import JobSpec
from db.engine import Database
from db.runs import store_measurement
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
    store_speed(database, [0.5, 0.51, 0.49, 0.5, 0.52, 0.5])
    store_speed(database, [1.0, 1.02, 0.98, 1.0, 1.01, 1.0], spec={"precision": "int8"}, resolved=quantised)
    store_quality(database, [1.0] * 30 + [0.0] * 10)
    store_quality(database, [1.0] * 18 + [0.0] * 22, spec={"precision": "int8"}, resolved=quantised)


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
