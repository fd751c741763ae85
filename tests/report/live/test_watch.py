"""The live screen, driven by a pilot over real databases."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, make_url
from textual.pilot import Pilot

from db import live
from db.engine import Database
from db.jobs import claim, extend_lease, fail_job
from db.runs import store_measurement
from db.workers import mark_seen
from report.live import looking
from report.live.app import Found, Watch
from report.live.details import Sheet
from report.live.looking import Broken, Looking
from report.live.panel import Panel
from tests.db.builders import QUALITY_SPEC, add_jobs, add_worker, claimed_by, measurement, new_job
from tests.services import PostgreSQLServer
from tests.signals import kept
from tests.waiting import wait_until

PROGRESS = {"phase": "measuring", "done": 3, "total": 12, "median_seconds": 0.512, "reason": None}
_PATIENCE_SECONDS = 10.0
ATTACK = QUALITY_SPEC.model_copy(update={"model": "[red]evil[/]\x1b[2J\u202e<script>|" + "x" * 200})


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let counts be read at nearly every look."""
    monkeypatch.setattr(live, "_COUNTS_SECONDS", 0.1)
    monkeypatch.setattr(live, "_COUNTS_SHARE", 0.5)


@pytest.fixture(autouse=True)
def _kept_signals() -> Iterator[None]:
    """asyncio leaves a signal that it listened for with the default, whatever stood there before."""
    with kept():
        yield


@pytest.fixture
def busy(database_url: str) -> Database:
    """Give a database of each kind in which something goes on."""
    return filled(database_url)


def filled(url: str) -> Database:
    """Return a database in which a job failed, one was measured, one runs, and others wait, one of them in vain."""
    database = Database(url)
    worker = add_worker(database)
    add_jobs(database, [new_job(), new_job(), new_job(), new_job(ATTACK)], name="nightly [bold]\x1b]0;x\x07")
    failed = claimed_by(database, worker)
    fail_job(database, failed.id, failed.attempt, error="It broke", stderr="\x1b[31mKilled[/red]", max_attempts=1)
    done = claimed_by(database, worker)
    store_measurement(database, done.id, done.attempt, "machine-a", measurement({"accuracy": 0.5}))
    running = claimed_by(database, worker)
    interval = {"low_seconds": 0.5, "high_seconds": 0.53}
    extend_lease(database, running.id, running.attempt, 60, json.dumps(PROGRESS | interval))
    mark_seen(database, worker.worker_id, job_id=running.id, loaded="x")
    add_jobs(database, [new_job(queue="any.16", memory_mib=12_000)], name="too large")
    return database


def fits(panel: Panel) -> bool:
    """Return whether the lines of a panel are no wider than it; they are laid out anew where it became narrower."""
    return all(sum(len(text) for text, _ in line.pieces) <= panel.size.width for line in panel.lines)


def drive(
    database: Database,
    steps: Callable[[Watch, Pilot[int]], Awaitable[None]],
    size: tuple[int, int] = (80, 24),
    redis: Callable[[], str | None] = lambda: None,
) -> Watch:
    """Run the screen without a terminal, and do something with it."""

    async def run() -> Watch:
        app = Watch(database, check_redis=redis, interval_seconds=0.05)
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: said(app, "workers") != "")
            await steps(app, pilot)
        return app

    try:
        return asyncio.run(run())
    finally:
        database.dispose()


async def until(pilot: Pilot[int], holds: Callable[[], bool]) -> None:
    """Wait until something holds on the screen."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        await pilot.pause(0.01)


def said(app: Watch, panel: str) -> str:
    """Return the text of a panel."""
    lines = app.screen_stack[0].query_one(f"#{panel}", Panel).lines
    return "\n".join("".join(text for text, _ in line.pieces).rstrip() for line in lines)


def head(app: Watch) -> str:
    """Return the first line of the screen."""
    return str(app.screen_stack[0].query_one("#head").render())


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
def test_everything_that_goes_on_is_there(busy: Database, size: tuple[int, int]) -> None:
    async def steps(app: Watch, pilot: Pilot[int]) -> None:
        assert " 2/4 " in said(app, "batches")
        assert "1 failed" in said(app, "batches")
        worker = said(app, "workers").splitlines()
        assert worker[0].split()[:4] == ["worker-a", "job", "3", "tiny"]
        assert "3/12, median 0.512 s" in worker[1]
        queues = said(app, "queues").splitlines()
        assert queues[0].split() == ["any.16", "1", "waiting", "1", "that", "nobody", "can", "take"]
        assert queues[1].strip().startswith("tiny in float32 needs 11.7 GiB")
        assert queues[2].split()[:3] == ["any.4", "1", "waiting"]
        assert "It broke" in said(app, "failures")
        assert "accuracy 0.500" in said(app, "runs")
        assert "2 open batches · 3 jobs left" in head(app)
        await until(pilot, lambda: all(map(fits, app.query(Panel))))

    drive(busy, steps, size)


def test_attacks_are_harmless(busy: Database) -> None:
    async def steps(app: Watch, pilot: Pilot[int]) -> None:
        # Its name is longer than a specification may have: the claim fails it.
        assert claim(busy, add_worker(busy, "worker-b"), lease_seconds=60.0) is None
        await until(pilot, lambda: "evil" in said(app, "failures"))
        everything = "".join(said(app, panel.id or "") for panel in app.query(Panel))
        assert "[red]evil[/]\\x1b[2" in everything
        assert "nightly [bold]" in everything
        assert not any(character in everything for character in "\x1b\x07\u202e")
        await pilot.press("f", "enter")
        await until(pilot, lambda: isinstance(app.screen, Sheet))
        await pilot.press("escape")

    drive(busy, steps, (200, 60))


def test_enter_on_a_failure_shows_its_attempts_and_its_last_output(busy: Database) -> None:
    async def steps(app: Watch, pilot: Pilot[int]) -> None:
        await pilot.press("f", "enter")
        await until(pilot, lambda: isinstance(app.screen, Sheet))
        sheet = str(app.screen.query_one("#sheet Static").render())
        assert "failed: It broke" in sheet
        assert "last output of attempt 1:\n\\x1b[31mKilled[/red]" in sheet
        await pilot.press("escape")
        assert not isinstance(app.screen, Sheet)

    drive(busy, steps)


def test_enter_on_a_batch_shows_it_alone_and_escape_all(busy: Database) -> None:
    async def steps(app: Watch, pilot: Pilot[int]) -> None:
        await pilot.press("down", "enter")
        await until(pilot, lambda: "nightly" not in said(app, "batches"))
        assert app.batch_id == 2
        assert "batch 2 only" in head(app)
        await pilot.press("escape")
        await until(pilot, lambda: "nightly" in said(app, "batches"))

    drive(busy, steps)


def test_keys_are_explained_and_q_ends(sqlite_url: str) -> None:
    async def steps(app: Watch, pilot: Pilot[int]) -> None:
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, Sheet))
        assert "go to the failures" in str(app.screen.query_one("#sheet Static").render())
        await pilot.press("escape", "tab", "q")

    assert drive(filled(sqlite_url), steps).return_value == 0


def test_small_screens_hold_what_they_can(sqlite_url: str) -> None:
    async def steps(app: Watch, pilot: Pilot[int]) -> None:
        for size in ((20, 5), (200, 60), (40, 12), (60, 16), (141, 15)):
            await pilot.resize_terminal(*size)
            await pilot.press("tab", "down", "end", "home")
            assert said(app, "batches")

    drive(filled(sqlite_url), steps)


def test_redis_may_go_and_come_back(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "_REDIS_AWAY_SECONDS", 0.05)
    trouble: list[str | None] = ["connection [red]refused\x1b"]

    async def steps(app: Watch, pilot: Pilot[int]) -> None:
        await until(pilot, lambda: "Redis is away since" in head(app))
        assert "[red]refused\\x1b" in head(app)
        trouble[0] = None
        await until(pilot, lambda: "open batches" in head(app))

    drive(filled(sqlite_url), steps, (200, 24), redis=lambda: trouble[0])


def test_the_database_may_go_and_come_back(busy: Database, request: pytest.FixtureRequest) -> None:
    gone, back = (sqlite_moves if busy.is_sqlite else postgresql_moves)(busy, request)

    async def steps(app: Watch, pilot: Pilot[int]) -> None:
        gone()
        await until(pilot, lambda: "The database is away since" in head(app))
        assert "tiny" in said(app, "workers")
        back()
        await until(pilot, lambda: "open batches" in head(app))

    drive(busy, steps)


def sqlite_moves(
    database: Database, request: pytest.FixtureRequest
) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return what takes the file away, and what brings it back; it must not be made anew meanwhile."""
    path = Path(str(make_url(database.url).database))
    aside = path.with_name("aside")

    def back() -> None:
        assert not path.exists()
        aside.rename(path)

    return lambda: path.rename(aside), back


def postgresql_moves(
    database: Database, request: pytest.FixtureRequest
) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return what shuts everybody out of the database, and what lets them in again."""
    server: PostgreSQLServer = request.getfixturevalue("postgresql_server")
    url: URL = make_url(database.url)
    name = str(url.database)

    def gone() -> None:
        server.execute("ALTER DATABASE {name} ALLOW_CONNECTIONS false", name=name)
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'benchbeat'")

    return gone, lambda: server.execute("ALTER DATABASE {name} ALLOW_CONNECTIONS true", name=name)


def test_a_fault_ends_the_screen_and_is_passed_on(sqlite_url: str) -> None:
    async def steps(app: Watch, pilot: Pilot[int]) -> None:
        app.post_message(Found(Broken(RuntimeError("a fault"))))
        await until(pilot, lambda: app.failure is not None)

    app = drive(filled(sqlite_url), steps)
    assert (str(app.failure), app.return_code) == ("a fault", 1)


def test_a_fault_of_a_look_is_told(sqlite_url: str) -> None:
    busy = Database(sqlite_url)
    told: list[object] = []
    looking = Looking(busy, told.append, interval_seconds=1.0, batch_id=None, check_redis=lambda: None)
    looking.once(lambda: 1 // 0)
    wait_until(lambda: told, "the fault is told")
    assert isinstance(told[0], Broken)
    assert isinstance(told[0].error, ZeroDivisionError)
    busy.dispose()
