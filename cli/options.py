"""The options that several commands share: the axes of a sweep, and the output format."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.completion import names_of, one_of
from cli.context import State
from cli.patience import patience

if TYPE_CHECKING:
    from bench.sweep import Sweep

_Command = TypeVar("_Command", bound=Callable[..., Any])

#: axis -> its help; each is given once or several times, with commas between values
_AXES = {
    "model": "Models of the catalog.",
    "workload": "What the models are asked to do.",
    "strategy": "Ways of prompting.",
    "items": "So many items, a seeded sample over the levels.",
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
    "precision": "float32, float16, bfloat16, int8, int4.",
    "attention": "sdpa or eager.",
    "compile": "true compiles the model.",
    "cache": "dynamic or static cache of keys and values.",
    "word-timestamps": "true gives every word its time (speech).",
    "detect-language": "true detects also a known language (speech).",
    "batch-size": "Sequences generated at once.",
    "device": "any, cpu, cuda or mps.",
    "machine": "Id of the one machine that may run it.",
    "settings": "recommended: what each model's makers advise, where nothing is said.",
    "isolation": "session, or process for a fresh one each.",
    "processes": "Fresh processes that iterations are spread over (speed).",
    "stop": "When to stop (speed): target=0.02,max_iterations=30.",
    "job-seconds": "Longest time a job may hold the device.",
}

#: words that an axis may have, for a shell to complete
_WORDS = {
    "precision": ("float32", "float16", "bfloat16", "int8", "int4"),
    "attention": ("sdpa", "eager"),
    "compile": ("true", "false"),
    "cache": ("dynamic", "static"),
    "word-timestamps": ("true", "false"),
    "detect-language": ("true", "false"),
    "device": ("any", "cpu", "cuda", "mps"),
    "isolation": ("session", "process"),
    "settings": ("recommended", "default"),
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
    "-o",
    "--output",
    type=click.Choice(_FORMATS),
    metavar="FORMAT",
    default="table",
    show_default=True,
    help="table, json, jsonl, csv or md.",
)


def names_in(given: Iterable[str], option: str) -> tuple[str, ...]:
    """Return the names that an option was given with commas or several times, each once.

    Raises InputError where it was given without one: that asks for nothing, and was not meant to ask for all.
    """
    from bench.errors import InputError

    found = [[part for each in text.split(",") if (part := each.strip())] for text in given]
    if not all(found):
        raise InputError("names nothing; leave it out for all", where=option)
    return tuple(dict.fromkeys(name for names in found for name in names))


def sweep_options(command: _Command) -> _Command:
    """Add SWEEP, every axis, and what goes with a submission."""
    added: Any = command
    for option in reversed(_sweep_options()):
        added = option(added)
    result: _Command = added
    return result


def _sweep_options() -> list[Any]:
    axes = [
        click.option(f"--{name}", multiple=True, metavar=_metavar(name), help=text, shell_complete=_completions(name))
        for name, text in _AXES.items()
    ]
    return [
        click.argument("sweep", required=False, type=click.Path(path_type=Path)),
        *axes,
        click.option(
            "--profile", is_flag=True, help="Trace some steps of the models; their speed then does not count."
        ),
        click.option("--name", help="Name of the batch."),
        click.option("--priority", type=int, help="Higher goes first (default 0)."),
        click.option("--label", multiple=True, metavar="K=V", help="A label of the batch, for the views."),
        click.option(
            "--set", "overrides", multiple=True, metavar="AXIS=V[,V]", help="Replace an axis of a file: items=4."
        ),
        click.option("--yes", is_flag=True, help="Accept more than 100,000 jobs."),
    ]


def _completions(axis: str) -> Any:
    if axis in ("model", "workload", "strategy"):
        return names_of({"strategy": "strategies"}.get(axis, axis + "s"))
    return one_of(_WORDS.get(axis, ()))


def _metavar(axis: str) -> str:
    return "KEY=V[,KEY=V]" if axis == "stop" else "V[,V]"


def read_sweep_options(state: State, sweep: Path | None, options: dict[str, Any]) -> "Sweep":
    """Expand the sweep file, or the options as one block. Raises InputError."""
    from dataclasses import replace

    from bench.labels import read_labels
    from bench.sweep import check_name, check_priority

    axes = {name.replace("-", "_"): options.pop(name.replace("-", "_")) for name in _AXES}
    given = {name: _values(name, texts) for name, texts in axes.items() if texts}
    # A switch, and for a file too: no list of values as the axes are.
    fixed = {"profile": [True]} if options["profile"] else {}
    name, priority = options["name"], options["priority"]
    if name is not None:
        check_name(name, "--name")
    if priority is not None:
        check_priority(priority, "--priority")
    labels = read_labels(options["label"], "--label")
    with patience(state, "expanding the sweep"):
        if sweep is None:
            expanded = _of_options(state, given and {**given, **fixed}, options)
        else:
            expanded = _of_file(state, sweep, given, options, fixed)
    for note in expanded.notes:
        state.say(f"Note: {note}")
    return replace(
        expanded,
        name=name or expanded.name,
        priority=expanded.priority if priority is None else priority,
        labels={**expanded.labels, **labels},
    )


def _of_options(state: State, given: dict[str, list[Any]], options: dict[str, Any]) -> "Sweep":
    from bench.errors import InputError
    from bench.sweep import Block, expand

    if not given:
        raise InputError("give a sweep file, or at least --model and --workload (see --help)")
    if options["overrides"]:
        raise InputError(
            "replaces an axis of a sweep file, and there is none; give the axis as an option", where="--set"
        )
    block = Block(given, lambda key: "--" + key.replace("_", "-"))
    return expand([block], state.library, name="options", allow_large=options["yes"])


def _of_file(
    state: State, sweep: Path, given: dict[str, list[Any]], options: dict[str, Any], fixed: dict[str, list[Any]]
) -> "Sweep":
    from bench.errors import InputError
    from bench.sweep import read_sweep

    if given:
        axis = next(iter(given))
        raise InputError(
            f"goes without a sweep file; replace the file's axis with --set {axis}=...",
            where="--" + axis.replace("_", "-"),
        )
    overrides = {**_overrides(options["overrides"]), **fixed}
    return read_sweep(sweep, state.library, overrides=overrides, allow_large=options["yes"])


def _overrides(texts: tuple[str, ...]) -> dict[str, list[Any]]:
    from bench.errors import InputError

    overrides: dict[str, list[Any]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        axis = key.strip().replace("-", "_")
        if not equals or not axis:
            raise InputError(f"write it as --set temperature=0,0.5 (it is {text!r})", where="--set")
        overrides.setdefault(axis, []).extend(_values(axis, (value,), "--set stop"))
    return overrides


def _values(axis: str, texts: tuple[str, ...], where_stop: str = "--stop") -> list[Any]:
    if axis == "stop":
        return [_table(text, where_stop) for text in texts]
    values = [value.strip() for text in texts for value in text.split(",")]
    return [value for value in values if value]


def _table(text: str, where: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if not all(equals for _, equals, _ in pairs):
        from bench.errors import InputError

        raise InputError(f"write it as target=0.02,max_iterations=30 (it is {text!r})", where=where)
    return {key.strip(): value.strip() for key, _, value in pairs}


def say_sweep(sweep: "Sweep") -> str:
    """Return a line about what a sweep expands to."""
    models, workloads = len(sweep.models), len(sweep.workloads)
    line = f"{sweep.name}: {len(sweep.specs):,} {'job' if len(sweep.specs) == 1 else 'jobs'}"
    line += f" ({models} {'model' if models == 1 else 'models'}, {workloads} workload{'' if workloads == 1 else 's'})"
    if sweep.duplicates:
        line += f"; {sweep.duplicates:,} {'duplicate' if sweep.duplicates == 1 else 'duplicates'} dropped"
    return line
