"""Runs of the same jobs as they were read, and stored as a worker stores them."""

import json
from collections.abc import Iterable, Sequence
from math import log
from pathlib import Path
from typing import Any, NamedTuple

from bench.results import Sample
from bench.statistics import median, median_interval
from db.engine import Database
from db.runs import store_measurement
from tests.db.builders import ENVIRONMENT, RESOLVED, SPEED_SPEC, add_jobs, add_worker, claimed_by, measurement, new_job

MACHINE = "machine-a"


class Recorded(NamedTuple):
    """One run. Times in seconds."""

    job: str
    #: the process that measured it
    session: str
    #: its place in that process
    position: int
    started_at: float
    new_tokens: int
    latencies: tuple[float, ...]
    ttfts: tuple[float, ...]

    @property
    def rates(self) -> list[float]:
        """Tokens per second of decoding, of each reading that has them."""
        pairs = zip(self.latencies, self.ttfts, strict=True)
        return [(self.new_tokens - 1) / (latency - ttft) for latency, ttft in pairs if latency > ttft]

    @property
    def log_rate(self) -> float:
        """The logarithm of the median of the rates: what a run counts with."""
        return log(median(self.rates))


def read(file: Path) -> list[Recorded]:
    """Read what `collect` wrote."""
    runs = []
    for line in file.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        times = (tuple(each / 1e6 for each in row[name]) for name in ("latency", "ttft"))
        runs.append(Recorded(row["job"], row["session"], row["position"], row["at"], row["new_tokens"], *times))
    return runs


def pairs_of(runs: Iterable[Recorded]) -> list[tuple[Recorded, Recorded]]:
    """Return each run of a session with the run of the same job in the same place of the next session, none twice."""
    waiting: dict[tuple[str, int], Recorded] = {}
    pairs = []
    for run in runs:
        key = run.job, run.position
        if key in waiting:
            pairs.append((waiting.pop(key), run))
        else:
            waiting[key] = run
    return pairs


def store(database: Database, run: Recorded) -> int:
    """Store a run as the only one of a new batch; return its id."""
    name, threads = run.job.split(", ")
    spec = SPEED_SPEC.model_copy(update={"new_tokens": run.new_tokens, "prompt_tokens": 16})
    (job_id,) = add_jobs(database, [new_job(spec)], name=name)
    job = claimed_by(database, add_worker(database, f"worker-{job_id}", machine_id=MACHINE))
    low, high = median_interval(run.latencies) or (None, None)
    figures: dict[str, Any] = {
        "iterations": len(run.latencies),
        "latency_seconds": median(run.latencies),
        "latency_low_seconds": low,
        "latency_high_seconds": high,
        "ttft_seconds": median(run.ttfts),
        "decode_tokens_per_second": median(run.rates),
    }
    measured = measurement(
        figures,
        resolved=RESOLVED.model_copy(update={"strategy_hash": None, "temperature": None}),
        environment=ENVIRONMENT.model_copy(update={"threads": 1 if threads == "1 threads" else 2}),
        samples=_samples(run),
        answers=(),
        session=run.session,
        session_position=run.position,
        started_at=run.started_at,
        finished_at=run.started_at + 2 * sum(run.latencies),
    )
    run_id = store_measurement(database, job.id, job.attempt, MACHINE, measured)
    assert run_id is not None
    return run_id


def _samples(run: Recorded) -> Sequence[Sample]:
    return tuple(
        Sample(
            iteration=number,
            batch_size=1,
            prompt_tokens=16,
            new_tokens=run.new_tokens,
            latency_seconds=latency,
            ttft_seconds=ttft,
            decode_tokens_per_second=(run.new_tokens - 1) / (latency - ttft) if latency > ttft else None,
        )
        for number, (latency, ttft) in enumerate(zip(run.latencies, run.ttfts, strict=True))
    )
