"""What is missing: models that were not measured with the reason, and what else the report leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, func, select

from bench.catalog import ModelEntry
from db import report_queries as queries
from db.tables import worker
from report.document.evidence import Evidence, figure
from report.document.facts import PLACES, Facts
from report.document.parts import Block, Bullets, Figure, Paragraph, Section, Text

FAILED = "failures"
_LONGEST_ERROR = 300
_MOST = 20


def read_failures(evidence: Evidence) -> list[dict[str, Any]]:
    """Return why jobs failed, by model."""
    return evidence.ask(FAILED, queries.failures(evidence.scope))


def reasons(
    connection: Connection, facts: Facts, failures: list[dict[str, Any]], models: Mapping[str, ModelEntry], scope: Any
) -> dict[str, Text]:
    """Return each model that was not measured with the reason; of the catalog, or of those that the report names."""
    measured = {row["model"] for row in (*facts.speed, *facts.answers)}
    wanted = set(scope.models) if scope.models else set(models) | {row["model"] for row in failures}
    largest = connection.execute(select(func.max(worker.c.memory_mib))).scalar()
    found: dict[str, Text] = {}
    for name in sorted(wanted - measured):
        failed = next((row for row in failures if row["model"] == name), None)
        found[name] = _reason(name, failed, models.get(name), largest)
    return found


def _reason(name: str, failed: dict[str, Any] | None, entry: ModelEntry | None, largest: int | None) -> Text:
    gated = "gated, " if entry is not None and entry.gated else ""
    if failed is not None:
        jobs = figure(failed, "jobs", FAILED, key=("model", "last_job_id"), unit="count")
        why = _short(failed["error"] or "no reason was kept")
        return (f"{name}: {gated}not measured. Jobs that failed: ", *((jobs,) if jobs else ()), f"; {why}")
    if gated:
        return (f"{name}: gated, not measured.",)
    if entry is not None and largest is not None and min(map(entry.memory_mib, entry.memory_gib)) > largest:
        return (f"{name}: not measured; it is too big for any worker that was seen.",)
    return (f"{name}: not measured.",)


def missing_sections(not_measured: Mapping[str, Text], facts: Facts, failures: list[dict[str, Any]]) -> list[Section]:
    """Return the chapter of what is missing."""
    items = [*list(not_measured.values())[:_MOST], *_failed(failures, not_measured)]
    items += _left_out(facts)
    blocks: list[Block] = (
        [Bullets(tuple(items))] if items else [Paragraph(("Nothing that the report asks for is missing.",))]
    )
    return [Section("missing", "What Is Missing", 2, tuple(blocks))]


def _failed(failures: list[dict[str, Any]], told: Mapping[str, Text]) -> list[Text]:
    found: list[Text] = []
    for row in failures:
        jobs = figure(row, "jobs", FAILED, key=("model", "last_job_id"), unit="count")
        if jobs is not None and row["model"] not in told:
            word = "job of" if jobs.value == 1 else "jobs of"
            found.append((jobs, f" {word} {row['model']} failed: {_short(row['error'] or 'no reason was kept')}"))
    return found[:_MOST]


def _left_out(facts: Facts) -> list[Text]:
    items: list[Text] = []
    for row in facts.environments:
        if row["source"] not in ("benchbeat", queries.COSTS):
            runs = _runs(row, "runs")
            items.append((*runs, f" imported from {row['source']} are left out of every table and picture."))
    return items[:_MOST]


def _runs(row: dict[str, Any], column: str) -> tuple[Figure, ...]:
    found = figure(row, column, PLACES, key=("first_run_id", "last_run_id"), unit="count")
    return () if found is None else (found,)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_ERROR else line[: _LONGEST_ERROR - 3] + "..."
