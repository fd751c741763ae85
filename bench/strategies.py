"""Prompt strategies: how a question is put to a model. Built-in ones and a user's own have one shape, which is data."""

import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from bench.catalog import fault
from bench.errors import InputError, suggest
from bench.scoring import SCORERS, check_pattern
from bench.templates import PLACEHOLDER, Messages, Template
from bench.workloads import Item, Workload

#: stands for the item's prompt in a strategy's `prompt`
QUESTION = "{question}"

_EXAMPLES = "must be true, a number, or a list such as [{ question = '2 + 2?', answer = '4' }]"


class Shown(BaseModel):
    """An example that a strategy brings along."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str
    answer: str


class Form(BaseModel):
    """What surrounds a question. A field that is left out of an override keeps the strategy's own value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: what the model is told before the conversation
    system: str | None = None
    #: the user's message; `{question}` is the item's prompt
    prompt: str = QUESTION
    #: paragraphs before and after it
    prefix: str | None = None
    suffix: str | None = None
    #: answered questions that come first: true for all of the workload's, a number for the first so many, or own ones
    examples: bool | int | tuple[Shown, ...] = False
    #: regular expression that finds the answer in what the model writes
    output_pattern: str | None = None

    @field_validator("system", "prompt", "prefix", "suffix")
    @classmethod
    def _can_be_stored(cls, value: str | None) -> str | None:
        if value is not None and "\0" in value:
            raise ValueError("holds a NUL character, which databases refuse")
        return value

    @field_validator("system", "prefix", "suffix")
    @classmethod
    def _holds_no_question(cls, value: str | None) -> str | None:
        if value is not None and QUESTION in value:
            raise ValueError(f"holds {QUESTION}, which stands for the question in `prompt` only")
        return value

    @field_validator("prompt")
    @classmethod
    def _holds_the_question(cls, value: str) -> str:
        if QUESTION not in value:
            raise ValueError(f"must hold {QUESTION}, which stands for the question")
        return value

    @field_validator("examples", mode="before")
    @classmethod
    def _examples_are_readable(cls, value: Any) -> Any:
        if isinstance(value, list):
            for number, each in enumerate(value, start=1):
                _check_example(each, number)
        elif not isinstance(value, int) or value < 0:
            raise ValueError(_EXAMPLES)
        return value

    @field_validator("output_pattern")
    @classmethod
    def _pattern_is_valid(cls, value: str | None) -> str | None:
        if not value:
            return None
        if wrong := check_pattern(value):
            raise ValueError(wrong.removeprefix("it "))
        return value

    def ask(self, question: str) -> str:
        """Return the user's message that puts a question."""
        parts = (self.prefix, self.prompt.replace(QUESTION, question), self.suffix)
        return "\n\n".join(part for part in parts if part)


class _Described(Form):
    #: one sentence for people
    description: str = Field("", max_length=500)


class Strategy(_Described):
    """A way of prompting."""

    name: str
    #: what differs for workloads with such a scorer, by the scorer's name
    scorers: dict[str, Form] = Field(default_factory=dict)
    #: what differs for one workload, by its name; this comes before its scorer's
    workloads: dict[str, Form] = Field(default_factory=dict)

    def template(self, workload: Workload) -> Template:
        """Return what this strategy wraps a prompt of a workload in.

        Raises InputError where the workload lacks examples that are to be shown.
        """
        form = self.form(workload)
        messages: Messages = ({"role": "system", "content": form.system},) if form.system else ()
        for question, answer in self._shown(form, workload):
            messages += (_user(form.ask(question)), {"role": "assistant", "content": answer})
        return Template((*messages, _user(form.ask(PLACEHOLDER))), form.output_pattern)

    def form(self, workload: Workload) -> Form:
        """Return what surrounds the questions of a workload, with the overrides for its scorer and its name in it."""
        values = {name: getattr(self, name) for name in Form.model_fields}
        for override in (self.scorers.get(workload.score or ""), self.workloads.get(workload.name)):
            if override is not None:
                values |= {name: getattr(override, name) for name in override.model_fields_set}
        return Form.model_construct(**values)

    def messages(self, workload: Workload, prompt: str) -> Messages:
        """Return the chat messages that put `prompt`. Raises as `template` does."""
        return self.template(workload).fill(prompt)

    def digest(self, workload: Workload) -> str:
        """Return a SHA-256, in hex, of all that a prompt of this workload is wrapped in. Raises as `template` does."""
        return self.template(workload).digest()

    def _shown(self, form: Form, workload: Workload) -> Iterable[tuple[str, str]]:
        if isinstance(form.examples, tuple):
            return [(each.question, each.answer) for each in form.examples]
        wanted = len(workload.examples) if form.examples is True else int(form.examples)
        if form.examples and workload.task != "text":
            raise InputError(
                f"{self.name} shows text alone, so it does not go with the {workload.task} workload {workload.name!r}"
            )
        if form.examples and not workload.examples:
            raise InputError(
                f"workload {workload.name!r} has no examples, which {self.name} needs; "
                'add some to its items with "example": true (they are shown, never asked)'
            )
        if wanted > len(workload.examples):
            raise InputError(
                f"workload {workload.name!r} has {len(workload.examples)} examples, and {self.name} shows {wanted}"
            )
        return [(each.prompt, _answer(each)) for each in workload.examples[:wanted]]


@cache
def builtin_strategies() -> Mapping[str, Strategy]:
    """Return the built-in strategies by name; `direct` is the baseline."""
    table = tomllib.loads(files("bench").joinpath("data/strategies.toml").read_text(encoding="utf-8"))
    return {name: Strategy(name=name, **fields) for name, fields in table.items()}


def own_strategy(name: str, fields: Any, where: Callable[..., str], workloads: Collection[str]) -> Strategy:
    """Read the table [strategies.NAME] of a file. Raises InputError that names file, line and field.

    `where(key, *inner)` gives the place of a key of it, or of a table in it; `workloads` are the known names.
    """
    if not isinstance(fields, dict):
        raise InputError("must be a table of fields", where=where("prompt"))
    if "name" in fields:
        raise InputError("unknown key; the name stands in the table's header", where=where("name"))
    own = dict(fields)
    scorers = _overrides(name, "scorers", own.pop("scorers", {}), where, SCORERS)
    by_workload = _overrides(name, "workloads", own.pop("workloads", {}), where, workloads)
    _read(_Described, own, where)
    return Strategy(name=name, **own, scorers=scorers, workloads=by_workload)


def _overrides(name: str, kind: str, tables: Any, where: Callable[..., str], known: Collection[str]) -> dict[str, Form]:
    """Read the tables [strategies.NAME.KIND...] of scorers or workloads, whose names must be known."""
    if not isinstance(tables, dict):
        raise InputError(f"must be tables [strategies.{name}.{kind}.NAME]", where=where(kind))
    for key in tables:
        if key not in known:
            message = f"unknown {kind.removesuffix('s')} {key!r}{suggest(key, known)}"
            raise InputError(message, where=where(key, kind))
    return {key: _read(Form, table, _within(where, kind, key)) for key, table in tables.items()}


def _within(where: Callable[..., str], *inner: str) -> Callable[[str], str]:
    return lambda key: where(key, *inner)


def _read(kind: type[Form], fields: Any, where: Callable[[str], str]) -> Form:
    if not isinstance(fields, dict):
        raise InputError("must be a table of fields", where=where("prompt"))
    try:
        return kind(**fields)
    except ValidationError as error:
        field, message = fault(error, kind)
        raise InputError(message, where=where(field or "prompt")) from None


def _check_example(value: Any, number: int) -> None:
    if not isinstance(value, dict):
        raise ValueError(_EXAMPLES)
    for key in value:
        if key not in Shown.model_fields:
            raise ValueError(f"example {number}: unknown key {key!r}{suggest(key, Shown.model_fields)}")
    for key in Shown.model_fields:
        text = value.get(key)
        if not isinstance(text, str) or not text.strip() or "\0" in text:
            raise ValueError(f"example {number}: {key} must be a text in quotes, and not empty")


def _answer(example: Item) -> str:
    """Return what an example of a workload shows as its answer."""
    if example.shown is not None:
        return example.shown
    return example.answer if isinstance(example.answer, str) else example.answer[0]


def _user(content: str) -> dict[str, str]:
    return {"role": "user", "content": content}
