"""The jobs that a sweep expands to, printed."""

from collections.abc import Sequence
from typing import Any

from bench.spec import JobSpec
from report.printing import print_fitting

#: what is shown wherever it has a value; other fields are shown where they vary
_SHOWN = ("model", "workload", "strategy", "temperature", "prompt_tokens", "new_tokens", "items", "precision")


def print_specs(specs: Sequence[JobSpec], output: str) -> None:
    """Print job specifications, with the fields that tell them apart."""
    varying = [name for name in JobSpec.model_fields if len({getattr(spec, name) for spec in specs} - {None}) > 1]
    columns = [
        name for name in dict.fromkeys([*_SHOWN, *varying]) if any(getattr(spec, name) is not None for spec in specs)
    ]
    rows = [[_cell(spec, name, output == "table") for name in columns] for spec in specs]
    # The fields that a user named least come last.
    print_fitting(columns, rows, output, say_equal=True, expendable=list(reversed(columns[3:])))


def _cell(spec: JobSpec, name: str, is_brief: bool) -> Any:
    """Return a field for a cell; brief is a stop rule without what is at its default."""
    value = getattr(spec, name)
    return value.model_dump_json(exclude_defaults=is_brief) if name == "stop" and value is not None else value


def ranges(job_ids: Sequence[int]) -> str:
    """Return ids in words, with neighbours together: "3, 7 to 12"."""
    groups: list[list[int]] = []
    for job_id in sorted(job_ids):
        if groups and job_id == groups[-1][-1] + 1:
            groups[-1][1:] = [job_id]
        else:
            groups.append([job_id])
    return ", ".join(" to ".join(map(str, group)) for group in groups)
