"""What the panels say of what goes on, in columns as wide as the screen allows, never as wide as the data."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from db.live import Live
from db.status import BatchStatus, JobStatus
from db.workers import WorkerRow
from report.durations import brief, clock
from report.live.lines import Cell, Line, Piece, Tone, bar, column, line
from report.progress import figures_line, progress_line
from report.status import short

_NAME_CELLS = 22


class Content(NamedTuple):
    """What a panel shows."""

    lines: list[Line]
    #: beside its title
    beside: str = ""


def batches(live: Live, width: int) -> Content:
    """Return a line a batch: how far it is, what failed, and the time that is left."""
    lines = [line(_batch(each, live, width), each.id) for each in live.batches]
    still_open = sum(1 for each in live.batches if each.open)
    return Content(lines or _nothing("none yet; submit one: benchbeat submit"), f"{still_open} open" if lines else "")


def _batch(batch: BatchStatus, live: Live, width: int) -> Iterator[Cell]:
    bar_cells = max(8, width // 5)
    name_cells = max(8, width - bar_cells - 46)
    yield column(str(batch.id), 4, "faint", right=True)
    yield column(batch.name, name_cells, "strong" if batch.open else "plain")
    jobs = max(1, batch.jobs)
    parts: list[tuple[float, Tone]] = [(batch.done / jobs, "good"), (batch.failed / jobs, "bad")]
    parts += [(batch.cancelled / jobs, "warning"), (batch.running / jobs, "running")]
    yield bar(parts, bar_cells)
    ended = batch.jobs - batch.open
    yield column(f"{ended:,}/{batch.jobs:,}", 13, "plain", right=True)
    yield _noted(batch)
    yield column(*_left(batch, live), right=True)


def _noted(batch: BatchStatus) -> Piece:
    if batch.failed:
        return column(f"{batch.failed:,} failed", 13, "bad")
    if batch.disturbed:
        return column(f"{batch.disturbed:,} disturbed", 13, "warning")
    return column(f"{batch.cancelled:,} stopped" if batch.cancelled else "", 13, "warning")


def _left(batch: BatchStatus, live: Live) -> tuple[str, int, Tone]:
    if not batch.open:
        return "ended", 9, "faint"
    if batch.id in live.left:
        return f"~{brief(live.left[batch.id])}", 9, "plain"
    return ("running", 9, "running") if batch.running else ("waits", 9, "warning")


def workers(live: Live, width: int) -> Content:
    """Return two lines a worker: who it is, what it measures, how far that is."""
    by_worker = {job.worker_id: job for job in live.running}
    lines: list[Line] = []
    for worker in live.workers:
        job = by_worker.pop(worker.id, None)
        lines += _worker(worker, job, live.at, width)
    for job in by_worker.values():
        what = [column(short(job.worker_id or "?"), _NAME_CELLS, "warning"), column(f"job {job.id}", 9, "faint")]
        lines.append(line([*what, column(job.what, max(8, width - _NAME_CELLS - 12))], job.id))
        lines.append(line([column("silent", _NAME_CELLS, "warning"), *_progress(job, live.at, width)], job.id))
    busy = len(live.running)
    count = f"{len(live.workers)}, {busy} at work" if live.workers or busy else ""
    return Content(lines or _nothing("none is running; start one: benchbeat up"), count)


def _worker(worker: WorkerRow, job: JobStatus | None, at: float, width: int) -> list[Line]:
    name = column(short(worker.id), _NAME_CELLS, "strong")
    device = column(f"{worker.device} {worker.device_name}", _NAME_CELLS, "faint")
    room = max(8, width - _NAME_CELLS - 12)
    if job is None:
        only = f"idle, for batch {worker.batch_id} only" if worker.batch_id is not None else "idle"
        return [line([name, column(only, room, "faint")]), line([device])]
    said = [column(f"job {job.id}", 9, "faint"), column(job.what, room)]
    return [line([name, *said], job.id), line([device, *_progress(job, at, width)], job.id)]


def _progress(job: JobStatus, at: float, width: int) -> Iterator[Cell]:
    """Yield how far a job is: a bar where its end is known, what it says, for how long it has run."""
    progress: dict[str, Any] = job.progress or {}
    room = max(16, width - _NAME_CELLS - 14)
    total, done = progress.get("total"), progress.get("done") or 0
    if total:
        yield bar([(min(1.0, done / total), "good")], 9)
    else:
        yield column("", 9)
    text = progress_line(job.progress)
    yield column(text, room - 8, "running" if progress.get("median_seconds") is not None else "faint")
    began = at - job.started_at if job.started_at is not None else 0.0
    yield column(brief(began), 8, "faint", right=True)


def queues(live: Live, width: int) -> Content:
    """Return a line a queue, and below it why nobody takes what is in it."""
    lines: list[Line] = []
    for queue in live.queues:
        stuck = sum(each.jobs for each in queue.in_vain)
        told = f"{stuck:,} that nobody can take" if stuck else "taken by a live worker"
        pieces = [column(queue.name, _NAME_CELLS, "strong"), column(f"{queue.jobs:,} waiting", 16, right=True)]
        lines.append(line([*pieces, column(told, max(8, width - _NAME_CELLS - 20), "warning" if stuck else "faint")]))
        reasons = dict.fromkeys(each.reason for each in queue.in_vain)
        lines += [line([column("", 2), column(reason, width - 4, "warning")]) for reason in reasons]
    total = sum(queue.jobs for queue in live.queues)
    return Content(lines or _nothing("nothing waits"), f"{total:,} waiting" if total else "")


def failures(live: Live, width: int) -> Content:
    """Return a line a failed job with its reason, the last first."""
    lines = [line(_failure(job, width), job.id) for job in live.failures]
    total = sum(batch.failed for batch in live.batches)
    return Content(lines or _nothing("none"), f"{total:,}" if total else "")


def _failure(job: JobStatus, width: int) -> Iterator[Piece]:
    what_cells = max(8, (width - 12) * 2 // 5)
    yield column(f"job {job.id}", 9, "bad")
    yield column(job.what, what_cells)
    yield column(job.error or "", max(8, width - what_cells - 12), "faint")


def runs(live: Live, width: int) -> Content:
    """Return a line a run, the last first."""
    return Content([line(_run(job, width), job.id) for job in live.runs] or _nothing("none yet"))


def _run(job: JobStatus, width: int) -> Iterator[Piece]:
    said_cells = min(34, max(10, width // 2 - 8))
    yield column(clock(job.finished_at) if job.finished_at is not None else "", 8, "faint")
    yield column(job.what, max(8, width - said_cells - 11))
    if job.contamination:
        yield column(f"disturbed: {job.contamination}", said_cells, "warning")
    else:
        yield column(figures_line(job), said_cells, "good")


def _nothing(text: str) -> list[Line]:
    return [line([(text, "faint")])]


class About(NamedTuple):
    """What a panel is about."""

    title: str
    content: Callable[[Live, int], Content]
    #: what the content is made of; while that is equal it is not made anew
    depends: Callable[[Live], object]


PANELS: dict[str, About] = {
    "batches": About("Batches", batches, lambda live: (live.batches, [brief(each) for each in live.left.values()])),
    "workers": About("Workers", workers, lambda live: (live.workers, live.running, round(live.at))),
    "queues": About("Queues", queues, lambda live: live.queues),
    "failures": About("Failures", failures, lambda live: (live.failures, live.batches)),
    "runs": About("Recent runs", runs, lambda live: live.runs),
}
