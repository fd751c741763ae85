"""How a batch is getting on: a live picture for a terminal, plain lines for a pipe."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from db.status import BatchStatus, JobStatus, Waiting

if TYPE_CHECKING:
    from rich.console import RenderableType

#: finished jobs that the live picture keeps in sight
_SHOWN = 8


@dataclass(frozen=True)
class Snapshot:
    """A batch at one moment."""

    batch: BatchStatus
    jobs: list[JobStatus]
    waiting: list[Waiting]

    @property
    def ended(self) -> list[JobStatus]:
        """The jobs that have ended."""
        return [job for job in self.jobs if job.state in ("done", "failed", "cancelled")]

    @property
    def running(self) -> list[JobStatus]:
        """The jobs that run."""
        return [job for job in self.jobs if job.state == "running"]


def outcome_line(job: JobStatus) -> str:
    """Return a line about a job that has ended."""
    figures = []
    if job.accuracy is not None:
        figures.append(f"accuracy {job.accuracy:.3f}")
    if job.decode_tokens_per_second is not None:
        figures.append(f"{job.decode_tokens_per_second:.1f} tokens/s")
    said = ", ".join(figures) if job.state == "done" else (job.error or "")
    return f"job {job.id} {job.state}: {job.what}" + (f": {said}" if said else "")


def waiting_line(waiting: Waiting) -> str:
    """Return a line about queued jobs that no worker can take."""
    return (
        f"{waiting.jobs} {'job waits' if waiting.jobs == 1 else 'jobs wait'} in queue {waiting.queue}: {waiting.reason}"
    )


def progress_line(progress: dict[str, Any] | None) -> str:
    """Return what a running job does now: its phase, how far it is, its current median and interval."""
    if not progress:
        return "starting"
    line = str(progress["phase"])
    if progress["total"]:
        line += f" {progress['done']}/{progress['total']}"
    elif progress["done"]:
        line += f", {progress['done']} iterations"
    if progress["median_seconds"] is not None:
        line += f", median {progress['median_seconds']:.3g} s"
        if progress["low_seconds"] is not None:
            line += f" ({progress['low_seconds']:.3g} to {progress['high_seconds']:.3g})"
    return line


def picture(snapshot: Snapshot, started: float) -> "RenderableType":
    """Return the live picture of a batch that has been followed since `started` (time.monotonic)."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    batch, ended = snapshot.batch, snapshot.ended
    head = Table.grid(padding=(0, 1))
    head.add_row(
        Text(f"batch {batch.id}", style="bold"),
        ProgressBar(total=max(1, batch.jobs), completed=len(ended), width=30),
        Text(f"{len(ended)}/{batch.jobs} jobs"),
        Text(f"{batch.failed} failed" if batch.failed else "", style="red"),
        Text(_clock(time.monotonic() - started), style="dim"),
    )
    rows = Table.grid(padding=(0, 1))
    for job in ended[-_SHOWN:]:
        mark = {"done": Text("done", "green"), "failed": Text("fail", "red")}.get(job.state, Text("stop", "yellow"))
        rows.add_row(mark, Text(outcome_line(job).split(" ", 3)[3], overflow="ellipsis", no_wrap=True))
    for job in snapshot.running:
        line = Text.assemble(job.what, ": ", (progress_line(job.progress), "dim"), overflow="ellipsis", no_wrap=True)
        rows.add_row(Text("run ", "cyan"), line)
    waiting = [Text(waiting_line(each), style="yellow") for each in snapshot.waiting]
    return Group(head, rows, *waiting)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"
