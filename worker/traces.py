"""The traces of profiled runs: files in the home, beside the history, that `db prune` removes with old samples."""

import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.adapters import Adapter
    from worker.protocol import Order

_FOLDER = "traces"
#: before the name of a trace that is being written, and stays where that was interrupted
PARTIAL = "partial-"


def trace_file(home: Path, job_id: int, attempt: int) -> Path:
    """Return where an attempt's trace lies: Chrome's trace format, compressed."""
    return home / _FOLDER / f"job-{job_id}-{attempt}.json.gz"


def profiling(adapter: "Adapter", order: "Order", home: Path) -> AbstractContextManager[None]:
    """Return a context in which a job that asks for it leaves a trace of its model's steps."""
    if not order.spec.profile:
        return nullcontext()
    from worker.profiling import profiled

    return profiled(adapter.stepping, trace_file(home, order.job_id, order.attempt))


def traces_of(home: Path, job_id: int) -> list[Path]:
    """Return the traces of a job, the last attempt's last."""
    return sorted((home / _FOLDER).glob(f"job-{job_id}-*.json.gz"), key=lambda file: file.stat().st_mtime)


def mark(home: Path, job_id: int, attempt: int) -> str:
    """Return why a profiled run's speed is not to be compared, and where its trace is."""
    file = trace_file(home, job_id, attempt)
    if file.exists():
        return f"it was profiled (trace: {file.relative_to(home)})"
    return "it was profiled (no trace could be written; the session's log says why)"


def remove_old_traces(home: Path, keep_seconds: float, *, dry_run: bool = False) -> int:
    """Remove what was written longer ago than that, with the tables beside the traces; returns how many traces."""
    last = time.time() - keep_seconds
    old = [file for file in (home / _FOLDER).glob("*job-*") if file.stat().st_mtime < last]
    if not dry_run:
        for file in old:
            file.unlink(missing_ok=True)
    return sum(file.name.startswith("job-") and file.name.endswith(".json.gz") for file in old)
