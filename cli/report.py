"""`report`: the findings of the history, as one document."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.completion import names_of
from cli.context import State
from cli.history import why_nothing
from cli.options import ID, names_in
from cli.patience import patience
from cli.whole_files import check_writable, is_special, named, whole

if TYPE_CHECKING:
    from db.report_scope import Scope
    from report.document.parts import Document

_LIST = "V[,V]"
_STDOUT = "-"


@click.command(short_help="Write what the history shows as a report.")
@click.option("--html", metavar="FILE", help="One self-contained page.")
@click.option("--markdown", metavar="FILE", help="Markdown; to standard output where no file is asked for.")
@click.option("--json", "json_file", metavar="FILE", help="The same for programs.")
@click.option("--since", metavar="TIME", help="Runs begun since 7d, yesterday, monday, 2026-05-01.")
@click.option("--until", metavar="TIME", help="Runs begun until then, that day included.")
@click.option("--batch", type=ID, multiple=True, help="Runs of a batch.")
@click.option("--machine", multiple=True, metavar=_LIST, help="Runs of these machines.")
@click.option(
    "--model", "--models", "model", multiple=True, metavar=_LIST, help="Runs of these models.",
    shell_complete=names_of("models"),
)  # fmt: skip
@click.pass_obj
def report(
    state: State,
    html: str | None,
    markdown: str | None,
    json_file: str | None,
    since: str | None,
    until: str | None,
    batch: tuple[int, ...],
    machine: tuple[str, ...],
    model: tuple[str, ...],
) -> int:
    """Write a report: what was measured, what is best for what, what strategies gain, what changed,
    and what is missing.

    Every figure has its interval and the SQL that gave it. A FILE of `-` is standard output.

    \b
    Examples:
      benchbeat report
      benchbeat report --since 30d --html report.html
      benchbeat report --machine mac-mini --markdown report.md
      benchbeat report --models qwen2.5-1.5b,smollm2-135m --json -
    """
    machines, models = names_in(machine, "--machine"), names_in(model, "--model")
    scope = _scope(since, until, batch, machines, models)
    wanted = [(html, _write_html), (markdown, _write_markdown), (json_file, _write_json)]
    files = [(name, write) for name, write in wanted if name is not None]
    if [name for name, _ in files].count(_STDOUT) > 1:
        raise click.UsageError("only one of --html, --markdown and --json can go to standard output")
    if "" in [name for name, _ in files]:
        raise click.UsageError("--html, --markdown and --json need a file's name; `-` is standard output")
    paths = [Path(name).resolve() for name, _ in files if name != _STDOUT]
    if len(set(paths)) < len(paths):
        raise click.UsageError("--html, --markdown and --json need a file each; two of them name the same")
    for name, _ in files:
        if name != _STDOUT:
            check_writable(Path(name))
    if html is not None:
        from report.page.render import check_page

        check_page()
    _check_models(state, scope)
    document = _build(state, scope)
    # All are made before the first is written.
    texts = [(name, write(document)) for name, write in files or [(_STDOUT, _write_markdown)]]
    from report.document.build import is_empty

    if is_empty(document) and not files:
        click.echo(_why_nothing(state, scope), err=True)
        return 4
    for name, text in texts:
        _write(name, text)
        if name != _STDOUT:
            state.say(f"The report is written to {name}")
    if is_empty(document):
        click.echo(_why_nothing(state, scope), err=True)
        return 4
    return 0


def _build(state: State, scope: "Scope") -> "Document":
    from report.document.build import build_report

    with patience(state, "reading the history"), state.database.read() as connection:
        return build_report(connection, scope, models=state.library.models)


def _why_nothing(state: State, scope: "Scope") -> str:
    from db.conditions import Condition

    named = (("model", scope.models), ("machine", scope.machines))
    return why_nothing(state, [Condition(column, "=", name) for column, names in named for name in names])


def _scope(
    since: str | None, until: str | None, batch: tuple[int, ...], machines: tuple[str, ...], models: tuple[str, ...]
) -> "Scope":
    from db.moments import check_span, read_moment
    from db.report_scope import Scope

    check_span(since, until)
    first = None if since is None else read_moment(since).start
    last = None if until is None else read_moment(until).end
    return Scope(first, last, tuple(dict.fromkeys(batch)), machines, models)


def _check_models(state: State, scope: "Scope") -> None:
    """Raise InputError for a model that neither the catalog nor the history knows, with near matches."""
    unknown = [name for name in scope.models if name not in state.library.models]
    if not unknown:
        return
    from sqlalchemy import select

    from bench.errors import InputError, suggest
    from db.tables import model

    with state.database.read() as connection:
        submitted = set(connection.execute(select(model.c.name).distinct()).scalars())
    for name in unknown:
        if name not in submitted:
            raise InputError(
                f"there is no model {name!r}{suggest(name, {*state.library.models, *submitted})}", where="--model"
            )


def _write_html(document: "Document") -> str:
    from report.page.render import render_page

    return render_page(document)


def _write_markdown(document: "Document") -> str:
    from report.markdown import write_markdown

    return write_markdown(document)


def _write_json(document: "Document") -> str:
    from report.json_document import write_json

    return write_json(document)


def _write(name: str, text: str) -> None:
    """Write a file whole or not at all; a link stays one, and a pipe or device is written to."""
    if name == _STDOUT:
        sys.stdout.write(text)
        return
    path = Path(name)
    if is_special(path):
        with named(path):
            path.write_text(text, encoding="utf-8")
        return
    with whole(path) as stream:
        stream.write(text.encode())
