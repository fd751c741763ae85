"""`workloads` and `strategies`: what models are asked, and how it is put to them."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.completion import names_of, one_of
from cli.context import State
from cli.options import output_option

if TYPE_CHECKING:
    from bench.templates import Messages
    from bench.workloads import Item, Workload

_TASKS = ("text", "vision", "speech")
_NAME = click.argument("name", shell_complete=names_of("workloads"))


@click.group()
def workloads() -> None:
    """List, show and validate workloads.

    \b
    Example:
      benchbeat workloads show facts --item 7 --strategy few_shot
    """


@workloads.command("list", short_help="List what models can be asked to do.")
@output_option
@click.pass_obj
def list_workloads(state: State, output: str) -> None:
    """List what models can be asked to do, your own from workloads.toml in the home among it.

    \b
    Example:
      benchbeat workloads list
    """
    from report.printing import print_fitting

    columns = ["workload", "task", "kind", "items", "score", "description"]
    print_fitting(columns, list(state.library.summaries()), output, say_equal=True, expendable=["kind"])


@workloads.command("show", short_help="Show the items of a workload, or one as a model gets it.")
@_NAME
@click.option("--item", metavar="ID|N", help="One item: its id, or its number from 1.")
@click.option(
    "--strategy",
    default="direct",
    show_default=True,
    help="How the item is put.",
    shell_complete=names_of("strategies"),
)
@click.option(
    "--save",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the item's picture or clip into a new file.",
)
@click.option("--model", help="Show the prompt to the letter as this model gets it.", shell_complete=names_of("models"))
@output_option
@click.pass_obj
def show_workload(
    state: State, name: str, item: str | None, strategy: str, save: Path | None, model: str | None, output: str
) -> None:
    """Show the items of a workload with their expected answers; with --item the prompt that a strategy makes of one.

    \b
    Examples:
      benchbeat workloads show arithmetic
      benchbeat workloads show arithmetic --item 7 --strategy chain_of_thought
      benchbeat workloads show facts --item facts-007 --model smollm2-135m
      benchbeat workloads show charts --item 3 --save chart.png
    """
    workload = state.library.workload(name)
    if item is None:
        for option, given in (("--model shows the prompt", model), ("--save writes the file", save)):
            if given is not None:
                raise click.UsageError(f"{option} of one item; give --item too")
        _print_items(workload, output)
        if not workload.items:
            state.say(f"{workload.name!r} has no items of its own to show: {workload.description}")
        return
    found = _item(workload, item)
    if save is not None:
        _save(state, workload, found, save)
    if workload.task == "speech":
        click.echo(f"the clip is all that a model gets; what is said in it: {_expected(found)}")
        return
    messages = state.library.strategy(strategy, "--strategy").messages(workload, found.prompt)
    if model is None:
        _print_messages(messages, output)
    else:
        _print_rendered(state, model, messages, output)


@workloads.command("validate", short_help="Find every fault of an own workload's file.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--score", help="The scorer that the workload names.")
@click.option("--task", help="The task that the workload names: text, vision or speech.", shell_complete=one_of(_TASKS))
@output_option
@click.pass_obj
def validate(state: State, file: Path, score: str | None, task: str | None, output: str) -> int:
    """Check FILE: JSON lines, judged by --score, or a TOML file with every [workloads.NAME] that it declares.

    Every fault is named with line and field. Exit code 2 where there is one.

    \b
    Examples:
      benchbeat workloads validate rivers.jsonl --score contains
      benchbeat workloads validate photos.jsonl --score contains --task vision
      benchbeat workloads validate examples/own-model.toml
    """
    from cli.validation import validated
    from report.printing import print_rows

    results = validated(file, score, task)
    faults = [[str(each.file), fault.line, fault.field, fault.message] for each in results for fault in each.faults]
    if output != "table":
        print_rows(["file", "line", "field", "message"], faults, output)
    else:
        for result in results:
            for fault in result.faults:
                click.echo(str(fault.error(str(result.file))))
    for result in results:
        count = len(result.faults)
        said = result.summary if not count else f"{count:,} {'fault' if count == 1 else 'faults'}"
        state.say(f"{result.file}: {said}")
    return 2 if faults else 0


@click.group()
def strategies() -> None:
    """List and show prompt strategies.

    \b
    Example:
      benchbeat strategies show structured --workload facts
    """


@strategies.command("list", short_help="List the ways of prompting.")
@output_option
@click.pass_obj
def list_strategies(state: State, output: str) -> None:
    """List the ways of prompting, your own from strategies.toml in the home among them.

    \b
    Example:
      benchbeat strategies list
    """
    from report.printing import print_rows

    rows = [[strategy.name, strategy.description] for strategy in state.library.strategies.values()]
    print_rows(["strategy", "description"], rows, output)


@strategies.command("show", short_help="Show what a strategy wraps a question in.")
@click.argument("name", shell_complete=names_of("strategies"))
@click.option(
    "--workload", default="facts", show_default=True, help="For this one.", shell_complete=names_of("workloads")
)
@output_option
@click.pass_obj
def show_strategy(state: State, name: str, workload: str, output: str) -> None:
    """Show the messages of a strategy, with {question} where the question goes.

    \b
    Examples:
      benchbeat strategies show role_play
      benchbeat strategies show few_shot --workload arithmetic
    """
    found = state.library.strategy(name).template(state.library.workload(workload, "--workload"))
    _print_messages(found.fill("{question}"), output)
    if found.output_pattern:
        state.say(f"The answer is what matches {found.output_pattern}")


def _print_items(workload: "Workload", output: str) -> None:
    from report.printing import print_fitting

    columns = ["item_id", "level", "language", "prompt", "expected"]
    rows = [[item.id, item.level, item.language, item.prompt, _expected(item)] for item in workload.items]
    if not any(item.language for item in workload.items):
        columns.remove("language")
        rows = [[*row[:2], *row[3:]] for row in rows]
    print_fitting(
        columns, rows, output, say_equal=True, expendable=[name for name in ("language", "level") if name in columns]
    )


def _expected(item: "Item") -> str:
    return item.answer if isinstance(item.answer, str) else " | ".join(item.answer)


def _item(workload: "Workload", wanted: str) -> "Item":
    from bench.errors import InputError, suggest

    by_id = {item.id: item for item in workload.items}
    if wanted in by_id:
        return by_id[wanted]
    if not workload.items:
        raise InputError(f"{workload.name!r} has no items", where="--item")
    if wanted.isdecimal():
        if 1 <= int(wanted) <= len(workload.items):
            return workload.items[int(wanted) - 1]
        raise InputError(f"{workload.name!r} has the items 1 to {len(workload.items)}, not {wanted}", where="--item")
    raise InputError(f"{workload.name!r} has no item {wanted!r}{suggest(wanted, by_id)}", where="--item")


def _save(state: State, workload: "Workload", item: "Item", path: Path) -> None:
    from bench.errors import InputError

    content = workload.media.get(item.media or "")
    if content is None:
        what = "its media lies on the workers" if item.media else "is text alone"
        raise InputError(f"item {item.id!r}: {what}, so there is nothing to write", where="--save")
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError:
        raise InputError(f"{path} exists; give a new file", where="--save") from None
    except OSError as error:
        raise InputError(f"can't write {path}: {error.strerror or error}", where="--save") from None
    state.say(f"{path}: {len(content):,} bytes")


def _print_messages(messages: "Messages", output: str) -> None:
    from report.cells import one_line
    from report.printing import print_rows

    if output != "table":
        print_rows(["role", "content"], [[each["role"], each["content"]] for each in messages], output)
        return
    for number, message in enumerate(messages):
        click.echo(("\n" if number else "") + click.style(message["role"], bold=True))
        for line in message["content"].split("\n"):
            click.echo(f"  {one_line(line)}".rstrip())


def _print_rendered(state: State, model: str, messages: "Messages", output: str) -> None:
    from report.cells import one_line
    from report.printing import print_rows
    from worker.prompting import render_prompt

    rendered = render_prompt(state.settings, state.library.model(model, "--model"), messages)
    if output != "table":
        row = [rendered.text, rendered.tokens, rendered.chat_template]
        print_rows(["prompt", "tokens", "chat_template"], [row], output)
        return
    # Only what a terminal would act on is written out; in a file the prompt is to the letter.
    text = rendered.text
    if sys.stdout.isatty():
        text = "\n".join(one_line(line) for line in text.split("\n"))
    click.echo(text)
    origin = {
        "model": "the model's own format",
        "catalog": "the catalog's format for it",
        "plain": "a plain format, since the model brings none",
    }
    state.say(f"{rendered.tokens} tokens, in {origin[rendered.chat_template]}")
