"""The pages of `benchbeat web` over a long history: each kind of page, asked of a server as a browser asks."""

import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from report.web.finding import PAGE_ROWS
from tests.performance.results import AtMost, Result
from tests.performance.world import DatabaseKind, World
from tests.services import stop_process
from tests.waiting import wait_until

GOAL_MILLISECONDS = 200.0

_PATIENCE_SECONDS = 600.0
_MAKING = b"is being made"
_PICTURE = b"is being drawn"


def page_rows(world: World, kind: DatabaseKind) -> Iterator[Result]:
    """Each kind of page, the report once it is made, and pages while it is being made."""
    with _served(world, world.history(kind, world.sizes.histories[-1])) as fetch:
        began = time.perf_counter()
        fetch("/runs")
        first = (time.perf_counter() - began) * 1000
        yield _result(world, kind, "the first one after the start", (first,))
        for what, address in _addresses(fetch, world.sizes.histories[-1]).items():
            wait_until(lambda: _PICTURE not in fetch(address), "the picture is drawn", _PATIENCE_SECONDS)  # noqa: B023
            yield _result(world, kind, what, tuple(_milliseconds(fetch, address) for _ in range(world.sizes.pages)))
        meanwhile = []
        while _MAKING in fetch("/"):
            meanwhile.append(_milliseconds(fetch, "/runs"))
        if meanwhile:
            yield _result(world, kind, "the newest runs while the report is being made", tuple(meanwhile))
        made = tuple(_milliseconds(fetch, "/") for _ in range(world.sizes.pages))
        yield _result(world, kind, "the report", made)


def _result(world: World, kind: DatabaseKind, what: str, figures: tuple[float, ...]) -> Result:
    named = f"page over {world.sizes.histories[-1]:,} runs: {what}"
    return Result(row=f"pages-{kind}", what=named, unit="ms", ours=figures, goal=AtMost(GOAL_MILLISECONDS))


def _addresses(fetch: Callable[[str], bytes], runs: int) -> dict[str, str]:
    """Return an address of each kind of page."""
    middle = max(1, runs // 2)
    asked = f"select model, series, batch, job_id from history where run_id = {middle}"
    (known,) = json.loads(fetch(f"/sql.json?{urllib.parse.urlencode({'statement': asked})}"))
    return {
        "the newest runs": "/runs",
        "runs in the middle": f"/runs?after={middle + PAGE_ROWS}",
        "runs by accuracy": "/runs?sort=-accuracy",
        "runs by their begin": "/runs?sort=-started_at",
        "runs of a model": f"/runs?model={known['model']}",
        "runs of a model that is not there": "/runs?model=nobody",
        "runs that began long ago": "/runs?where=started_at%3C2024-11-01",
        "runs of a batch": f"/runs?batch={known['batch']}",
        "runs of a series by latency": f"/runs?series={known['series']}&sort=-latency_seconds",
        "one run": f"/runs/{middle}",
        "series": "/series",
        "series of a model": f"/series?model={known['model']}",
        "one series with its picture": f"/series/{known['series']}",
        "the last clean run of each series": "/latest",
        "the last run of each series by model": "/newest?sort=model",
        "batches": "/batches",
        "batches by failed jobs": "/batches?sort=-failed",
        "one batch": f"/batches/{known['batch']}",
        "failed jobs": "/jobs?state=failed",
        "jobs by duration": "/jobs?sort=-duration_seconds",
        "samples by latency": "/samples?sort=-latency_seconds",
        "changes": "/changes",
    }


def _milliseconds(fetch: Callable[[str], bytes], address: str) -> float:
    began = time.perf_counter()
    fetch(address)
    return (time.perf_counter() - began) * 1000


@contextmanager
def _served(world: World, url: str) -> Iterator[Callable[[str], bytes]]:
    """Serve the pages over a database; give a function that returns a page."""
    command = world.command(world.new_home(), "web", "--port", "0")
    environment = {**world.environment, "BENCHBEAT_DATABASE_URL": url}
    process = subprocess.Popen(
        command, cwd=world.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    try:
        address = process.stdout.readline().decode().strip().rstrip("/")
        assert address.startswith("http://127.0.0.1:"), address

        def fetch(page: str) -> bytes:
            with urllib.request.urlopen(address + page, timeout=_PATIENCE_SECONDS) as answer:
                body: bytes = answer.read()
            return body

        yield fetch
    finally:
        stop_process(process)
        process.stdout.close()
