"""Profiling a job: a trace of some steps of its model.

By torch.profiler, which sees operators and the device's kernels and needs no rights that a user lacks (py-spy is root's
on macOS, and sees Python's frames only). It has to run in the session, which is why a profiled job is one by itself.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from worker.traces import PARTIAL

#: steps of the model that a trace holds: some 3.5 MB of a small model, compressed, whatever the job does
STEPS = 32
#: those before them: what is new at first is no use
_SKIPPED = 2
#: operators of the table beside the trace
_LISTED = 25


@contextmanager
def profiled(module: Any, file: Path) -> Iterator[None]:
    """Write a trace of some steps of a module, which is called once a step, within the context.

    What can't be written is told on standard error: a job never fails by its profile.
    """
    # The module's own hook: nothing of the library that calls it has to be known.
    with profile(
        activities=_activities(),
        schedule=schedule(skip_first=_SKIPPED, wait=0, warmup=1, active=STEPS, repeat=1),
        on_trace_ready=lambda made: _write(made, file),
        acc_events=True,
    ) as profiler:
        hook = module.register_forward_hook(lambda *_: profiler.step())
        try:
            yield
        finally:
            hook.remove()
    if not file.exists():
        _say(f"no trace of {file.name}: the model made no {_SKIPPED + 2} steps")


def _activities() -> list[ProfilerActivity]:
    """Return what there is to see: on MPS the operators as the processor calls them, without the GPU's own times."""
    found = [ProfilerActivity.CPU]
    if torch.cuda.is_available():
        found.append(ProfilerActivity.CUDA)
    return found


def _write(made: Any, file: Path) -> None:
    partial = file.with_name(f"{PARTIAL}{file.name}")
    order = "self_device_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        made.export_chrome_trace(str(partial))
        table = made.key_averages().table(sort_by=order, row_limit=_LISTED)
        file.with_name(f"{file.name.partition('.')[0]}.txt").write_text(table, encoding="utf-8")
        os.replace(partial, file)
    except (OSError, RuntimeError) as error:
        partial.unlink(missing_ok=True)
        _say(f"no trace of {file.name}: {error}")


def _say(message: str) -> None:
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()
