"""Measuring the same jobs again and again, in one real session process after the other, and keeping the readings."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench.catalog import ModelEntry
from bench.results import Measurement
from bench.spec import JobSpec
from tests.worker.tiny import build, entry_of
from worker.facts import Probe
from worker.protocol import Finished, Order
from worker.service import probe_device
from worker.supervise import SessionProcess

#: on a machine at rest a call takes about a hundredth and a twentieth of a second
JOBS: dict[str, dict[str, Any]] = {
    "short": {"prompt_tokens": 16, "new_tokens": 4},
    "long": {"prompt_tokens": 16, "new_tokens": 16},
}
#: threads of one session after the other; None is torch's own choice, which a busy machine punishes
THREADS = (*["1"] * 19, None)
#: how often a session measures each job, in turn
ROUNDS = 2
_JOB_SECONDS = 600.0


def collect(file: Path, folder: Path, sessions: int) -> Iterator[int]:
    """Append a line of JSON for each run of so many sessions to a file, and yield each session's number at its end."""
    home = folder / "home"
    (home / "locks").mkdir(parents=True, exist_ok=True)
    model = entry_of("text", f"file:{build(home / 'model')}")
    probe = probe_device("cpu")
    with file.open("a", encoding="utf-8") as lines:
        for number in range(sessions):
            for run in _measured(model, probe, home, THREADS[number % len(THREADS)]):
                lines.write(json.dumps(run, separators=(",", ":")) + "\n")
                lines.flush()
            yield number + 1


def _measured(model: ModelEntry, probe: Probe, home: Path, threads: str | None) -> Iterator[dict[str, Any]]:
    with patch.dict(os.environ, {} if threads is None else {"OMP_NUM_THREADS": threads}):
        session = SessionProcess(probe, home=home, logs=home / "logs", lock_dir=home / "locks")
    try:
        for position in range(ROUNDS):
            for number, (name, shape) in enumerate(JOBS.items()):
                spec = JobSpec(model=model.name, workload="speed", **shape)
                order = Order(job_id=1 + position * len(JOBS) + number, attempt=1, spec=spec, model=model)
                done = session.measure(order, job_seconds=_JOB_SECONDS, check=lambda _: None)
                assert isinstance(done, Finished), done
                yield _kept(f"{name}, {threads or 'all'} threads", done.measurement)
    finally:
        session.stop()


def _kept(job: str, measurement: Measurement) -> dict[str, Any]:
    """Return what is kept of a run: its times in whole microseconds."""
    return {
        "job": job,
        "session": measurement.session[:8],
        "position": measurement.session_position,
        "at": round(measurement.started_at, 1),
        "new_tokens": measurement.samples[0].new_tokens,
        "latency": [round(sample.latency_seconds * 1e6) for sample in measurement.samples],
        "ttft": [round((sample.ttft_seconds or 0) * 1e6) for sample in measurement.samples],
    }
