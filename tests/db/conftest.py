"""Fixtures of the database's tests."""

from collections.abc import Iterator

import pytest

from db.engine import Database


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Give an empty, upgraded database: once SQLite, once PostgreSQL."""
    opened = Database(database_url)
    yield opened
    opened.dispose()
