"""The page of every command and option, made of what `--help` says."""

from collections.abc import Iterator
from inspect import cleandoc

import click

from cli.root import benchbeat
from docs.reference.markdown import code, fenced, plain, table

_INTRODUCTION = """# Commands

Every command, with what `--help` says of it. `-v`, `-q` and `--no-color` may stand before or after a command's name.

| exit code | |
|---|---|
| 0 | done |
| 1 | failed |
| 2 | bad input: the message says what, where, and what to do |
| 3 | `regressions`: a confirmed slow-down stands |
| 4 | nothing was measured, or nothing matches |
| 130 | after Ctrl-C; `up`, `worker` and `beat` end with 0 |

Data goes to standard output, all else to standard error. `-o json`, `jsonl`, `csv` and `md` are for programs and
documents; a table is for people, and its layout may change."""


def every_command() -> Iterator[tuple[str, click.Command]]:
    """Yield `benchbeat` and every command in it that is for people, with its full name."""
    yield from _walk("benchbeat", benchbeat)


def commands_page() -> str:
    """Return the page."""
    return "\n\n".join([_INTRODUCTION, *(_section(name, command) for name, command in every_command())]) + "\n"


def _walk(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        with _context(name, command) as context:
            for inner_name in command.list_commands(context):
                inner = command.get_command(context, inner_name)
                assert inner is not None
                if inner.hidden:
                    continue
                yield from _walk(f"{name} {inner_name}", inner)


def _context(name: str, command: click.Command) -> click.Context:
    # A command keeps the first help option that it was asked for: it must be the one of the real command line.
    return click.Context(command, info_name=name, help_option_names=benchbeat.context_settings["help_option_names"])


def _section(name: str, command: click.Command) -> str:
    level = "###" if name.count(" ") > 1 else "##"
    parts = [f"{level} {name}", fenced("text", _usage(name, command)), *_help(command)]
    options = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
    if options:
        parts.append(table(("option", "", "default"), (_option(each) for each in options)))
    return "\n\n".join(parts)


def _usage(name: str, command: click.Command) -> str:
    with _context(name, command) as context:
        return " ".join([name, *command.collect_usage_pieces(context)])


def _help(command: click.Command) -> Iterator[str]:
    for paragraph in cleandoc(command.help or "").split("\n\n"):
        lines = paragraph.removeprefix("\b\n").splitlines()
        title, rest = lines[0], lines[1:]
        if title.endswith(":") and rest and all(line.startswith("  ") for line in rest):
            yield plain(title)
            yield fenced("sh", "\n".join(line.removeprefix("  ") for line in rest))
        else:
            yield plain(" ".join(line.strip() for line in lines))


def _option(option: click.Option) -> tuple[str, str, str]:
    spelled = ", ".join([*option.opts, *option.secondary_opts])
    with click.Context(click.Command("none")) as context:
        value = "" if option.is_flag or option.count else " " + option.make_metavar(context)
        shown = option.get_help_extra(context).get("default", "")
    return code(spelled + value), plain(option.help or ""), code(shown)
