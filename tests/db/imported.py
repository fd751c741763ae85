"""Imports of the fixtures and of rows with fields changed, and runs of ours to stand beside them."""

from collections.abc import Iterable
from typing import Any

from bench.harness import lm_eval_workload
from bench.imports.records import Imported
from bench.results import Metric
from bench.spec import JobSpec
from bench.workloads import builtin_workloads, workload_hash
from db.engine import Database
from db.imports import Stored, store_imports
from db.runs import store_measurement
from tests.bench.imports.reading import bench_run, data, runs
from tests.db import builders
from tests.db.builders import RESOLVED, add_jobs, add_worker, claimed_by, measurement, new_job, sample

#: a model of ours, and what a row of llama-bench has that measured it
MODEL = "tiny"
OF_OURS = {"model_filename": f"{MODEL}.gguf", "model_type": "llama 1M all F32"}


def store(database: Database, found: Iterable[Imported], **options: Any) -> Stored:
    """Store imported runs as the file `out` with the key `k`, or with options changed."""
    with database.write() as connection:
        return store_imports(connection, found, **({"name": "out", "key": "k"} | options))


def store_file(database: Database, name: str, **options: Any) -> Stored:
    """Store a file of `tests/bench/imports/data`."""
    return store(database, runs(data(name)), **({"name": name, "key": name} | options))


def store_rows(database: Database, *rows: dict[str, Any], **options: Any) -> Stored:
    """Store rows of llama-bench, each with some fields of the fixture's changed, on machine-a."""
    found = [bench_run(**row) for row in rows]
    return store(database, found, **({"machine_id": "machine-a"} | options))


def store_ours(database: Database, *, prompt_tokens: int = 128, new_tokens: int = 64, **spec: Any) -> None:
    """Store a speed run of ours on machine-a: 0.25 s for the prompt, 1 s for all."""
    speed = builtin_workloads()["speed"]
    asked = JobSpec(model=MODEL, workload="speed", prompt_tokens=prompt_tokens, new_tokens=new_tokens, **spec)
    rates = {
        "ttft_seconds": 0.25,
        "latency_seconds": 1.0,
        "prefill_tokens_per_second": prompt_tokens / 0.25,
        "decode_tokens_per_second": (new_tokens - 1) / 0.75,
    }
    samples = tuple(sample(n, prompt_tokens=prompt_tokens, new_tokens=new_tokens, **rates) for n in range(6))
    digest = workload_hash(speed)
    add_jobs(database, [new_job(asked, workload_hash=digest)], workloads={digest: speed})
    _finish(database, rates, samples=samples)


def store_our_task(database: Database, task: str, accuracy: float, **spec: Any) -> None:
    """Store a run of ours of a task of lm-eval."""
    made = lm_eval_workload(f"lm_eval:{task}")
    digest = workload_hash(made)
    asked = JobSpec(model="tiny-qwen2", workload=made.name, **spec)
    add_jobs(database, [new_job(asked, workload_hash=digest, strategy_hash=None)], workloads={digest: made})
    figures = {"accuracy": accuracy, "accuracy_stderr": 0.1, "items": 7}
    _finish(database, figures, metrics=(Metric(task=task, name="acc", filter="none", value=accuracy),))


def _finish(database: Database, figures: dict[str, Any], **changes: Any) -> None:
    job = claimed_by(database, add_worker(database, f"worker-{len(builders.runs(database))}"))
    settings = {"strategy_hash": None, "temperature": None, "max_new_tokens": None}
    resolved = RESOLVED.model_copy(update=settings)
    changes = {"answers": (), "breakdowns": (), "metrics": (), "samples": (), "resolved": resolved} | changes
    assert store_measurement(database, job.id, job.attempt, "machine-a", measurement(figures, **changes)) is not None
