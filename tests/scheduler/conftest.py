"""Fixtures of the scheduler's tests."""

import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from db.engine import Database
from scheduler.ring import Bell
from tests.services import RedisServer, running_redis


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Give an empty, upgraded database: once SQLite, once PostgreSQL."""
    opened = Database(database_url)
    yield opened
    opened.dispose()


@pytest.fixture
def bell(broker_url: str) -> Iterator[Bell]:
    """Give a bell on an empty Redis."""
    with Bell(broker_url) as opened:
        yield opened


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """Run a Redis for one test, which may stop its process; it goes on at the end."""
    with running_redis(tmp_path) as server:
        yield server
        with suppress(psutil.NoSuchProcess):
            psutil.Process(server.pid).send_signal(signal.SIGCONT)
