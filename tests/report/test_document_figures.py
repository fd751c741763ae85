"""Every figure of a report equals what its SQL gives through `benchbeat sql`, on both databases."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from db.engine import Database
from db.readonly import select
from db.report_scope import Scope
from report.document.build import build_report
from report.document.parts import Bullets, Cell, Chart, Document, Figure, Paragraph, Table
from tests.db.built_history import NIGHTS, build
from tests.db.compared import store_precisions


def figures(document: Document) -> Iterator[Figure]:
    """Yield every figure of a report, whatever block it stands in."""
    for section in document.sections:
        for block in section.blocks:
            match block:
                case Paragraph():
                    yield from _figures(block.text)
                case Bullets():
                    for item in block.items:
                        yield from _figures(item)
                case Table():
                    for row in block.rows:
                        yield from _figures(row)
                case Chart():
                    for row in block.table.rows:
                        yield from _figures(row)


def _figures(cells: tuple[Cell, ...]) -> Iterator[Figure]:
    yield from (cell for cell in cells if isinstance(cell, Figure))


def check_figures(document: Document, url: str) -> int:
    """Run each source once and compare every figure with its row; returns how many there were."""
    answers: dict[str, list[dict[str, Any]]] = {}
    for source in document.sources:
        with select(url, source.sql) as rows:
            answers[source.id] = [dict(zip(rows.columns, row, strict=True)) for row in rows]
    found = list(figures(document))
    for each in found:
        matching = [
            row for row in answers[each.source] if all(_plain(row[name]) == value for name, value in each.key.items())
        ]
        assert len(matching) == 1, each
        assert _plain(matching[0][each.column]) == each.value, each
        assert each.low is None or each.high is None or each.low <= each.value <= each.high, each
        assert (each.interval is None) == (each.low is None), each
    return len(found)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    return str(value) if isinstance(value, datetime) else value


@pytest.fixture
def built(database_url: str) -> Iterator[Database]:
    """Give a history of three nights on two machines, and of five precisions."""
    database = Database(database_url)
    build(database)
    yield database
    database.dispose()


SCOPES = [
    Scope(),
    Scope(since=NIGHTS[1]),
    Scope(until=NIGHTS[2]),
    Scope(batches=(1, 2, 3, 4, 5, 6)),
    Scope(machines=("lab-a",)),
    Scope(models=("smollm2-135m", "it's % and ? :x")),
]


def test_every_figure_equals_what_its_sql_gives(built: Database) -> None:
    for scope in SCOPES:
        with built.read() as connection:
            document = build_report(connection, scope)
        assert check_figures(document, built.url) > 5


def test_every_figure_of_precisions_equals_what_its_sql_gives(database_url: str) -> None:
    database = Database(database_url)
    store_precisions(database)
    with database.read() as connection:
        document = build_report(connection, Scope())
    assert check_figures(document, database_url) > 20
    assert "precisions" in {section.id for section in document.sections}
    database.dispose()
