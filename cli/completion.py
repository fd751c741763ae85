"""`benchbeat completion`, and the names that a shell completes."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from bench.library import Library

_Complete = Callable[[click.Context, click.Parameter, str], list[str]]


@click.command(short_help="Print what makes a shell complete commands and names.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that makes SHELL complete commands, options and the names of models, workloads and strategies.

    \b
    Examples:
      eval "$(benchbeat completion bash)"        # in ~/.bashrc
      eval "$(benchbeat completion zsh)"         # in ~/.zshrc, after compinit
      benchbeat completion fish > ~/.config/fish/completions/benchbeat.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    root = click.get_current_context().find_root().command
    # Not `source()`: it also asks for bash's version, which is not needed to print a script.
    script = kind(root, {}, "benchbeat", "_BENCHBEAT_COMPLETE")
    click.echo(script.source_template % script.source_vars())


def names_of(kind: str) -> _Complete:
    """Return the completion of a comma-separated list of `models`, `workloads` or `strategies`."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
        library = _library(context)
        return _in_list(getattr(library, kind) if library else (), incomplete)

    return complete


def one_of(words: Iterable[str]) -> _Complete:
    """Return the completion of a comma-separated list of fixed words."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
        return _in_list(words, incomplete)

    return complete


def columns_of(view: str) -> _Complete:
    """Return the completion of a comma-separated list of a view's columns."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
        from db.columns import KINDS

        return _in_list(KINDS[view], incomplete)

    return complete


def _in_list(words: Iterable[str], incomplete: str) -> list[str]:
    """Return the words that continue the last one of a list such as `facts,ari`."""
    before, comma, last = incomplete.rpartition(",")
    taken = before.split(",")
    return [before + comma + word for word in words if word.startswith(last) and word not in taken]


def _library(context: click.Context) -> "Library | None":
    from bench.errors import BenchbeatError
    from bench.library import load_library
    from db.settings import load_settings

    try:
        settings, _ = load_settings(home=context.find_root().params.get("home"))
        return load_library(settings.home)
    except (BenchbeatError, OSError):  # a shell has no place for what is wrong with a file
        return None
