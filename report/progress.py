"""How a batch is getting on: a live picture for a terminal, plain lines for a pipe."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from db.reasons import DISTURBED
from db.status import BatchStatus, JobStatus, Waiting

if TYPE_CHECKING:
    from rich.console import RenderableType

#: finished jobs that the live picture keeps in sight
_SHOWN = 8
#: disturbed runs that are told one by one
_DISTURBED_SHOWN = 8


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
    said = figures_line(job) if job.state == "done" else (job.error or "")
    disturbed = f"; disturbed: {job.contamination}" if job.contamination else ""
    return f"job {job.id} {job.state}: {job.what}" + (f": {said}" if said else "") + disturbed


def disturbance_lines(jobs: Sequence[JobStatus]) -> list[str]:
    """Return what is to be said of a batch's disturbed runs: how many there are, and what disturbed the last of them.

    None for a batch without.
    """
    runs = [job for job in jobs if job.run_id is not None]
    disturbed = [job for job in runs if job.contamination]
    if not disturbed:
        return []
    again = {job.repeat_of: job.id for job in jobs if job.reason == DISTURBED}
    were = "run was" if len(runs) == 1 else f"runs {'was' if len(disturbed) == 1 else 'were'}"
    lines = [f"{len(disturbed)} of {len(runs)} {were} disturbed, and no baseline:"]
    for job in disturbed[-_DISTURBED_SHOWN:]:
        then = f"; measured again as job {again[job.id]}" if job.id in again else ""
        lines.append(f"job {job.id}: {job.contamination}{then}")
    if len(disturbed) > _DISTURBED_SHOWN:
        batch = disturbed[0].batch_id
        lines.append(f"All of them: benchbeat history --batch {batch} --where contaminated=true")
    return lines


def figures_line(job: JobStatus) -> str:
    """Return what matters most of a run."""
    return ", ".join(_figures(job))


def _figures(job: JobStatus) -> Iterator[str]:
    """Yield what matters most of a run: how good it was, and how fast."""
    if job.word_error_rate is not None:
        yield f"word errors {job.word_error_rate:.1%}"
    elif job.accuracy is not None:
        yield f"accuracy {job.accuracy:.3f}"
    if job.real_time_factor is not None:
        yield f"real-time factor {job.real_time_factor:.3g}"
    elif job.task == "vision" and job.latency_seconds is not None:
        yield f"{job.latency_seconds:.3g} s a picture"
    elif job.decode_tokens_per_second is not None:
        yield f"{job.decode_tokens_per_second:.1f} tokens/s"
    if job.warm is False:
        yield "its latencies are not steady"


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
    if progress.get("reason"):
        line += f": {progress['reason']}"
    if progress["total"]:
        line += f" {progress['done']}/{progress['total']}"
    elif progress["done"]:
        line += f", {progress['done']} iterations"
    if progress["median_seconds"] is not None:
        line += f", median {progress['median_seconds']:.3g} s"
        if progress["low_seconds"] is not None:
            line += f" ({progress['low_seconds']:.3g} to {progress['high_seconds']:.3g})"
    if progress.get("process") is not None:
        line += f", process {progress['process']}"
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
