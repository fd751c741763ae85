"""What benchbeat costs, in a report: the table, the pictures of growth, and where every figure comes from."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from db.engine import Database
from db.report_scope import Scope
from report.charts.data import Growth
from report.charts.draw import draw
from report.document.build import build_report
from report.document.parts import Chart, Document, Section, Table
from report.markdown import write_markdown
from tests.bench.imports.reading import data, runs
from tests.db.imported import store
from tests.report.test_document_figures import check_figures

FIRST, SECOND = "2026-11-25T10:00:00+00:00", "2026-11-26T10:00:00+00:00"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Give an empty history in each kind of database."""
    opened = Database(database_url)
    yield opened
    opened.dispose()


def record(database: Database, moment: str = SECOND, scale: float = 1.0, **head: Any) -> None:
    """Store the fixture's table as of a moment, its times so many times as long."""
    table = json.loads(data("make-bench.json")) | {"taken_at": moment, "finished_at": moment} | head
    for row in table["results"]:
        row["values"] = [each * scale for each in row["values"]]
    store(database, runs(json.dumps(table)), key=moment, machine_id="machine-a")


def report_on(database: Database, scope: Scope | None = None) -> Document:
    """Return a report that knows no model."""
    with database.read() as connection:
        return build_report(connection, scope or Scope(), models={})


def section(document: Document, name: str) -> Section:
    """Return a section."""
    return next(each for each in document.sections if each.id == name)


def words(table: Table) -> list[tuple[Any, ...]]:
    """Return the cells of a table, figures by their values."""
    return [tuple(getattr(cell, "value", cell) for cell in row) for row in table.rows]


def test_the_table_has_the_last_figures_beside_the_bare_thing(database: Database) -> None:
    record(database, FIRST, scale=3)
    record(database)
    document = report_on(database)
    table = section(document, "costs").blocks[1]
    assert isinstance(table, Table)
    claim = "claim-sqlite/claim-from-n-queued-jobs"
    assert words(table) == [
        (f"{claim}@10000", 10_000, pytest.approx(0.45), pytest.approx(0.3), 1.5, "met"),
        (f"{claim}@100000", 100_000, pytest.approx(0.9), pytest.approx(0.6), 1.5, "missed"),
        ("memory/workers-main-process-after-a-job", None, 76.5, None, None, "met"),
        ("memory/modules-of-torch-in-the-three", None, 0, None, None, None),
    ]
    assert check_figures(document, database.url) > 12


def test_sizes_are_drawn_as_growth_with_their_table(database: Database) -> None:
    record(database)
    (chart,) = section(report_on(database), "growth").blocks
    assert isinstance(chart, Chart)
    assert isinstance(chart.data, Growth)
    assert chart.title == "Growth of claim"
    told = "Claim from n queued jobs: SQLite 2 times as long from n = 10,000 to 100,000. Both axes"
    assert chart.description.startswith(told)
    assert (chart.data.x_unit, chart.data.y_unit) == ("n", "s")
    ours, bare = chart.data.lines
    assert (ours.label, bare.label) == ("SQLite", "SQLite, bare")
    assert [x for x, _ in ours.points] == [10_000, 100_000]
    assert [y for _, y in ours.points] == pytest.approx([0.00045, 0.0009])
    assert [y for _, y in bare.points] == pytest.approx([0.0003, 0.0006])
    assert [row[1:] for row in words(chart.table)] == [
        (10_000, pytest.approx(0.45)),
        (100_000, pytest.approx(0.9)),
        (10_000, pytest.approx(0.3)),
        (100_000, pytest.approx(0.6)),
    ]
    drawn = draw(chart.data)
    assert "SQLite, bare" in drawn.wide
    assert "100,000" in drawn.wide


def test_one_size_makes_no_picture(database: Database) -> None:
    table = json.loads(data("make-bench.json"))
    store(database, runs(json.dumps(table | {"results": table["results"][:1]})), machine_id="machine-a")
    document = report_on(database)
    assert section(document, "costs")
    assert "growth" not in [each.id for each in document.sections]


def test_a_span_takes_the_last_run_within_it(database: Database) -> None:
    record(database, FIRST, scale=3)
    record(database)
    # 2026-11-26 00:00 UTC
    document = report_on(database, Scope(until=1_795_651_200.0))
    table = section(document, "costs").blocks[1]
    assert isinstance(table, Table)
    assert words(table)[0][2] == pytest.approx(1.35)
    assert check_figures(document, database.url) > 12


def test_two_machines_are_never_mixed(database: Database) -> None:
    record(database)
    store(database, runs(data("make-bench.json")), key="b", machine_id="machine-b")
    document = report_on(database)
    table = section(document, "costs").blocks[1]
    assert isinstance(table, Table)
    assert table.columns[0] == "Machine"
    titles = [block.title for block in section(document, "growth").blocks if isinstance(block, Chart)]
    assert titles == ["Growth of claim on machine-a", "Growth of claim on machine-b"]
    assert check_figures(document, database.url) > 24


def test_a_history_of_models_has_no_such_chapter_and_costs_are_not_said_to_be_left_out(database: Database) -> None:
    store(database, runs(data("llama-bench.json")), key="llama", machine_id="machine-a")
    text = write_markdown(report_on(database))
    assert "What benchbeat Costs" not in text
    record(database)
    text = write_markdown(report_on(database))
    assert "What benchbeat Costs" in text
    assert "imported from llama-bench are left out" in text
    assert "imported from make-bench are left out" not in text


def test_a_history_of_costs_alone_misses_no_model(database: Database) -> None:
    record(database)
    with database.read() as connection:
        document = build_report(connection, Scope())
    assert [section.id for section in document.sections] == ["summary", "costs", "growth", "time", "reading"]
