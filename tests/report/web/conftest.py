"""The pages over a history of three nights, on both databases."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection
from werkzeug.test import TestResponse

from db.engine import Database
from report.web.app import Site, make_app
from report.web.guard import Door
from report.web.live_report import LiveReport
from report.web.reading import Reading
from tests.db.built_history import build
from tests.services import PostgreSQLServer

#: what every local request says
HERE = {"HTTP_HOST": "127.0.0.1:8321"}
#: a name that would do harm where it is not escaped
EVIL = '<script>alert("x")</script>|\u202e\x1b[31m' + "long" * 50


class Browser(FlaskClient):
    """A client that reads every answer to its end."""

    def open(self, *arguments: Any, **options: Any) -> TestResponse:
        """Ask for an address."""
        return super().open(*arguments, **({"buffered": True} | options))


Open = Callable[..., FlaskClient]


def made_up_report(connection: Connection) -> str:
    """Stand for the report."""
    return "<!doctype html><title>Report</title><h1>Made up</h1>"


@pytest.fixture(scope="session")
def web_sqlite(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Give the URL of a SQLite history of three nights, which nobody may change."""
    path = tmp_path_factory.mktemp("web") / "history.db"
    shutil.copyfile(sqlite_template, path)
    url = f"sqlite:///{path}"
    _fill(url)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # so that the one file holds everything
    connection.close()
    return url


@pytest.fixture(scope="session")
def web_postgresql(postgresql_server: PostgreSQLServer, postgresql_template: str) -> Iterator[str]:
    """Give the URL of the same on PostgreSQL."""
    name = "web_pages"
    postgresql_server.execute("CREATE DATABASE {name} TEMPLATE {template}", name=name, template=postgresql_template)
    url = postgresql_server.url(name)
    _fill(url)
    yield url
    postgresql_server.execute("DROP DATABASE {name} WITH (FORCE)", name=name)


@pytest.fixture(params=["sqlite", "postgresql"])
def web_url(request: pytest.FixtureRequest) -> str:
    """Give the URL of such a history: once SQLite, once PostgreSQL."""
    url: str = request.getfixturevalue(f"web_{request.param}")
    return url


@pytest.fixture
def browse() -> Iterator[Open]:
    """Give a function that opens the pages over a database, closed after the test."""
    opened: list[tuple[Database, Reading, Flask]] = []

    def make(url: str, token: str | None = None) -> FlaskClient:
        database, reading = Database(url), Reading(url)
        app = make_app(Site(database, reading, Door(token), made_up_report))
        opened.append((database, reading, app))
        app.test_client_class = Browser
        client = app.test_client()
        client.environ_base.update(HERE)
        return client

    yield make
    for database, reading, app in opened:
        report: LiveReport = app.extensions["benchbeat_report"]
        report.wait(20)
        reading.close()
        database.dispose()


@pytest.fixture
def pages(web_url: str, browse: Open) -> FlaskClient:
    """Give the pages over such a history."""
    return browse(web_url)


def _fill(url: str) -> None:
    database = Database(url)
    build(database)
    with database.write() as connection:
        for table, column in (("run", "model"), ("batch", "name")):
            statement = f"UPDATE {table} SET {column} = %(evil)s WHERE id = 5"
            marks = statement.replace("%(evil)s", ":evil") if database.is_sqlite else statement
            connection.exec_driver_sql(marks, {"evil": EVIL})
    database.dispose()
