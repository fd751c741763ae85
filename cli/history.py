"""`history`: what was measured, the best of it, and what strategies gain."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bench.garbage import uncollected
from cli.completion import columns_of, names_of, one_of
from cli.context import State
from cli.options import COUNT, ID, names_in, output_option

if TYPE_CHECKING:
    from db.conditions import Condition
    from db.history import Query

_Command = TypeVar("_Command", bound=Callable[..., Any])

_LIST = "V[,V]"
_COLUMNS = columns_of("history")
_METRICS = ("accuracy", "readability", "consistency", "quality")


def _filter(name: str, help_text: str, **attributes: Any) -> Callable[[_Command], _Command]:
    return click.option(f"--{name}", multiple=True, metavar=_LIST, help=help_text, **attributes)


_FILTERS = (
    click.option("--batch", type=ID, multiple=True, help="Runs of a batch."),
    _filter("model", "Runs of these models.", shell_complete=names_of("models")),
    _filter("workload", "Runs of these workloads.", shell_complete=names_of("workloads")),
    _filter("strategy", "Runs with these strategies.", shell_complete=names_of("strategies")),
    _filter("machine", "Runs of these machines."),
    _filter("device", "Runs on these kinds of device.", shell_complete=one_of(("cpu", "cuda", "mps"))),
    _filter(
        "precision",
        "Runs in these precisions.",
        shell_complete=one_of(("float32", "float16", "bfloat16", "int8", "int4")),
    ),
    _filter("series", "Runs of these series."),
    click.option(
        "--where", multiple=True, metavar="CONDITION", help="Runs with, say, accuracy>=0.5 or precision~float."
    ),
    click.option("--label", multiple=True, metavar="K=V", help="Runs of batches with this label."),
    click.option("--since", metavar="TIME", help="Begun since 7d, yesterday, monday, 2026-05-01."),
    click.option("--until", metavar="TIME", help="Begun until then, that day included."),
)


def filter_options(command: _Command) -> _Command:
    """Add the options that choose runs; `read_filters` reads them."""
    added: Any = command
    for option in reversed(_FILTERS):
        added = option(added)
    result: _Command = added
    return result


@click.command(short_help="Show what was measured, and what strategies gain.")
@filter_options
@click.option(
    "--columns", metavar="C[,C]", help="These columns, or `all`, instead of the usual ones.", shell_complete=_COLUMNS
)
@click.option("--sort", metavar="C[,C]", help="Sort by these; -C for the largest first.", shell_complete=_COLUMNS)
@click.option("--group-by", metavar="C[,C]", help="Medians of the runs that agree in these.", shell_complete=_COLUMNS)
@click.option(
    "--best-by",
    metavar="METRIC",
    help="The best run of each model and workload, by accuracy, say.",
    shell_complete=_COLUMNS,
)
@click.option(
    "--gain",
    is_flag=False,
    flag_value="accuracy",
    metavar="[METRIC]",
    help="What strategies gain over direct, item by item, in accuracy (or readability, consistency, quality).",
    shell_complete=one_of(_METRICS),
)
@click.option(
    "--trend",
    is_flag=False,
    flag_value="",
    metavar="[FIGURE]",
    help="How each series went: its last 30 clean runs as a line, and its last confirmed change.",
    shell_complete=_COLUMNS,
)
@click.option("--limit", type=COUNT, help="So many rows.  [default: 50 runs or trends; all groups, bests and gains]")
@output_option
@click.pass_obj
@uncollected()
def history(state: State, /, gain: str | None, trend: str | None, output: str, **asked: Any) -> int:
    """Show the last runs, oldest first; or with an option groups of them, the best ones, gains, or trends.

    Any column of the view `history` can be named in --where, --columns, --sort and --group-by, and labels as
    labels.NAME; `benchbeat sql` lists them.

    \b
    Examples:
      benchbeat history --workload arithmetic --since 7d --sort -accuracy
      benchbeat history --where "accuracy>=0.5" --columns model,strategy,accuracy
      benchbeat history --group-by model,strategy --workload facts,arithmetic
      benchbeat history --best-by accuracy
      benchbeat history --gain
      benchbeat history --gain readability --workload writing --batch 3 -o csv
      benchbeat history --trend --model qwen2.5-1.5b
    """
    query = _query(asked)
    if trend is not None:
        return _print_trends(state, query, trend or None, output, has_gain=gain is not None)
    if gain is not None:
        return _print_gains(state, replace(query, limit=asked["limit"]), gain, output)
    return print_history(state, query, output)


def query_of_batch(batch_id: int) -> "Query":
    """Return what asks for every run of a batch."""
    from db.conditions import Condition
    from db.history import Query

    return Query((Condition("batch", "=", str(batch_id)),))


def print_history(state: State, query: "Query", output: str, *, says_nothing: bool = True) -> int:
    """Print what a query finds; exit code 4 where that is nothing, which is said but where the caller says it."""
    from db.history import history as read_history
    from report.runs import print_runs

    with state.database.read() as connection:
        rows = read_history(connection, query)
    if not rows.rows:
        columns = list(rows.columns)
        return say_nothing(state, output, columns, query) if says_nothing else _none(output, columns)
    print_runs(rows, output, is_chosen=bool(query.columns))
    return 0


def _query(asked: dict[str, Any]) -> "Query":
    from db.columns import KINDS

    columns = tuple(KINDS["history"]) if asked["columns"] == "all" else _list(asked["columns"])
    is_plain = not (asked["group_by"] or asked["best_by"])
    return replace(
        read_filters(asked),
        columns=columns,
        sort=_list(asked["sort"]),
        group_by=_list(asked["group_by"]),
        best_by=asked["best_by"],
        limit=asked["limit"] or (50 if is_plain else None),
    )


def read_filters(asked: dict[str, Any]) -> "Query":
    """Return what the options of `filter_options` choose. Raises InputError."""
    from bench.labels import read_labels
    from db.conditions import Condition
    from db.history import Query

    conditions = [
        Condition(name, "=", str(value))
        for name in ("batch", "model", "workload", "strategy", "machine", "device", "precision", "series")
        for value in (asked[name] if name == "batch" else names_in(asked[name], f"--{name}"))
    ]
    return Query(
        conditions=(*conditions, *map(Condition.parse, asked["where"])),
        labels=read_labels(asked["label"], "--label"),
        since=asked["since"],
        until=asked["until"],
    )


def _print_gains(state: State, query: "Query", metric: str, output: str) -> int:
    from bench.errors import InputError
    from db.gains import gains
    from report.gains import COLUMNS, print_gains

    if query.group_by or query.best_by or query.columns or query.sort:
        raise InputError("goes without --group-by, --best-by, --columns and --sort", where="--gain")
    with state.database.read() as connection:
        # A limit is of gains, not of the runs that they stand on.
        found = gains(connection, replace(query, limit=None), metric)
    if not found:
        if output != "table":
            say_nothing(state, output, list(COLUMNS), query)
        else:
            again = " asked more than once" if metric == "consistency" else ""
            state.say(f"no strategy was measured beside `direct` on the same items{again} yet")
        return 4
    print_gains(found[: query.limit], output)
    return 0


def _print_trends(state: State, query: "Query", figure: str | None, output: str, *, has_gain: bool) -> int:
    from bench.errors import InputError
    from db.trends import trends
    from report.trends import COLUMNS, print_trends

    if has_gain or query.group_by or query.best_by or query.columns or query.sort:
        raise InputError("goes without --gain, --group-by, --best-by, --columns and --sort", where="--trend")
    with state.database.read() as connection:
        found = trends(connection, query, figure)
    if not found:
        return say_nothing(state, output, list(COLUMNS), query)
    print_trends(found, output)
    return 0


def say_nothing(state: State, output: str, columns: list[str], query: "Query") -> int:
    """Say why there is nothing to show, and return exit code 4."""
    code = _none(output, columns)
    click.echo(why_nothing(state, query.conditions), err=True)
    return code


def why_nothing(state: State, conditions: "Sequence[Condition]") -> str:
    """Return that no run matches, and which name is unknown, or that there is no run at all."""
    from db.history import Query
    from db.history import history as read_history
    from db.names import unknown_names

    with state.database.read() as connection:
        if not read_history(connection, Query(limit=1)).rows:
            return "nothing was measured yet; begin with `benchbeat run`"
        unknown = unknown_names(connection, conditions)
    return f"no run matches{': ' if unknown else ''}{'. '.join(unknown)}"


def _none(output: str, columns: list[str]) -> int:
    from report.printing import print_rows

    if output != "table":
        print_rows(columns, [], output)
    return 4


def _list(text: str | None) -> tuple[str, ...]:
    return tuple(part for each in (text or "").split(",") if (part := each.strip()))
