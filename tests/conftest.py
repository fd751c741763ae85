"""The fixtures of all tests: real databases, a real Redis, and a home of their own."""

import os
import shutil
import signal
import sqlite3
from collections.abc import Generator, Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from redis import Redis

from scheduler.broker import stop_embedded
from tests.commands import UNWATCHED
from tests.services import PostgreSQLServer, RedisServer, no_process_left, running_postgresql, running_redis
from tests.signals import handlers, kept

# Read when torch is loaded, and by the processes that tests start: tiny models gain nothing from more threads, and
# two threads that wait for each other on a busy core take ten times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A machine that is busy is no fault of what is tested. Other examples at each run are looked for where somebody looks
# at what is found: pytest --hypothesis-profile=exploring
settings.register_profile("exploring", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("untimed", settings.get_profile("exploring"), derandomize=True)
settings.load_profile("untimed")

_TEMPLATE = "benchbeat_template"
_numbers = count(1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write out halves of characters in what was captured: they can't be carried from one process to the other."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(scope="session", autouse=True)
def _stop_everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Stop, as the last thing of the session, every process that it started and that still runs."""
    # By default TERM ends Python at once, and the servers would stay.
    before = signal.signal(signal.SIGTERM, lambda number, frame: pytest.exit("terminated", returncode=128 + number))
    with no_process_left(tmp_path_factory.getbasetemp()):
        yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_means_something() -> Iterator[None]:
    """Give children the usual SIGINT: a shell that starts tests in the background has them ignore it."""
    before = signal.getsignal(signal.SIGINT)
    if before == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def _signals_are_left_as_they_were() -> Iterator[None]:
    """Fail the test that leaves a handler behind, and not one of those after it in the same process."""
    before = handlers()
    with kept():
        yield
        after = handlers()
    assert after == before


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give an empty BENCHBEAT_HOME, with the environment's other settings removed; stop its embedded Redis."""
    for name in [name for name in os.environ if name.startswith("BENCHBEAT_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("BENCHBEAT_HOME", str(folder))
    monkeypatch.setenv("BENCHBEAT_MACHINE", "test-machine")
    for name, value in UNWATCHED.items():
        monkeypatch.setenv(name, value)
    yield folder
    stop_embedded(folder)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Run one Redis for the session; tests ask for `broker_url`."""
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def broker_url(redis_server: RedisServer) -> str:
    """Give the URL of an empty Redis."""
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQLServer]:
    """Run one PostgreSQL for the session; tests ask for `postgresql_url`."""
    with running_postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_template(postgresql_server: PostgreSQLServer) -> str:
    """Give the name of an upgraded database that is there to be copied."""
    from db.schema import upgrade

    postgresql_server.execute("CREATE DATABASE {template}", template=_TEMPLATE)
    upgrade(postgresql_server.url(_TEMPLATE))
    postgresql_server.execute("ALTER DATABASE {template} ALLOW_CONNECTIONS false", template=_TEMPLATE)
    return _TEMPLATE


@pytest.fixture
def postgresql_url(postgresql_server: PostgreSQLServer, postgresql_template: str) -> Iterator[str]:
    """Give the URL of an empty, upgraded PostgreSQL database."""
    name = f"benchbeat_{next(_numbers)}"
    postgresql_server.execute("CREATE DATABASE {name} TEMPLATE {template}", name=name, template=postgresql_template)
    yield postgresql_server.url(name)
    postgresql_server.execute("DROP DATABASE {name} WITH (FORCE)", name=name)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an upgraded SQLite database that is there to be copied."""
    from db.schema import upgrade

    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    upgrade(f"sqlite:///{path}")
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # so that the one file holds everything
    connection.close()
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """Give the URL of an empty, upgraded SQLite database."""
    path = tmp_path / "history.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Give the URL of an empty, upgraded database: once SQLite, once PostgreSQL."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url
