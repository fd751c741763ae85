"""`regressions`: what has become slower or faster, and what changed with it."""

from typing import TYPE_CHECKING, Any

import click

from cli.context import State
from cli.history import filter_options, read_filters, say_nothing
from cli.options import output_option

if TYPE_CHECKING:
    from bench.level_changes import LevelChange

REGRESSION_FOUND = 3


@click.command(short_help="Show what became slower or faster, and what changed with it.")
@filter_options
@click.option("--all", "with_refuted", is_flag=True, help="Show also what was suspected and refuted.")
@click.option("--judge", "judge_now", is_flag=True, help="Judge new runs now, as beat does, and queue confirming jobs.")
@output_option
@click.pass_obj
def regressions(state: State, /, with_refuted: bool, judge_now: bool, output: str, **asked: Any) -> int:
    """Show the changes of level in the series of speed runs, each with its size, its interval and what changed with it.

    Beat judges each new run. A change that it suspects is measured again on the same machine, by jobs that it queues
    itself, and counts once these agree. The options choose by the first run of the new level.

    Exit code 3 where a confirmed slow-down stands, 4 where no run matches, else 0.

    \b
    Examples:
      benchbeat regressions
      benchbeat regressions --since 7d --machine lab-mac
      benchbeat regressions --all -o json
    """
    query = read_filters(asked)
    from db.level_changes import changes_in_history

    if judge_now:
        from scheduler.watch import watch

        watch(state.database)
    with state.database.read() as connection:
        found = changes_in_history(connection, query)
    shown = [each for each in found.changes if with_refuted or each.state != "refuted"]
    if not found.runs:
        from report.regressions import COLUMNS

        return say_nothing(state, output, list(COLUMNS), query)
    _print(state, shown, found.runs, found.waiting, output)
    stands = (each.state == "confirmed" and each.is_slower and each.stands for each in found.changes)
    return REGRESSION_FOUND if any(stands) else 0


def _print(state: State, changes: "list[LevelChange]", runs: int, waiting: int, output: str) -> None:
    from report.printing import print_rows
    from report.regressions import COLUMNS, print_changes

    if changes:
        print_changes(changes, output)
    elif output != "table":
        print_rows(COLUMNS, [], output)
    else:
        state.say(f"no change of level in {runs:,} clean speed run{'s' if runs != 1 else ''}")
    if waiting:
        state.say(
            f"{waiting:,} run{'s wait' if waiting != 1 else ' waits'} to be judged: "
            "beat does it (`benchbeat up`), or --judge"
        )
