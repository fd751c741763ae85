"""`models`, `workloads` and `strategies`: what a sweep may name."""

import subprocess
import sys

import click

from cli.context import State
from cli.options import output_option


@click.group()
def models() -> None:
    """List, show and fetch models."""


@models.command("list", short_help="List the models that a sweep may name.")
@output_option
@click.pass_obj
def list_models(state: State, output: str) -> None:
    """List the models of the catalog, and your own from models.toml in the home."""
    from report.printing import print_fitting

    columns = ["model", "task", "precision", "memory_gib", "gated", "source", "description"]
    rows = [
        [m.name, m.task, m.precision, m.memory_gib[m.precision], "yes" if m.gated else None, m.source, m.description]
        for m in state.library.models.values()
    ]
    print_fitting(columns, rows, output, expendable=["source", "gated", "precision"])


@models.command("show", short_help="Show one model.")
@click.argument("name")
@output_option
@click.pass_obj
def show_model(state: State, name: str, output: str) -> None:
    """Show one model: source, licence, memory by precision."""
    from report.printing import print_rows

    entry = state.library.model(name)
    facts = {key: value for key, value in entry.model_dump().items() if value not in (None, "")}
    facts["memory_gib"] = ", ".join(f"{precision} {gib:g}" for precision, gib in entry.memory_gib.items())
    print_rows(["field", "value"], [[key, str(value)] for key, value in facts.items()], output)


@models.command("fetch", short_help="Bring weights to this machine.")
@click.argument("name", nargs=-1, required=True)
@click.pass_obj
def fetch_models(state: State, name: tuple[str, ...]) -> int:
    """Bring the weights of each NAME to this machine, check and convert them, so that a job need not."""
    entries = [state.library.model(each) for each in name]
    command = [sys.executable, "-P", "-m", "worker.fetch", "--home", str(state.settings.home)]
    if state.settings.weights_root is not None:
        command += ["--models-dir", str(state.settings.weights_root)]
    for entry in entries:
        done = subprocess.run([*command, entry.model_dump_json()], check=False)
        if done.returncode != 0:
            return done.returncode
    return 0


@click.group()
def workloads() -> None:
    """List and show workloads."""


@workloads.command("list")
@output_option
@click.pass_obj
def list_workloads(state: State, output: str) -> None:
    """List what models can be asked to do."""
    from report.printing import print_rows

    columns = ["workload", "task", "kind", "items", "score", "description"]
    rows = [
        [w.name, w.task, w.kind, len(w.items) or None, w.score, w.description] for w in state.library.workloads.values()
    ]
    print_rows(columns, rows, output)


@workloads.command("show")
@click.argument("name")
@output_option
@click.pass_obj
def show_workload(state: State, name: str, output: str) -> None:
    """Show the items of a workload with their expected answers."""
    from report.printing import print_rows

    workload = state.library.workload(name)
    rows = [
        [item.id, item.level, item.prompt, item.answer if isinstance(item.answer, str) else " | ".join(item.answer)]
        for item in workload.items
    ]
    print_rows(["item_id", "level", "prompt", "expected"], rows, output)


@click.group()
def strategies() -> None:
    """List the prompt strategies."""


@strategies.command("list")
@output_option
@click.pass_obj
def list_strategies(state: State, output: str) -> None:
    """List the ways of prompting."""
    from report.printing import print_rows

    rows = [[strategy.name, strategy.description] for strategy in state.library.strategies.values()]
    print_rows(["strategy", "description"], rows, output)
