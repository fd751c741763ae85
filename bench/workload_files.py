"""Reading and validating a workload's file of JSON lines."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple, NoReturn, cast, get_args

from pydantic import Strict, ValidationError, ValidationInfo, field_validator
from pydantic_core import InitErrorDetails

from bench import constraints
from bench.catalog import Task, fault
from bench.errors import InputError
from bench.items import Item
from bench.scoring import Scorer, check_answer, check_scorer, score

#: scorers whose answers say how to judge an answer, so that few_shot needs another text to show
JUDGED_BY_RULE: frozenset[str] = frozenset({"regex", "json_schema", "keywords", "constraints"})


class Fault(NamedTuple):
    """What is wrong with a workload's file."""

    #: 1 for the first line; None where the fault is the whole file's
    line: int | None
    #: the key, or "" where the fault is the whole line's
    field: str
    message: str

    def error(self, file: str) -> InputError:
        """Return the fault as the error to raise, with its place: "FILE:LINE: FIELD: MESSAGE"."""
        message = f"{self.field}: {self.message}" if self.field else self.message
        return InputError(message, where=file if self.line is None else f"{file}:{self.line}")


class Contents(NamedTuple):
    """The items and the examples of a file, in its order."""

    items: tuple[Item, ...]
    #: what few_shot shows
    examples: tuple[Item, ...]


def validate_file(path: Path, *, task: str, score: str) -> list[Fault]:
    """Return every fault of a workload's file, by line: what can't be read, duplicates, answers that can't be scored.

    Raises InputError for a task or scorer that is not available and for a file that can't be read.
    """
    check_task(task)
    return [each for each in _read(read_bytes(path), check_scorer(score)) if isinstance(each, Fault)]


def read_contents(data: bytes, file: str, score: Scorer) -> Contents:
    """Return what a file's bytes hold. Raises InputError for the first fault, naming file, line and field."""
    lines: list[_Line] = []
    for each in _read(data, score):
        if isinstance(each, Fault):
            raise each.error(file)
        lines.append(each)
    items = [(line.example, Item(**line.model_dump(exclude={"example"}))) for line in lines]
    return Contents(
        tuple(item for example, item in items if not example), tuple(item for example, item in items if example)
    )


def read_trusted(data: str) -> Contents:
    """Return what the text of a built-in workload's file holds; our tests have validated it."""
    items: list[Item] = []
    examples: list[Item] = []
    for line in data.splitlines():
        fields = json.loads(line)
        into = examples if fields.pop("example", False) else items
        into.append(Item(**{**fields, "answer": _as_text(fields["answer"])}))
    return Contents(tuple(items), tuple(examples))


def read_bytes(path: Path) -> bytes:
    """Return a file's bytes. Raises InputError where it can't be read."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise InputError(f"can't read {path}: it is no regular file")  # a pipe or device would be read for ever
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror or error}") from None


def check_task(task: str) -> None:
    """Raise InputError for a task that own workloads can't have."""
    if task != "text":
        known = task in get_args(Task)
        what = f"{task!r} is not available yet; there is text" if known else f"unknown task {task!r}; there is text"
        raise InputError(f"task: {what}")


# ---- one line


def _as_text(answer: Any) -> Any:
    """Return an answer with each JSON object, as a schema may be written, as its text."""
    if isinstance(answer, dict):
        return json.dumps(answer, ensure_ascii=False)
    return [_as_text(each) if isinstance(each, dict) else each for each in answer] if type(answer) is list else answer


class _Line(Item):
    """A line of a workload's file; validated with the scorer as context."""

    example: Annotated[bool, Strict()] = False

    @field_validator("id", "prompt", "language", "shown")
    @classmethod
    def _is_text(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise ValueError("is empty")
        return _storable(value)

    @field_validator("answer", mode="before")
    @classmethod
    def _answer_can_be_scored(cls, value: Any, info: ValidationInfo) -> Any:
        scorer = str(info.context)
        read = _as_text(value) if scorer == "json_schema" else value
        texts = _texts(read, value)
        if problem := check_answer(scorer, texts):
            raise ValueError(f"{problem}, so score = {scorer!r} can't judge by it")
        stored = tuple(_storable(text) for text in texts)
        return stored[0] if isinstance(read, str) else stored

    @field_validator("structure", mode="before")
    @classmethod
    def _structure_can_be_checked(cls, value: Any) -> Any:
        if value is None:
            return None
        if value == []:
            raise ValueError("is empty")
        for text in _texts(value, value):
            constraints.parse(text)
        return (value,) if isinstance(value, str) else tuple(value)

    @field_validator("shown", mode="before")
    @classmethod
    def _shown_may_be_an_object(cls, value: Any, info: ValidationInfo) -> Any:
        return _as_text(value) if str(info.context) == "json_schema" else value

    @field_validator("shown")
    @classmethod
    def _shown_is_right(cls, value: str | None, info: ValidationInfo) -> str | None:
        scorer, answer = str(info.context), info.data.get("answer")
        if value is not None and answer is not None and scorer != "none" and score(scorer, value, answer).score != 1:
            raise ValueError(f"score = {scorer!r} does not count this as right")
        return value


def _texts(value: Any, written: Any) -> list[str]:
    """Return a text, or a list of texts, as a list."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"must be a text in quotes, or a list of such, not {json.dumps(written)[:80]}")
    return texts


_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def _storable(value: str | None) -> str | None:
    if value is not None and _UNSTORABLE.search(value):
        raise ValueError("holds a NUL character or half of a surrogate pair, which databases refuse")
    return value


# ---- all lines


def _read(data: bytes, score: Scorer) -> Iterator[_Line | Fault]:
    """Yield each line, or its faults in its place."""
    ids: dict[str, int] = {}
    prompts: dict[str, int] = {}
    asked = lines = 0
    # Not `splitlines`: it also breaks at U+2028, which may stand inside a JSON string.
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not raw.strip():
            continue
        lines += 1
        read = _read_line(raw, number, score)
        if isinstance(read, list):
            # Such a line may well be an item, so the file is not said to hold none.
            asked += 1
            yield from read
            continue
        asked += not read.example
        prompt = " ".join(read.prompt.split())
        twice = list(_duplicates(number, (("id", read.id, ids), ("prompt", prompt, prompts))))
        if twice:
            yield from twice
        else:
            yield read
    if not asked:
        what = 'every line is an "example", and no item is left to be asked' if lines else "the file holds no items"
        yield Fault(None, "", what)


def _duplicates(number: int, keys: tuple[tuple[str, str, dict[str, int]], ...]) -> Iterator[Fault]:
    for field, value, seen in keys:
        before = seen.setdefault(value, number)
        if before != number:
            yield Fault(number, field, f"{_short(value)} is already on line {before}")


def _short(value: str) -> str:
    return repr(value if len(value) <= 60 else f"{value[:57]}...")


def _read_line(raw: bytes, number: int, score: Scorer) -> _Line | list[Fault]:
    try:
        data = _read_object(raw)
    except ValueError as error:
        return [Fault(number, "", str(error))]
    if score == "none":
        data.setdefault("answer", "")
    try:
        line = _Line.model_validate(data, context=score)
    except ValidationError as error:
        return [Fault(number, field, message) for field, message in _faults(error)]
    if line.example and line.shown is None and score in JUDGED_BY_RULE:
        return [Fault(number, "shown", f"is missing: with score = {score!r} an example needs an answer to show")]
    return line


def _faults(error: ValidationError) -> Iterator[tuple[str, str]]:
    """Yield every fault of a line, a key that does not exist first, as what is missing may be that one misspelt."""
    details = error.errors(include_url=False)
    unknown = [each for each in details if each["type"] == "extra_forbidden"]
    others = [each for each in details if each["type"] not in ("extra_forbidden", *(["missing"] if unknown else []))]
    for each in (*unknown, *others):
        one = InitErrorDetails(type=each["type"], loc=each["loc"], input=each["input"], ctx=each.get("ctx", {}))
        yield fault(ValidationError.from_exception_data(error.title, [one]), _Line)


def _read_object(raw: bytes) -> dict[str, Any]:
    """Return a line's JSON object. Raises ValueError with what is wrong in words."""
    try:
        data = json.loads(raw.decode("utf-8"), parse_constant=_refuse)
    except UnicodeDecodeError:
        raise ValueError("this line is not UTF-8 text") from None
    except RecursionError:
        raise ValueError("the line is nested too deeply to be read") from None
    except ValueError as error:
        reason = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise ValueError(f"the line is no JSON: {reason}") from None
    if not isinstance(data, dict):
        raise ValueError('the line is no JSON object such as {"id": "q1", "prompt": "...", "answer": "..."}')
    return cast(dict[str, Any], data)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number in JSON")
