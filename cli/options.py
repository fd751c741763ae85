"""The options that several commands share: the axes of a sweep, and the output format."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.context import State

if TYPE_CHECKING:
    from bench.sweep import Sweep

_Command = TypeVar("_Command", bound=Callable[..., Any])

#: axis -> its help; each is given once or several times, with commas between values
_AXES = {
    "model": "Models of the catalog.",
    "workload": "What the models are asked to do.",
    "strategy": "Ways of prompting.",
    "items": "Items to ask, a seeded sample over the levels.",
    "items-seed": "Seed of that sample.",
    "samples": "How often each item is asked.",
    "temperature": "0 decodes greedily.",
    "top-p": "Nucleus sampling.",
    "top-k": "0 keeps every token.",
    "repetition-penalty": "1 is off.",
    "max-new-tokens": "Cut answers after so many tokens.",
    "seed": "Seed of sampling.",
    "prompt-tokens": "Length of the prompt (speed).",
    "new-tokens": "Length of the answer (speed).",
    "precision": "float32, float16, bfloat16.",
    "attention": "sdpa or eager.",
    "compile": "true compiles the model.",
    "cache": "dynamic or static cache of keys and values.",
    "batch-size": "Sequences generated at once.",
    "device": "any, cpu, cuda or mps.",
    "machine": "Id of the one machine that may run it.",
    "isolation": "session, or process for a fresh one each.",
    "stop": "When to stop (speed): target=0.02,max_iterations=30 and the like.",
}

_FORMATS = ("table", "json", "jsonl", "csv", "md")


class _Natural(click.ParamType[int]):
    """A whole number from 1 to what fits into a column of a database."""

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number, or fail in words."""
        try:
            number = int(value)
        except ValueError:
            self.fail(f"{value!r} is no whole number", param, ctx)
        if not 1 <= number < 2**63:
            self.fail(f"{value} is not from 1 to {2**63 - 1}", param, ctx)
        return number


#: id of a job or a batch
ID = _Natural("id")
COUNT = _Natural("number")

output_option = click.option(
    "-o", "--output", type=click.Choice(_FORMATS), default="table", show_default=True, help="How to print the data."
)


def sweep_options(command: _Command) -> _Command:
    """Add SWEEP, every axis, and what goes with a submission."""
    added: Any = command
    for option in reversed(_sweep_options()):
        added = option(added)
    result: _Command = added
    return result


def _sweep_options() -> list[Any]:
    axes = [click.option(f"--{name}", multiple=True, metavar=_metavar(name), help=text) for name, text in _AXES.items()]
    return [
        click.argument("sweep", required=False, type=click.Path(path_type=Path)),
        *axes,
        click.option("--name", help="Name of the batch."),
        click.option("--priority", type=int, help="Higher goes first (default 0)."),
        click.option("--yes", is_flag=True, help="Accept a sweep of more than 100,000 jobs."),
    ]


def _metavar(axis: str) -> str:
    return "KEY=V[,KEY=V]" if axis == "stop" else "V[,V]"


def read_sweep_options(state: State, sweep: Path | None, options: dict[str, Any]) -> "Sweep":
    """Expand the sweep file, or the options as one block. Raises InputError."""
    from dataclasses import replace

    from bench.errors import InputError
    from bench.sweep import Block, check_name, check_priority, expand, read_sweep

    axes = {name.replace("-", "_"): options.pop(name.replace("-", "_")) for name in _AXES}
    given = {name: _values(name, texts) for name, texts in axes.items() if texts}
    name, priority, yes = options["name"], options["priority"], options["yes"]
    if name is not None:
        check_name(name, "--name")
    if priority is not None:
        check_priority(priority, "--priority")
    if sweep is None:
        if not given:
            raise InputError("give a sweep file, or at least --model and --workload (see --help)")
        block = Block(given, lambda key: "--" + key.replace("_", "-"))
        return expand([block], state.library, name=name or "options", priority=priority or 0, allow_large=yes)
    if given:
        first = "--" + next(iter(given)).replace("_", "-")
        raise InputError(f"goes without a sweep file; write it into {sweep}, or leave the file out", where=first)
    expanded = read_sweep(sweep, state.library, allow_large=yes)
    return replace(
        expanded,
        name=name or expanded.name,
        priority=expanded.priority if priority is None else priority,
    )


def _values(axis: str, texts: tuple[str, ...]) -> list[Any]:
    if axis == "stop":
        return [_table(text) for text in texts]
    values = [value.strip() for text in texts for value in text.split(",")]
    return [value for value in values if value]


def _table(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if not all(equals for _, equals, _ in pairs):
        from bench.errors import InputError

        raise InputError(f"write it as target=0.02,max_iterations=30 (it is {text!r})", where="--stop")
    return {key.strip(): value.strip() for key, _, value in pairs}


def say_sweep(sweep: "Sweep") -> str:
    """Return a line about what a sweep expands to."""
    models, workloads = len(sweep.models), len(sweep.workloads)
    line = f"{sweep.name}: {len(sweep.specs):,} {'job' if len(sweep.specs) == 1 else 'jobs'}"
    line += f" ({models} {'model' if models == 1 else 'models'}, {workloads} workload{'' if workloads == 1 else 's'})"
    if sweep.duplicates:
        line += f"; {sweep.duplicates:,} {'duplicate' if sweep.duplicates == 1 else 'duplicates'} dropped"
    return line
