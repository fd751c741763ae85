"""The world that is measured in: homes, databases, services and models, all gone at the end but the weights."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Literal

from redis import Redis

from bench.catalog import ModelEntry, builtin_models
from bench.library import Library, builtin_library
from db.schema import upgrade
from tests.commands import UNWATCHED
from tests.report.synthetic_runs import write_runs
from tests.services import PostgreSQLServer, RedisServer, running_postgresql, running_redis
from worker.facts import Probe
from worker.service import probe_device

DatabaseKind = Literal["sqlite", "postgresql"]

MACHINE = "machine-of-the-benchmarks"


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    #: pairs of a whole process
    commands: int = 20
    #: random seeds of the sweep, 40 jobs each, and pairs of submitting it
    seeds: int = 250
    submissions: int = 10
    #: queued jobs, and pairs of claims from them; 662 earn a 99th percentile
    queued: int = 100_000
    claims: int = 700
    #: jobs queued and runs stored, by which a figure may grow, and pairs of asking each
    backlogs: tuple[int, ...] = (10_000, 100_000)
    histories: tuple[int, ...] = (10_000, 100_000)
    questions_asked: int = 30
    #: samples of a result, and pairs of storing it; runs stored to see what one takes on the disk
    samples: int = 1000
    results: int = 30
    stored: int = 200
    #: schedules that are looked at, and ticks
    schedules: int = 1000
    ticks: int = 50
    #: times that the services are started for their memory
    services: int = 3
    #: session processes, each with a first and a second job
    sessions: int = 6
    #: tokens of prompt and answer, and pairs of readings of a model
    tokens: int = 64
    generations: int = 20
    #: tokens of an answer, and pairs, of the speed protocol beside the bare loop: many short readings, since a shared
    #: machine does the same to those that lie close together
    decoded_tokens: int = 16
    decodes: int = 80
    #: pairs of a job with its heartbeat and one without
    heartbeats: int = 12
    #: jobs run by a runner
    jobs: int = 8
    #: items asked in batches and one by one
    questions: int = 32
    #: times that the witness watches, and for how long
    watches: int = 3
    watched_seconds: float = 30.0
    #: series of speed runs in a long history, and runs of each
    series: int = 10_000
    points: int = 200
    #: looks at each page over the longest of these histories, and reports
    pages: int = 9
    reports: int = 3
    #: pairs of a job that does nothing and a task that does nothing; 662 earn a 99th percentile
    dispatches: int = 700
    #: jobs that teams of workers compete for, and how often each team does
    contested: int = 1000
    competitions: int = 3
    #: seeds and repetitions of submitting a very large sweep
    large_seeds: int = 2500
    large_submissions: int = 3
    #: short jobs of a sweep, tokens of each answer, how often the sweep is run, and how often with a process a job
    short_jobs: int = 24
    short_tokens: int = 16
    short_sweeps: int = 6
    short_process_sweeps: int = 1
    #: jobs of each of several models
    jobs_a_model: int = 10
    #: windows in which idle services are watched, and for how long
    idle_windows: int = 3
    idle_seconds: float = 60.0


QUICK = Sizes(
    commands=2,
    seeds=5,
    submissions=2,
    queued=400,
    claims=4,
    backlogs=(200, 400),
    histories=(400, 800),
    questions_asked=2,
    samples=20,
    results=2,
    stored=3,
    schedules=10,
    ticks=2,
    services=1,
    sessions=1,
    tokens=8,
    generations=2,
    decoded_tokens=8,
    decodes=2,
    heartbeats=2,
    jobs=2,
    questions=4,
    watches=1,
    watched_seconds=2.0,
    series=20,
    points=30,
    pages=2,
    reports=1,
    dispatches=4,
    contested=40,
    competitions=1,
    large_seeds=10,
    large_submissions=1,
    short_jobs=2,
    short_tokens=4,
    short_sweeps=1,
    jobs_a_model=2,
    idle_windows=1,
    idle_seconds=1.0,
)

#: a million queued jobs and a million runs besides
LARGE = Sizes(backlogs=(10_000, 100_000, 1_000_000), histories=(10_000, 100_000, 1_000_000))


class World:
    """Makes what a row needs when it is first asked for."""

    def __init__(self, stack: ExitStack, folder: Path, sizes: Sizes, weights_home: Path, *, tiny: bool) -> None:
        self._stack = stack
        self._numbers = count(1)
        #: the home whose cache has the weights
        self.weights_home = weights_home
        self._tiny = tiny
        self._histories: dict[tuple[DatabaseKind, int], str] = {}
        self.folder = folder
        self.sizes = sizes

    @cached_property
    def lock_dir(self) -> Path | None:
        """Folder of the device's lock: a quick run says nothing of time, and must wait for nobody who measures."""
        if not self._tiny:
            return None
        folder = self.folder / "locks"
        folder.mkdir(exist_ok=True)
        return folder

    @cached_property
    def environment(self) -> Mapping[str, str]:
        """Variables for processes: no settings but ours, and byte code kept, as an installation keeps it."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("BENCHBEAT_")}
        if "PYTHONDONTWRITEBYTECODE" in kept and not self._tiny:
            del kept["PYTHONDONTWRITEBYTECODE"]
            kept["PYTHONPYCACHEPREFIX"] = str(self.folder / "bytecode")
        locks = {"BENCHBEAT_LOCK_DIR": str(self.lock_dir)} if self.lock_dir else {}
        return {**kept, "BENCHBEAT_MACHINE": MACHINE, **UNWATCHED, **locks}

    def command(self, home: Path, *arguments: str, options: tuple[str, ...] = ()) -> list[str]:
        """Return the command line of `benchbeat ARGUMENTS`, with options for Python itself."""
        return [sys.executable, *options, "-P", "-m", "cli.main", "--home", str(home), *arguments]

    def run(self, command: list[str], settings: Mapping[str, str] | None = None) -> str:
        """Run a command to its end, with more variables; returns what it printed. Raises CalledProcessError."""
        environment = {**self.environment, **(settings or {})}
        done = subprocess.run(command, check=True, cwd=self.folder, env=environment, stdout=subprocess.PIPE, text=True)
        return done.stdout

    def new_home(self) -> Path:
        """Make an empty home."""
        home = self.folder / f"home-{next(self._numbers)}"
        home.mkdir()
        return home

    def new_home_with_model(self) -> Path:
        """Make a home that knows the model and shares the cache of weights."""
        home = self.new_home()
        cache = self.weights_home / "cache"
        cache.mkdir(parents=True, exist_ok=True)
        (home / "cache").symlink_to(cache)
        if self._tiny:
            source = self._tiny_checkpoint
            text = f'[tiny]\ntask = "text"\nsource = "file:{source}"\nmemory_gib = {{ float32 = 0.5 }}\n'
            (home / "models.toml").write_text(text, encoding="utf-8")
        return home

    @cached_property
    def model(self) -> ModelEntry:
        """The model that is measured: SmolLM2, or a tiny one with random weights."""
        if not self._tiny:
            return builtin_models()["smollm2-135m"]
        fields = {"source": f"file:{self._tiny_checkpoint}", "memory_gib": {"float32": 0.5}, "precision": "float32"}
        return ModelEntry(name="tiny", task="text", **fields)

    @cached_property
    def probe(self) -> Probe:
        """What the worker knows of this machine's processor."""
        return probe_device("cpu")

    @cached_property
    def library(self) -> Library:
        """What the sweeps of these models may name."""
        library = builtin_library()
        return replace(library, models={**library.models, self.model.name: self.model})

    @cached_property
    def checkpoint(self) -> Path:
        """The folder of its weights as transformers loads it; fetched and converted if need be."""
        from worker.convert import ensure_converted_apart
        from worker.weights import converted_folder, resolve

        found = resolve(self.model, home=self.weights_home, models_dir=None)
        if found.kind == "folder":
            return found.path
        folder = converted_folder(self.weights_home, found.revision)
        ensure_converted_apart(found.path, folder)
        return folder

    @cached_property
    def _tiny_checkpoint(self) -> Path:
        from tests.worker.tiny import build

        without_progress_bars()
        return build(self.folder / "tiny")

    @cached_property
    def redis(self) -> RedisServer:
        """A Redis that keeps nothing."""
        folder = self.folder / "redis"
        folder.mkdir()
        return self._stack.enter_context(running_redis(folder))

    def flush_redis(self) -> None:
        """Empty it."""
        with Redis.from_url(self.redis.url) as client:
            client.flushall()

    @cached_property
    def _postgresql(self) -> PostgreSQLServer:
        return self._stack.enter_context(running_postgresql(durable=not self._tiny))

    def new_database(self, kind: DatabaseKind, template: str | None = None) -> str:
        """Return the URL of a new database: a copy of the one at `template`, else an empty, upgraded one.

        Nobody may be connected to the template.
        """
        name = f"copy_{next(self._numbers)}"
        if kind == "sqlite":
            path = self.folder / f"{name}.db"
            shutil.copyfile(_sqlite_file(template or self._empty_sqlite), path)
            return f"sqlite:///{path}"
        source = (template or self._empty_postgresql).rpartition("?")[0].rpartition("/")[2]
        self._postgresql.execute("CREATE DATABASE {name} TEMPLATE {source}", name=name, source=source)
        return self._postgresql.url(name)

    def history(self, kind: DatabaseKind, runs: int) -> str:
        """Return the URL of a history of so many synthetic runs, written when first asked for; to be read only."""
        if (kind, runs) not in self._histories:
            url = self.new_database(kind)
            write_runs(url, runs)
            self._histories[kind, runs] = url
        return self._histories[kind, runs]

    def log_lock_waits(self, longer_than: str) -> None:
        """Have PostgreSQL write every wait for a lock that lasts longer ("100ms") to its log."""
        self._postgresql.execute("ALTER SYSTEM SET log_lock_waits = on")
        self._postgresql.execute("ALTER SYSTEM SET deadlock_timeout = {length}", length=longer_than)
        self._postgresql.execute("SELECT pg_reload_conf()")

    def postgresql_log(self) -> str:
        """Return what PostgreSQL has written."""
        return (self._postgresql.socket_folder / "log").read_text(encoding="utf-8", errors="replace")

    @cached_property
    def _empty_sqlite(self) -> str:
        url = f"sqlite:///{self.folder / 'empty.db'}"
        upgrade(url)
        return url

    @cached_property
    def _empty_postgresql(self) -> str:
        self._postgresql.execute("CREATE DATABASE {name}", name="empty")
        url = self._postgresql.url("empty")
        upgrade(url)
        return url


def without_progress_bars() -> None:
    """Keep transformers from drawing into the table."""
    import transformers

    transformers.utils.logging.disable_progress_bar()


def _sqlite_file(url: str) -> Path:
    """Return the file of a SQLite URL, with all that was written in it and not beside it."""
    path = Path(url.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@contextmanager
def new_world(sizes: Sizes, folder: Path, *, weights_home: Path, tiny: bool) -> Iterator[World]:
    """Make a world in a folder, and stop its services at the end; with `tiny` nothing is fetched."""
    with ExitStack() as stack:
        yield World(stack, folder, sizes, weights_home, tiny=tiny)
