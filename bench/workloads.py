"""Workloads: what a model is asked to do, and how the answer is scored."""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast, get_args

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError, ValidationInfo, field_validator

from bench.catalog import Task, explain
from bench.errors import InputError
from bench.scoring import SCORERS as SCORERS
from bench.scoring import Scorer as Scorer
from bench.scoring import check_answer, check_scorer
from bench.spec import hash_of

#: tokens after which an answer to a user's own workload is cut where the job says nothing else
OWN_MAX_NEW_TOKENS = 256


class Item(BaseModel):
    """One question with its expected answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(
        min_length=1,
        max_length=200,
        pattern=r"^[^\x00-\x1f\x7f]*$",
        description="a text on one line, without control characters",
    )
    prompt: str
    #: expected answer; several are alternatives
    answer: str | tuple[str, ...]
    #: difficulty, 1 (easy) to 3 (hard)
    level: Annotated[int, Strict()] | None = Field(None, ge=1, le=3)
    language: str | None = None


class Workload(BaseModel):
    """What a model is asked to do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    task: Task
    #: `speed` fixes lengths and measures time, `quality` asks items and scores the answers
    kind: Literal["quality", "speed"]
    #: how an answer is scored; None for a speed workload
    score: Scorer | None = None
    #: what is asked, in the file's order
    items: tuple[Item, ...] = ()
    #: items that `few_shot` shows; never asked themselves
    examples: tuple[Item, ...] = ()
    #: an answer is cut after this many tokens where the job says nothing else; None for a speed workload
    max_new_tokens: int | None = Field(None, ge=1)
    #: one sentence for people
    description: str = ""

    def digest(self) -> str:
        """Return the SHA-256, in hex, of scorer, items and examples: what must be equal for two runs to compare."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        # Without what is None, so that a field added to the items later changes no hash.
        data = self.model_dump(mode="json", include={"items", "examples"}, exclude_none=True)
        return hash_of({"score": self.score, **data})

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a changed copy, which takes a digest of its own."""
        copy = super().model_copy(update=update, deep=deep)
        copy.__dict__.pop("_digest", None)
        return copy

    def sample(self, items: int | None, seed: int) -> tuple[Item, ...]:
        """Return `items` of the items in the file's order, each level with its share; None returns all.

        The same seed gives the same sample everywhere. Raises InputError where there are not so many.
        """
        if items is None:
            return self.items
        if not 0 < items <= len(self.items):
            raise InputError(f"items: workload {self.name!r} has {len(self.items)} items, so {items} can't be sampled")
        levels = defaultdict(list)
        for item in self.items:
            levels[item.level or 0].append(item)
        shares = _shares({level: len(group) for level, group in levels.items()}, items)
        taken = {
            item.id
            for level, group in levels.items()
            for item in sorted(group, key=lambda item: _rank(seed, item))[: shares[level]]
        }
        return tuple(item for item in self.items if item.id in taken)


def _shares(sizes: Mapping[int, int], wanted: int) -> dict[int, int]:
    """Divide `wanted` in proportion to the sizes, by largest remainder; the lower level wins a tie."""
    total = sum(sizes.values())
    shares = {level: wanted * size // total for level, size in sizes.items()}
    by_remainder = sorted(sizes, key=lambda level: (-(wanted * sizes[level] % total), level))
    for level in by_remainder[: wanted - sum(shares.values())]:
        shares[level] += 1
    return shares


def _rank(seed: int, item: Item) -> bytes:
    # Not `random`: its algorithms may change between versions of Python, and a sample is part of a series' key.
    return hashlib.sha256(f"{seed}\n{item.id}".encode()).digest()


@cache
def builtin_workloads() -> Mapping[str, Workload]:
    """Return the built-in workloads by name."""
    speed = Workload(
        name="speed",
        task="text",
        kind="speed",
        description="Generates new_tokens after a prompt of prompt_tokens, both fixed, and measures the time.",
    )
    facts = _builtin(
        "facts", "contains", max_new_tokens=64, description="Short questions of general knowledge in three levels."
    )
    arithmetic = _builtin(
        "arithmetic", "number", max_new_tokens=256, description="Sums and word problems of one, two and several steps."
    )
    return {workload.name: workload for workload in (facts, arithmetic, speed)}


def _builtin(name: str, score: Scorer, **fields: Any) -> Workload:
    path = f"data/{name}.jsonl"
    text = files("bench").joinpath(path).read_text(encoding="utf-8")
    items, examples = _read_items(text, path, score)
    return Workload(name=name, task="text", kind="quality", score=score, items=items, examples=examples, **fields)


def read_workload(path: Path, *, name: str, task: str, score: str, where: str) -> Workload:
    """Read a user's own workload from a file of JSON lines.

    A line is {"id", "prompt", "answer"} and optionally "level" (1 to 3), "language" and "example": true, which makes
    it one that few_shot shows. `where` is the place that declares the workload. Raises InputError for the first fault,
    naming file, line and field.
    """
    if task != "text":
        known = task in get_args(Task)
        fault = f"{task!r} is not available yet; there is text" if known else f"unknown task {task!r}; there is text"
        raise InputError(f"workload {name!r}: task: {fault}", where=where)
    scorer = check_scorer(score, where=where)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError("this line is not UTF-8 text", where=f"{path}:{line}") from None
    except OSError as error:
        raise InputError(f"workload {name!r}: can't read {path}: {error.strerror or error}", where=where) from None
    items, examples = _read_items(text, str(path), scorer)
    return Workload(
        name=name,
        task="text",
        kind="quality",
        score=scorer,
        items=items,
        examples=examples,
        max_new_tokens=OWN_MAX_NEW_TOKENS,
    )


class _Line(Item):
    """A line of a workload's file; validated with the scorer as context."""

    example: Annotated[bool, Strict()] = False

    @field_validator("id", "prompt", "language")
    @classmethod
    def _is_text(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise ValueError("is empty")
        return _storable(value)

    @field_validator("answer", mode="before")
    @classmethod
    def _answer_can_be_scored(cls, value: Any, info: ValidationInfo) -> Any:
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"must be a text in quotes, or a list of such, not {json.dumps(value)[:80]}")
        scorer = str(info.context)
        if fault := check_answer(scorer, texts):
            raise ValueError(f"{fault}, so score = {scorer!r} can't judge by it")
        stored = tuple(_storable(text) for text in texts)
        return stored[0] if isinstance(value, str) else stored


_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def _storable(value: str | None) -> str | None:
    if value is not None and _UNSTORABLE.search(value):
        raise ValueError("holds a NUL character or half of a surrogate pair, which databases refuse")
    return value


def _read_items(text: str, where: str, score: Scorer) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """Return the items and the examples of a file's text."""
    items: list[Item] = []
    examples: list[Item] = []
    seen: dict[str, int] = {}
    for number, line in _read_lines(text, where, score):
        if line.id in seen:
            raise InputError(f"id: {line.id!r} is already on line {seen[line.id]}", where=f"{where}:{number}")
        seen[line.id] = number
        item = Item(**line.model_dump(exclude={"example"}))
        (examples if line.example else items).append(item)
    if not items:
        what = 'every line is an "example", and no item is left to be asked' if examples else "the file holds no items"
        raise InputError(what, where=where)
    return tuple(items), tuple(examples)


def _read_lines(text: str, where: str, score: Scorer) -> Iterator[tuple[int, _Line]]:
    # Not `splitlines`: it also breaks at U+2028, which may stand inside a JSON string.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        at = f"{where}:{number}"
        data = _read_object(line, at)
        if score == "none":
            data.setdefault("answer", "")
        try:
            yield number, _Line.model_validate(data, context=score)
        except ValidationError as error:
            raise InputError(explain(error, _Line), where=at) from None


def _read_object(line: str, at: str) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except RecursionError:
        raise InputError("the line is nested too deeply to be read", where=at) from None
    except ValueError as error:
        reason = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise InputError(f"the line is no JSON: {reason}", where=at) from None
    if not isinstance(data, dict):
        raise InputError('the line is no JSON object such as {"id": "q1", "prompt": "...", "answer": "..."}', where=at)
    return cast(dict[str, Any], data)
