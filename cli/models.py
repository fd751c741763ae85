"""`models`: what a sweep may run."""

import subprocess
import sys
from typing import Any

import click

from cli.completion import names_of
from cli.context import State
from cli.options import output_option


@click.group()
def models() -> None:
    """List, show and fetch models.

    \b
    Example:
      benchbeat models list
    """


@models.command("list", short_help="List the models that a sweep may name.")
@output_option
@click.pass_obj
def list_models(state: State, output: str) -> None:
    """List the models of the catalog, and your own from models.toml in the home.

    \b
    Examples:
      benchbeat models list
      benchbeat models list -o json
    """
    from report.printing import print_fitting

    columns = ["model", "task", "precision", "memory_gib", "gated", "source", "description"]
    rows = [
        [m.name, m.task, m.precision, m.memory_gib[m.precision], "yes" if m.gated else None, m.source, m.description]
        for m in state.library.models.values()
    ]
    print_fitting(columns, rows, output, expendable=["source", "gated", "precision"])


@models.command("show", short_help="Show one model.")
@click.argument("name", shell_complete=names_of("models"))
@output_option
@click.pass_obj
def show_model(state: State, name: str, output: str) -> None:
    """Show one model: source, licence, memory by precision, recommended settings.

    \b
    Example:
      benchbeat models show deepseek-r1-distill-qwen-1.5b
    """
    from report.printing import print_rows

    entry = state.library.model(name)
    facts = {key: value for key, value in entry.model_dump().items() if value not in (None, "", {})}
    facts["memory_gib"] = ", ".join(f"{precision} {gib:g}" for precision, gib in entry.memory_gib.items())
    if entry.settings:
        facts["settings"] = "; ".join(
            f"{name}: {_in_words(preset.model_dump())}" for name, preset in entry.settings.items()
        )
    facts = {key: value for key, value in facts.items() if value != ""}
    print_rows(["field", "value"], [[key, str(value)] for key, value in facts.items()], output)


def _in_words(preset: dict[str, Any]) -> str:
    """Return a preset on one line: what it sets, then what it sets for a strategy."""
    by_strategy = preset.pop("strategy", {})
    parts = [", ".join(f"{name} {value}" for name, value in preset.items() if value is not None)]
    parts += [f"with {strategy} {_in_words(dict(settings))}" for strategy, settings in by_strategy.items()]
    return ", ".join(part for part in parts if part)


@models.command("fetch", short_help="Bring weights to this machine.")
@click.argument("name", nargs=-1, required=True, shell_complete=names_of("models"))
@click.pass_obj
def fetch_models(state: State, name: tuple[str, ...]) -> int:
    """Bring the weights of each NAME to this machine, check and convert them, so that a job need not.

    \b
    Example:
      benchbeat models fetch smollm2-135m
    """
    entries = [state.library.model(each) for each in name]
    command = [sys.executable, "-P", "-m", "worker.fetch", "--home", str(state.settings.home)]
    if state.settings.weights_root is not None:
        command += ["--models-dir", str(state.settings.weights_root)]
    for entry in entries:
        done = subprocess.run([*command, entry.model_dump_json()], check=False)
        if done.returncode != 0:
            return done.returncode
    return 0
