"""Reading and validating a workload's file of JSON lines."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple, NoReturn, cast, get_args

from pydantic import Strict, ValidationError, ValidationInfo, field_validator
from pydantic_core import InitErrorDetails

from bench import constraints
from bench.catalog import Task, fault
from bench.errors import InputError, suggest
from bench.items import Item
from bench.media import FIELDS, MediaReader, sha256_of
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
    #: content of the items' media by SHA-256, where all of it is small enough to travel
    media: dict[str, bytes] = {}  # noqa: RUF012  (never changed)
    #: else where each file lies, by SHA-256, relative to the workload's file
    media_paths: dict[str, str] | None = None


def validate_file(path: Path, *, task: str, score: str) -> list[Fault]:
    """Return every fault of a workload's file, by line: what can't be read, duplicates, answers that can't be scored.

    Raises InputError for a task or scorer that is not available and for a file that can't be read.
    """
    known = check_task(task)
    reader = _FileReader(path, known, check_scorer(score, task=known))
    return [each for each in reader.read(read_bytes(path)) if isinstance(each, Fault)]


def read_contents(data: bytes, path: Path, task: Task, score: Scorer) -> Contents:
    """Return what a file's bytes hold. Raises InputError for the first fault, naming file, line and field."""
    lines: list[_Line] = []
    reader = _FileReader(path, task, score)
    for each in reader.read(data):
        if isinstance(each, Fault):
            raise each.error(str(path))
        lines.append(each)
    items = [(line.example, Item(**line.model_dump(exclude={"example"}))) for line in lines]
    return Contents(
        tuple(item for example, item in items if not example),
        tuple(item for example, item in items if example),
        reader.media.contents if reader.media.travels else {},
        None if reader.media.travels else reader.media.paths,
    )


def read_trusted(data: str, content_of: Callable[[str], bytes]) -> Contents:
    """Return what the text of a built-in workload's file holds; our tests have validated it.

    `content_of` gives the content of a file that an item names.
    """
    items: list[Item] = []
    examples: list[Item] = []
    media: dict[str, bytes] = {}
    for line in data.splitlines():
        fields = json.loads(line)
        if "audio" in fields:
            content = content_of(fields["audio"])
            fields["audio"] = sha256_of(content)
            media[fields["audio"]] = content
        into = examples if fields.pop("example", False) else items
        into.append(Item(**{**fields, "answer": _as_text(fields["answer"])}))
    return Contents(tuple(items), tuple(examples), media)


def read_bytes(path: Path) -> bytes:
    """Return a file's bytes. Raises InputError where it can't be read."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise InputError(f"can't read {path}: it is no regular file")  # a pipe or device would be read for ever
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror or error}") from None


def check_task(task: str) -> Task:
    """Return the task of a name. Raises InputError for one that does not exist."""
    known = get_args(Task)
    if task not in known:
        raise InputError(f"task: unknown task {task!r}{suggest(task, known)}")
    return cast(Task, task)


# ---- one line


def _as_text(answer: Any) -> Any:
    """Return an answer with each JSON object, as a schema may be written, as its text."""
    if isinstance(answer, dict):
        return json.dumps(answer, ensure_ascii=False)
    return [_as_text(each) if isinstance(each, dict) else each for each in answer] if type(answer) is list else answer


class _Line(Item):
    """A line of a workload's file; validated with the scorer as context."""

    prompt: str
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


class _FileReader:
    """Reads the lines of one file, and the media that they name."""

    def __init__(self, path: Path, task: Task, score: Scorer) -> None:
        self._task = task
        self._score = score
        self.media = MediaReader(path.parent, FIELDS.get(task, ""))

    def read(self, data: bytes) -> Iterator[_Line | Fault]:
        """Yield each line, or its faults in its place."""
        ids: dict[str, int] = {}
        questions: dict[str, int] = {}
        asked = lines = 0
        # Not `splitlines`: it also breaks at U+2028, which may stand inside a JSON string.
        for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
            if not raw.strip():
                continue
            lines += 1
            read = self._line(raw, number)
            if isinstance(read, list):
                # Such a line may well be an item, so the file is not said to hold none.
                asked += 1
                yield from read
                continue
            asked += not read.example
            field, question = self._question(read)
            twice = list(_duplicates(number, (("id", read.id, read.id, ids), (field, *question, questions))))
            if twice:
                yield from twice
            else:
                yield read
        if not asked:
            what = 'every line is an "example", and no item is left to be asked' if lines else "the file holds no items"
            yield Fault(None, "", what)

    def _question(self, line: _Line) -> tuple[str, tuple[str, str]]:
        """Return what tells two questions apart: its field, how it is shown, and the whole of it."""
        prompt = " ".join(line.prompt.split())
        if self._task == "speech":
            return "audio", (self.media.paths[line.audio or ""], line.audio or "")
        return "prompt", (prompt, f"{line.image or ''} {prompt}")

    def _line(self, raw: bytes, number: int) -> _Line | list[Fault]:
        try:
            data = _read_object(raw)
        except ValueError as error:
            return [Fault(number, "", str(error))]
        if self._score == "none":
            data.setdefault("answer", "")
        if self._task == "speech":
            # Not asked for: a clip is all that the model gets.
            data.setdefault("prompt", _NOTHING)
        try:
            self._take_media(data)
            line = _Line.model_validate(data, context=self._score)
        except ValidationError as error:
            return [Fault(number, field, message) for field, message in _faults(error)]
        except _FieldError as error:
            return [Fault(number, error.field, str(error))]
        if line.example and self._task != "text":
            return [Fault(number, "example", f"a {self._task} workload has no examples; few_shot shows text alone")]
        if line.example and line.shown is None and self._score in JUDGED_BY_RULE:
            what = f"is missing: with score = {self._score!r} an example needs an answer to show"
            return [Fault(number, "shown", what)]
        return line.model_copy(update={"prompt": ""}) if line.prompt == _NOTHING else line

    def _take_media(self, data: dict[str, Any]) -> None:
        """Put the SHA-256 of the picture or clip in the place of its path."""
        wanted = FIELDS.get(self._task)
        for field in FIELDS.values():
            if field != wanted and field in data:
                raise _FieldError(field, f"does not go with task = {self._task!r}")
        if wanted is None:
            return
        if self._task == "speech" and data["prompt"] != _NOTHING:
            raise _FieldError("prompt", "does not go with task = 'speech', where the clip is all that the model gets")
        name = data.get(wanted)
        if not isinstance(name, str) or not name.strip():
            raise _FieldError(wanted, "is missing: give the path of the file, relative to this one")
        try:
            data[wanted] = self.media.read(name)
        except ValueError as error:
            raise _FieldError(wanted, str(error)) from None


class _FieldError(Exception):
    """What is wrong with one field of a line."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


#: stands for the prompt that a clip has not
_NOTHING = "-"


def _duplicates(number: int, keys: tuple[tuple[str, str, str, dict[str, int]], ...]) -> Iterator[Fault]:
    for field, shown, value, seen in keys:
        before = seen.setdefault(value, number)
        if before != number:
            yield Fault(number, field, f"{_short(shown)} is already on line {before}")


def _short(value: str) -> str:
    return repr(value if len(value) <= 60 else f"{value[:57]}...")


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
