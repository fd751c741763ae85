"""An open database of a test's own, and a history, shared by a file's tests, that must be unchanged after them."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from db.engine import Database
from tests.db.asking import everything, fill
from tests.db.builders import empty
from tests.services import PostgreSQLServer


@pytest.fixture(scope="session")
def shared_sqlite(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Give one SQLite database for all: making one for each test would take most of the time."""
    path = tmp_path_factory.mktemp("shared") / "history.db"
    shutil.copyfile(sqlite_template, path)
    opened = Database(f"sqlite:///{path}")
    yield opened
    opened.dispose()


@pytest.fixture(scope="session")
def shared_postgresql(postgresql_server: PostgreSQLServer, postgresql_template: str) -> Iterator[Database]:
    """Give one PostgreSQL database for all."""
    with postgresql_database(postgresql_server, postgresql_template, "benchbeat_shared") as opened:
        yield opened


@contextmanager
def postgresql_database(server: PostgreSQLServer, template: str, name: str) -> Iterator[Database]:
    """Give an upgraded PostgreSQL database of a name."""
    server.execute("CREATE DATABASE {name} TEMPLATE {template}", name=name, template=template)
    opened = Database(server.url(name))
    yield opened
    opened.dispose()
    server.execute("DROP DATABASE {name} WITH (FORCE)", name=name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """Give an upgraded database without rows, whose schema stays as it is: once SQLite, once PostgreSQL."""
    shared: Database = request.getfixturevalue(f"shared_{request.param}")
    empty(shared)
    return shared


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the URL of a database without any table: once SQLite, once PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: PostgreSQLServer = request.getfixturevalue("postgresql_server")
    server.execute("CREATE DATABASE {name}", name="benchbeat_empty")
    yield server.url("benchbeat_empty")
    server.execute("DROP DATABASE {name} WITH (FORCE)", name="benchbeat_empty")


@pytest.fixture(scope="module")
def sqlite_history(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the URL of a SQLite history with one batch; it must be unchanged after the file's tests."""
    path = tmp_path_factory.mktemp("attacked") / "history.db"
    shutil.copyfile(sqlite_template, path)
    url = f"sqlite:///{path}"
    fill(url)
    before = everything(url)
    yield url
    assert everything(url) == before


@pytest.fixture(scope="module")
def postgresql_history(postgresql_server: PostgreSQLServer, postgresql_template: str) -> Iterator[str]:
    """Give the URL of a PostgreSQL history with one batch; it must be unchanged after the file's tests."""
    name = "attacked"
    postgresql_server.execute("CREATE DATABASE {name} TEMPLATE {template}", name=name, template=postgresql_template)
    try:
        url = postgresql_server.url(name)
        fill(url)
        before = everything(url)
        yield url
        assert everything(url) == before
    finally:
        postgresql_server.execute("DROP DATABASE {name} WITH (FORCE)", name=name)


@pytest.fixture(params=["sqlite", "postgresql"])
def history_url(request: pytest.FixtureRequest) -> str:
    """Give the URL of such a history: once SQLite, once PostgreSQL."""
    url: str = request.getfixturevalue(f"{request.param}_history")
    return url
