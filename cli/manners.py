"""The options that every command takes, before or after its name: --verbose, --quiet and --no-color."""

import os
from typing import Any, TypeVar

import click

from cli.context import State

_Command = TypeVar("_Command", bound=click.Command)


def add_manners(command: click.Command) -> click.Command:
    """Give a command, or the commands of a group, these options; a second time changes nothing."""
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            add_manners(inner)
        return command
    return with_manners(command)


def with_manners(command: _Command) -> _Command:
    """Give these options to the command itself, be it a group."""
    if not any(parameter.name == "no_color" for parameter in command.params):
        command.params += _manners()
    return command


def _manners() -> list[click.Option]:
    return [
        _flag("-v", "--verbose", help="Say more, and show the traceback of an error.", callback=_verbose),
        _flag("-q", "--quiet", help="Print results and errors only.", callback=_quiet),
        _flag("--no-color", help="Print without colours (as NO_COLOR does).", callback=_no_color),
    ]


def _flag(*names: str, **attributes: Any) -> click.Option:
    return click.Option(names, is_flag=True, expose_value=False, is_eager=True, **attributes)


def _verbose(context: click.Context, parameter: click.Parameter, given: bool) -> None:
    if given:
        context.ensure_object(State).verbose = True


def _quiet(context: click.Context, parameter: click.Parameter, given: bool) -> None:
    if given:
        context.ensure_object(State).quiet = True


def _no_color(context: click.Context, parameter: click.Parameter, given: bool) -> None:
    if given:
        context.find_root().color = context.color = False
        os.environ["NO_COLOR"] = "1"  # rich, and the services that this command starts
