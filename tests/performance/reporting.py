"""The report over a long history: the whole command, its seconds and its memory."""

import time
from collections.abc import Iterator

from tests.performance.memory import peak_megabytes
from tests.performance.results import AtMost, Result
from tests.performance.world import DatabaseKind, World

#: seconds up to so many runs, and up to ten times as many
_GOALS = {100_000: 5.0, 1_000_000: 30.0}
GOAL_MEGABYTES = 500.0


def report_rows(world: World, kind: DatabaseKind) -> Iterator[Result]:
    """`benchbeat report` in all three formats, everything included."""
    runs = world.sizes.histories[-1]
    home = world.new_home()
    files = [part for form in ("html", "markdown", "json") for part in (f"--{form}", str(home / f"report.{form}"))]
    settings = {"BENCHBEAT_DATABASE_URL": world.history(kind, runs)}
    seconds, megabytes = [], []
    for _ in range(world.sizes.reports):
        began = time.perf_counter()
        megabytes.append(peak_megabytes(world, world.command(home, "report", *files), settings))
        seconds.append(time.perf_counter() - began)
    what = f"`benchbeat report` over {runs:,} runs"
    goal = next((AtMost(limit) for most, limit in _GOALS.items() if runs <= most), None)
    yield Result(row=f"report-{kind}", what=what, unit="s", ours=tuple(seconds), goal=goal)
    yield Result(row=f"report-{kind}", what="its peak", unit="MB", ours=tuple(megabytes), goal=AtMost(GOAL_MEGABYTES))
