"""What a report says: its chapters in order, one run only, what is missing, and what it leaves out."""

from collections.abc import Iterator

import pytest
from sqlalchemy import update

from bench.catalog import ModelEntry
from db.engine import Database
from db.report_scope import Scope
from db.runs import store_measurement
from db.tables import run, series_key
from report.document.build import build_report, is_empty
from report.document.parts import Document
from report.markdown import write_markdown
from tests.db.builders import RESOLVED, add_jobs, add_worker, claimed_by, measurement
from tests.db.built_history import build

GATED = ModelEntry(
    name="gated", task="text", source="hub:a/b", gated=True, precision="float16", memory_gib={"float16": 1.0}
)
HUGE = ModelEntry(name="huge", task="text", source="hub:a/c", precision="float16", memory_gib={"float16": 1000.0})
OTHER = ModelEntry(name="other", task="text", source="hub:a/d", precision="float16", memory_gib={"float16": 1.0})


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    """Give an empty history."""
    opened = Database(sqlite_url)
    yield opened
    opened.dispose()


def report_on(database: Database, scope: Scope | None = None, *models: ModelEntry) -> Document:
    """Return a report, with these models as the catalog."""
    with database.read() as connection:
        return build_report(connection, scope or Scope(), models={each.name: each for each in models})


def store_one(database: Database) -> None:
    """Store one run of two items, of which one was answered rightly."""
    worker = add_worker(database)
    add_jobs(database)
    job = claimed_by(database, worker)
    measured = {"items": 2, "accuracy": 0.5, "accuracy_stderr": 0.5, "latency_seconds": 0.5}
    store_measurement(database, job.id, job.attempt, "machine-a", measurement(measured, resolved=RESOLVED))


def test_the_chapters_are_in_order(database: Database) -> None:
    build(database)
    document = report_on(database)
    assert [section.title for section in document.sections if section.level == 2] == [
        "Executive Summary",
        "Models Analysed",
        "Benchmark Results and Analysis",
        "Prompt Engineering Optimisation Results",
        "Model-Specific Prompt Optimisation",
        "Weight Optimisation",
        "Change Over Time",
        "Recommendations",
        "What Is Missing",
        "How to Read This",
    ]
    assert len({section.id for section in document.sections}) == len(document.sections)
    head = dict(document.head)
    assert head["Machines"] == "lab-a, lab-b"
    assert head["Hardware"] == "Test CPU"
    assert head["Span"] == "2026-05-02 02:00 to 2026-05-05 02:18 (UTC)"


def test_what_was_not_measured_is_named_with_the_reason(database: Database) -> None:
    build(database)
    written = write_markdown(report_on(database, None, GATED, HUGE, OTHER))
    assert "- gated: gated, not measured." in written
    assert "- huge: not measured; it is too big for any worker that was seen." in written
    assert "- other: not measured." in written
    assert "2 jobs of" in written or "1 job of" in written


def test_one_run_is_enough(database: Database) -> None:
    store_one(database)
    document = report_on(database)
    assert not is_empty(document)
    assert "This report is about 1 model (1 text)" in write_markdown(document)


def test_an_empty_history_says_so(database: Database) -> None:
    document = report_on(database)
    assert is_empty(document)
    assert "Nothing was measured yet" in write_markdown(document)
    assert "No run matches" in write_markdown(report_on(database, Scope(models=("tiny",))))


def test_a_hostile_name_does_no_harm(database: Database) -> None:
    name = "<script>|'; drop table run -- % ? :x" + "x" * 200
    store_one(database)
    with database.write() as connection:
        connection.execute(update(run).values(model=name))
        connection.execute(update(series_key).values(model=name))
    written = write_markdown(report_on(database, Scope(models=(name,))))
    assert "<script>" not in written.split("## The SQL behind the figures")[0]
    assert "This report is about 1 model" in written


def test_a_difference_is_only_told_where_it_is_shown(database: Database) -> None:
    build(database)
    written = write_markdown(report_on(database))
    # Of six items each, nothing can be shown of right and wrong answers.
    assert "Improvement: no difference shown" in written
