"""What a sweep would do, printed before it is submitted: its axes, its jobs, and how long they will take."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from bench.spec import JobSpec
from report.cells import shown
from report.jobs import print_specs
from report.printing import print_rows, print_text

if TYPE_CHECKING:  # the database costs a quarter of a second, and there may be none to ask
    from db.estimates import Estimate

#: jobs that are shown without --verbose
_JOBS_SHOWN = 12
#: values of an axis that are shown
_VALUES_SHOWN = 12
#: fields that say what a job is even where they do not vary
_ALWAYS = ("model", "workload")


def print_plan(
    specs: Sequence[JobSpec], summary: str, estimate: "Estimate | None", *, with_every_job: bool = False
) -> None:
    """Print the axes, the first jobs or all of them, and on standard error the summary and the estimate."""
    print_rows(["axis", "values", "n"], _axes(specs), "table")
    click.echo()
    first = specs if with_every_job else specs[:_JOBS_SHOWN]
    print_specs(first, "table")
    if len(first) < len(specs):
        print_text(f"... and {len(specs) - len(first):,} more (--verbose or -o csv shows them)")
    click.echo()
    print_text(f"{summary}; nothing was stored", err=True)
    print_text(_time(estimate, len(specs)), err=True)


def _axes(specs: Sequence[JobSpec]) -> list[list[Any]]:
    rows = []
    for name in JobSpec.model_fields:
        values = list(dict.fromkeys(value for spec in specs if (value := getattr(spec, name)) is not None))
        if len(values) > 1 or (values and name in _ALWAYS):
            texts = [_text(value) for value in values[:_VALUES_SHOWN]]
            more = [f"... {len(values) - _VALUES_SHOWN:,} more"] if len(values) > _VALUES_SHOWN else []
            rows.append([name, ", ".join(texts + more), len(values)])
    return rows


def _text(value: Any) -> str:
    return shown(value, "") if not hasattr(value, "model_dump_json") else str(value.model_dump_json())


def _time(estimate: "Estimate | None", jobs: int) -> str:
    if estimate is None or not estimate.known:
        return "How long it will take is not known yet: no such job was measured before."
    text = f"It will take about {duration_in_words(estimate.seconds)} on one machine, going by earlier runs"
    if estimate.unknown:
        return f"{text}; {estimate.unknown:,} of the {jobs:,} jobs have none to go by and come on top."
    return text + "."


def duration_in_words(seconds: float) -> str:
    """Return a length of time in its two largest units: 45 s, 3 min 20 s, 2 h 5 min, 3 d 4 h."""
    whole = max(1, round(seconds))
    for unit, size, below, part in (("d", 86_400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit}" + (f" {rest} {below}" if rest else "")
    return f"{whole} s"
