"""The help of every command: its examples can be typed, and it fits into a terminal of 80 columns."""

import shlex
from collections.abc import Iterator

import click
import pytest

from cli.root import COMMANDS, benchbeat

# As a real call has them: a command keeps the names that it first hears of.
_HELP = ["-h", "--help"]


def walk(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield a command and those in it."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from walk(inner, (*path, name))


EVERY = {" ".join(path): command for path, command in walk(benchbeat, ("benchbeat",))}


def examples(command: click.Command) -> list[str]:
    """Return the command lines in a command's help."""
    lines = [line.strip() for line in (command.help or "").splitlines()]
    return [line for line in lines if line.startswith(("benchbeat ", "eval "))]


def words(line: str) -> list[str]:
    """Return the words of `benchbeat ...` in a line of a shell, up to a pipe or the end of a file name."""
    found = shlex.split(line[line.index("benchbeat") :].replace(')"', ""), comments=True)
    end = next((place for place, word in enumerate(found) if word in ("|", ">")), len(found))
    return found[1:end]


def parse(command: click.Command, name: str, arguments: list[str], parent: click.Context | None = None) -> None:
    """Parse arguments as the command would, and those of the command in it, running nothing."""
    context = command.make_context(name, list(arguments), parent=parent)
    with context:
        if isinstance(command, click.Group):
            rest = [*context._protected_args, *context.args]
            if rest:
                inner_name, inner, left = command.resolve_command(context, rest)
                assert inner is not None
                assert inner_name is not None
                parse(inner, inner_name, left, context)


@pytest.mark.parametrize("name", EVERY)
def test_every_command_has_an_example_of_itself(name: str) -> None:
    found = examples(EVERY[name])
    assert found
    assert any(line.startswith(name) or f"$({name}" in line for line in found)


@pytest.mark.parametrize("line", sorted({line for command in EVERY.values() for line in examples(command)}))
def test_every_example_is_a_command_line(line: str) -> None:
    parse(benchbeat, "benchbeat", words(line))


@pytest.mark.parametrize("line", ["benchbeat history --limits 3", "benchbeat modls list", "benchbeat export --to"])
def test_a_wrong_example_would_be_found(line: str) -> None:
    with pytest.raises(click.UsageError):
        parse(benchbeat, "benchbeat", words(line))


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("width", [80, 100])
def test_help_fits(name: str, width: int) -> None:
    # Of a wider terminal help takes 100 columns.
    context = click.Context(EVERY[name], info_name=name, terminal_width=width, help_option_names=_HELP)
    lines = EVERY[name].get_help(context).splitlines()
    assert max(map(len, lines)) <= width
    # An option so long that its words begin on the next line pushes everything to the right.
    options = [line for line in lines if line.startswith("  -")]
    assert all("  " in line.strip() for line in options)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_each_on_one_line(name: str) -> None:
    with click.Context(benchbeat, info_name="benchbeat", terminal_width=80, help_option_names=_HELP) as context:
        lines = benchbeat.get_help(context).splitlines()
    width = max(map(len, COMMANDS)) + 2
    assert f"  {name:<{width}}{COMMANDS[name][2]}" in lines
