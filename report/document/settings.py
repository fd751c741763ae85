"""Model-specific optimisation: the best settings of each model by workload, and how sure that is."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from sqlalchemy import Connection, text

from bench.templates import PLACEHOLDER, Template
from report.document.evidence import Couple, Pairs, accuracy
from report.document.facts import ANSWERS, Facts, best_first, place_of, rest_of, use_of
from report.document.parts import Block, Cell, Code, Paragraph, Section, Table
from report.document.prompting import temperature

MOST_MODELS, MOST_GROUPS = 12, 150

_TEMPLATE = "SELECT definition FROM strategy WHERE hash = :hash"
#: what a user chooses; all else must be equal
_CHOICE = ("strategy", "strategy_hash", "temperature", "top_p", "top_k", "samples", "seed")


def settings_groups(facts: Facts) -> list[list[dict[str, Any]]]:
    """Return runs of a model on the same items that differ in strategy and sampling only, the best first."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in facts.answers:
        if row["strategy"] is not None and row["accuracy"] is not None and facts.is_main(row):
            groups[rest_of(row, *_CHOICE)].append(row)
    # Of one workload asked with several samples of items, the one with the most.
    largest: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for group in groups.values():
        key = (group[0]["model"], place_of(group[0]), group[0]["workload"])
        if key not in largest or _size(group) > _size(largest[key]):
            largest[key] = group
    return [best_first(largest[key]) for key in sorted(largest)[:MOST_GROUPS]]


def settings_couples(facts: Facts) -> list[Couple]:
    """Return the pairs (runner-up, best) of settings."""
    return [(group[1]["run_id"], group[0]["run_id"]) for group in settings_groups(facts) if len(group) > 1]


def settings_sections(connection: Connection, facts: Facts, pairs: Pairs) -> list[Section]:
    """Return the chapter on each model's best settings, those with the most workloads first."""
    models: dict[tuple[str, Any], list[list[dict[str, Any]]]] = defaultdict(list)
    for group in settings_groups(facts):
        models[group[0]["model"], place_of(group[0])].append(group)
    if not models:
        return []
    how = (
        "The settings with the best accuracy on each workload. Of several that are equal, the plainest. Where best and "
        "runner-up are not told apart, the plainer of the two is as good a choice."
    )
    sections = [Section("settings", "Model-Specific Prompt Optimisation", 2, (Paragraph((how,)),))]
    ordered = sorted(models.values(), key=lambda groups: (-len(groups), groups[0][0]["model"]))[:MOST_MODELS]
    for number, groups in enumerate(ordered, start=1):
        blocks: list[Block] = [_table(groups, pairs), *_templates(connection, groups)]
        sections.append(Section(f"settings-{number}", facts.label(groups[0][0]), 3, tuple(blocks)))
    return sections


def _size(group: list[dict[str, Any]]) -> tuple[int, int]:
    return group[0]["items"] or 0, len(group)


def _table(groups: list[list[dict[str, Any]]], pairs: Pairs) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for group in groups:
        best = group[0]
        cells = (use_of(best["workload"]), best["strategy"], temperature(best), _top_p(best), accuracy(best, ANSWERS))
        if len(group) < 2:
            rows.append((*cells, "nothing else was tried", None, None))
            continue
        second = group[1]
        couple = (second["run_id"], best["run_id"])
        told = "yes" if pairs.is_shown(couple) else "no"
        rows.append((*cells, f"{second['strategy']} at {temperature(second)}", pairs.figure(couple), told))
    columns = ("For", "Strategy", "Temperature", "Top-p", "Accuracy", "Runner-up", "Lead", "Told apart")
    return Table(f"Optimal settings of {groups[0][0]['model']}", columns, tuple(rows), (ANSWERS, pairs.source))


def _top_p(row: dict[str, Any]) -> str | None:
    return None if row["top_p"] is None else f"{row['top_p']:g}"


def _templates(connection: Connection, groups: list[list[dict[str, Any]]]) -> list[Code]:
    """Return the template of the workload in which the model is best."""
    best = max((group[0] for group in groups), key=lambda row: (row["accuracy"], row["run_id"]))
    digest = json.loads(best["definition"]).get("strategy_hash")
    found = connection.execute(text(_TEMPLATE), {"hash": digest}).scalar()
    try:
        template = Template.parse(found) if found else None
    except (ValueError, KeyError, TypeError):
        return []
    if template is None or not template.messages:
        return []
    said = "\n\n".join(f"{each['role'].capitalize()}: {each['content']}" for each in template.messages)
    caption = f"Template of {best['strategy']} for {use_of(best['workload'])}"
    return [Code(said.replace(PLACEHOLDER, "{question}"), caption)]
