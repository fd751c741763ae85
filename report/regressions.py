"""Changes of levels, printed: a paragraph each for people, a row each for programs."""

from collections.abc import Sequence
from typing import Any

import click

from bench.level_changes import LevelChange, explained, title, told
from report.printing import print_rows, print_text

#: columns for programs
COLUMNS = (
    *("change_id", "series", "state", "kind", "direction", "model", "workload", "precision", "prompt_tokens"),
    *("new_tokens", "batch_size", "device", "machine", "before_seconds", "after_seconds", "ratio", "ratio_low"),
    *("ratio_high", "changed_at", "last_run_id", "first_run_id", "extra_runs", "stands", "environment"),
)


def print_changes(changes: Sequence[LevelChange], output: str) -> None:
    """Print changes, of which there is at least one."""
    if output != "table":
        print_rows(COLUMNS, [_row(each) for each in changes], output)
        return
    for number, each in enumerate(changes):
        if number:
            click.echo()
        first, *others = told(each)
        if not each.stands:
            first += "; another change followed"
        print_text(first)
        for line in others:
            print_text(f"  {line}")
    confirmed = [each for each in changes if each.state == "confirmed"]
    if confirmed:
        click.echo()
        print_text(f"Confirmed: {title(confirmed)}.")


def _row(change: LevelChange) -> list[Any]:
    values = {
        "direction": "slower" if change.is_slower else "faster",
        "ratio_low": change.low,
        "ratio_high": change.high,
        "environment": explained(change.environment) if change.environment else None,
    }
    return [values[name] if name in values else getattr(change, name) for name in COLUMNS]
