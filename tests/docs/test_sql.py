"""The SQL of README.md and docs/, but for docs/sql.md: asked on both databases over three nights of runs."""

from collections.abc import Iterator

import pytest

from db.engine import Database
from db.readonly import select
from db.views import VIEWS
from tests.db.built_history import built
from tests.docs.examples import blocks, command_lines

#: docs/sql.md has a test of its own, with answers that are known
_ELSEWHERE = "docs/sql.md"

IN_BLOCKS = {str(block): block.text for block in blocks("sql") if block.page != _ELSEWHERE}
IN_COMMANDS = {
    str(line): line.words[2]
    for line in command_lines()
    if line.words[:2] == ("benchbeat", "sql") and len(line.words) > 2
}
STATEMENTS = IN_BLOCKS | IN_COMMANDS


@pytest.fixture(scope="module")
def urls(shared_sqlite: Database, shared_postgresql: Database) -> Iterator[dict[str, str]]:
    """Give the URL of the built history in each database."""
    with built(shared_sqlite, shared_postgresql):
        yield {"sqlite": shared_sqlite.url, "postgresql": shared_postgresql.url}


def test_there_is_sql_of_pages_commands_and_views() -> None:
    assert len(IN_BLOCKS) >= 5 + len(VIEWS)
    assert len(IN_COMMANDS) >= 5


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_can_be_asked(urls: dict[str, str], name: str, dialect: str) -> None:
    with select(urls[dialect], STATEMENTS[name]) as rows:
        assert rows.columns
        assert all(len(row) == len(rows.columns) for row in rows)
