"""Writing a report: facts are read, pairs are compared, and each chapter says what it can."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import Connection

from bench.catalog import ModelEntry, builtin_models
from db.report_queries import COSTS
from db.report_scope import Scope as Scope
from report.document.costs import cost_sections
from report.document.evidence import Choices, Evidence, Pairs, Speeds
from report.document.facts import Facts, read_facts
from report.document.front import head, models_sections, summary_section
from report.document.missing import missing_sections, read_failures, reasons
from report.document.over_time import read_changes, time_sections
from report.document.parts import Document, Paragraph, Section
from report.document.performance import lead_couples, performance_sections
from report.document.precisions import precision_couples, precision_sections
from report.document.prompting import METRICS, gain_couples, prompting_sections, temperature_couples
from report.document.reading import reading_section
from report.document.recommendations import recommendation_sections
from report.document.settings import settings_couples, settings_sections

TITLE = "Model Benchmark Analysis and Optimisation Report"
_SYNTHETIC = "synthetic"


def build_report(
    connection: Connection,
    scope: Scope,
    *,
    models: Mapping[str, ModelEntry] | None = None,
    made_at: datetime | None = None,
) -> Document:
    """Return the report on the runs of a scope; one on no run at all says so and what to do.

    `models` is the catalog whose unmeasured models are named.
    """
    catalog = builtin_models() if models is None else models
    evidence = Evidence(connection, scope)
    facts = read_facts(evidence)
    made_at = made_at or datetime.now(UTC)
    sections = _sections(evidence, facts, catalog) if facts.environments else [_nothing(scope)]
    sources = tuple(evidence.sources.values())
    return Document(TITLE, made_at, head(facts, scope, made_at), tuple(sections), sources, _warning(facts))


def is_empty(document: Document) -> bool:
    """Return whether a report is about no run."""
    return [section.id for section in document.sections] == ["nothing"]


def _sections(evidence: Evidence, facts: Facts, catalog: Mapping[str, ModelEntry]) -> list[Section]:
    connection, scope = evidence.connection, evidence.scope
    wanted = [lead_couples, temperature_couples, settings_couples, precision_couples]
    compared = [couple for find in wanted for couple in find(facts)] + gain_couples(facts, "accuracy")
    accuracy = Pairs(evidence, compared, "accuracy")
    others = {
        metric: Pairs(evidence, gain_couples(facts, metric), metric) for metric in METRICS if metric != "accuracy"
    }
    gains = {"accuracy": accuracy, **others}
    speeds = Speeds(evidence, [row for task in facts.tasks for row in facts.representative(task)])
    choices = Choices(evidence)
    changes, failures = read_changes(evidence), read_failures(evidence)
    not_measured = reasons(connection, facts, failures, catalog, scope)
    tasks = {name: entry.task for name, entry in catalog.items()}
    summary = summary_section(facts, gains, accuracy, speeds, changes, choices)
    costs = cost_sections(evidence, facts)
    if costs and all(row["source"] == COSTS for row in facts.environments):
        # A history of its own, which no model is missing in.
        return [summary, *costs, *time_sections(evidence, facts, changes), reading_section()]
    return [
        summary,
        *models_sections(facts, not_measured, tasks),
        *performance_sections(evidence, facts, accuracy, speeds),
        *prompting_sections(facts, gains),
        *settings_sections(connection, facts, accuracy),
        *precision_sections(facts, accuracy, speeds),
        *time_sections(evidence, facts, changes),
        *recommendation_sections(facts, speeds, choices),
        *costs,
        *missing_sections(not_measured, facts, failures),
        reading_section(),
    ]


def _nothing(scope: Scope) -> Section:
    said = "No run matches." if scope != Scope() else "Nothing was measured yet."
    todo = "Begin with `benchbeat run --model smollm2-135m --workload facts --items 24`, or ask for a wider span."
    return Section("nothing", "Nothing to Report", 2, (Paragraph((f"{said} {todo}",)),))


def _warning(facts: Facts) -> str | None:
    marked = [row for row in facts.environments if _SYNTHETIC in f"{row['machine']} {row['device_name']}".lower()]
    return "This history is synthetic: none of its figures was measured." if marked else None
