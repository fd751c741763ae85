"""Workloads: what a model is asked to do, and how the answer is scored."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field

from bench.catalog import Task
from bench.errors import InputError
from bench.items import Item as Item
from bench.pictures import DRAWN, ITEMS, draw
from bench.scoring import SCORERS as SCORERS
from bench.scoring import Scorer as Scorer
from bench.scoring import check_scorer
from bench.spec import hash_of
from bench.workload_files import check_task, read_bytes, read_contents, read_trusted

#: tokens after which an answer to a user's own workload is cut where the job says nothing else
OWN_MAX_NEW_TOKENS: dict[Task, int | None] = {"text": 256, "vision": 64, "speech": None}


class Workload(BaseModel):
    """What a model is asked to do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    task: Task
    #: `speed` fixes lengths and measures time, `quality` asks items and scores the answers, `harness` leaves a task to
    #: a foreign harness (lm-eval)
    kind: Literal["quality", "speed", "harness"]
    #: how an answer is scored; None for a speed workload
    score: Scorer | None = None
    #: what is asked, in the file's order
    items: tuple[Item, ...] = ()
    #: items that `few_shot` shows; never asked themselves
    examples: tuple[Item, ...] = ()
    #: an answer is cut after this many tokens where the job says nothing else; None leaves it to the model
    max_new_tokens: int | None = Field(None, ge=1)
    #: one sentence for people
    description: str = ""
    #: whether answers are prose, whose readability is part of their quality
    prose: bool = False
    #: files of a user's own harness task, by their path in its folder
    files: dict[str, str] | None = None
    #: content of the items' media by SHA-256, in hex; it travels apart from the definition
    media: dict[str, bytes] = Field(default_factory=dict, exclude=True, repr=False)
    #: where media that is too large to travel lies under the workers' data_dir, by SHA-256
    media_paths: dict[str, str] | None = None

    def digest(self) -> str:
        """Return the SHA-256, in hex, of scorer, items and examples: what must be equal for two runs to compare."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        # Without what is None, so that a field added to the items later changes no hash.
        data = self.model_dump(mode="json", include={"items", "examples"}, exclude_none=True)
        if self.files is not None:
            data["files"] = self.files
        return hash_of({"score": self.score, **data})

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a changed copy, which takes a digest of its own."""
        copy = super().model_copy(update=update, deep=deep)
        copy.__dict__.pop("_digest", None)
        return copy

    def sample(self, items: int | None, seed: int) -> tuple[Item, ...]:
        """Return `items` of the items in the file's order, each level and language with its share; None returns all.

        The same seed gives the same sample everywhere. Raises InputError where there are not so many.
        """
        if items is None:
            return self.items
        if not 0 < items <= len(self.items):
            raise InputError(f"items: workload {self.name!r} has {len(self.items)} items, so {items} can't be sampled")
        strata: defaultdict[_Stratum, list[Item]] = defaultdict(list)
        for item in self.items:
            strata[_Stratum(item.level or 0, item.language or "")].append(item)
        shares = _shares({stratum: len(group) for stratum, group in strata.items()}, items)
        taken = {
            item.id
            for stratum, group in strata.items()
            for item in sorted(group, key=lambda item: _rank(seed, item))[: shares[stratum]]
        }
        return tuple(item for item in self.items if item.id in taken)


def workload_hash(workload: Workload) -> str:
    """Return the hash of a workload's name, task and data, the files of a user's own harness task among them."""
    files = [each for each in (workload.files, workload.media_paths) if each]
    return hash_of([workload.name, workload.task, workload.digest(), *files])


class _Stratum(NamedTuple):
    level: int
    language: str


def _shares(sizes: Mapping[_Stratum, int], wanted: int) -> dict[_Stratum, int]:
    """Divide `wanted` in proportion to the sizes, each share rounded up or down.

    What rounding down leaves goes, one by one, where the level and the language together lack most; the larger
    remainder, then the lower level, then the language by its name win a tie.
    """
    total = sum(sizes.values())
    shares = {stratum: wanted * size // total for stratum, size in sizes.items()}
    remainders = {stratum: wanted * size % total for stratum, size in sizes.items() if wanted * size % total}
    # What a level and a language still lack, in parts of `total`.
    levels: defaultdict[int, int] = defaultdict(int)
    languages: defaultdict[str, int] = defaultdict(int)
    for stratum, remainder in remainders.items():
        levels[stratum.level] += remainder
        languages[stratum.language] += remainder
    for _ in range(wanted - sum(shares.values())):
        lacking = min(remainders, key=lambda s: (-levels[s.level] - languages[s.language], -remainders[s], s))
        del remainders[lacking]
        shares[lacking] += 1
        levels[lacking.level] -= total
        languages[lacking.language] -= total
    return shares


def _rank(seed: int, item: Item) -> bytes:
    # Not `random`: its algorithms may change between versions of Python, and a sample is part of a series' key.
    return hashlib.sha256(f"{seed}\n{item.id}".encode()).digest()


class _Builtin(NamedTuple):
    """A built-in workload whose file has not been read."""

    score: Scorer
    max_new_tokens: int | None
    description: str
    prose: bool = False
    task: Task = "text"


_BUILTIN = {
    "facts": _Builtin("contains", 64, "Short questions of general knowledge in three levels."),
    "arithmetic": _Builtin("number", 256, "Sums and word problems of one, two and several steps."),
    "patterns": _Builtin("contains", 128, "Sequences of numbers, letters and words to be continued, and analogies."),
    "reasoning": _Builtin("choice", 256, "Short problems of logic with several choices."),
    "multilingual": _Builtin("contains", 64, "The same questions in eight languages, judged in each."),
    "instructions": _Builtin("constraints", 256, "Requests whose form can be verified: counts, formats, barred words."),
    "structure": _Builtin("json_schema", 256, "Facts to be written as JSON that a schema allows."),
    "writing": _Builtin("keywords", 384, "Short texts that have to cover certain points, readably.", prose=True),
    "dictation": _Builtin("wer", None, "Sentences read aloud by a synthesiser, to be written down.", task="speech"),
}
_SPEED = Workload(
    name="speed",
    task="text",
    kind="speed",
    description="Generates new_tokens after a prompt of prompt_tokens, both fixed, and measures the time.",
)


class _BuiltinWorkloads(Mapping[str, Workload]):
    """The built-in workloads; the file of one is read when that one is asked for."""

    def __init__(self) -> None:
        self._read = {_SPEED.name: _SPEED}

    def __getitem__(self, name: str) -> Workload:
        if name not in self._read:
            self._read[name] = _drawn(name) if name in DRAWN else _read_builtin(name, _BUILTIN[name])
        return self._read[name]

    def __contains__(self, name: object) -> bool:
        return name in _BUILTIN or name in DRAWN or name in self._read

    def __iter__(self) -> Iterator[str]:
        return iter((*_BUILTIN, *DRAWN, _SPEED.name))

    def __len__(self) -> int:
        return len(_BUILTIN) + len(DRAWN) + 1


class Summary(NamedTuple):
    """A workload in a list."""

    name: str
    task: Task
    kind: str
    items: int | None
    score: Scorer | None
    description: str

    @classmethod
    def of(cls, workload: Workload) -> "Summary":
        """Return the summary of a workload."""
        items = len(workload.items) or None
        return cls(workload.name, workload.task, workload.kind, items, workload.score, workload.description)


def builtin_summary(name: str) -> Summary:
    """Return the summary of a built-in workload, drawing no pictures for it."""
    if name in DRAWN:
        return Summary(name, "vision", "quality", ITEMS, DRAWN[name].score, DRAWN[name].description)
    return Summary.of(builtin_workloads()[name])


@cache
def builtin_workloads() -> Mapping[str, Workload]:
    """Return the built-in workloads by name. The names cost nothing; a workload is read at its first use."""
    return _BuiltinWorkloads()


def _read_builtin(name: str, entry: _Builtin) -> Workload:
    folder = files("bench").joinpath("data")
    text = folder.joinpath(f"{name}.jsonl").read_text(encoding="utf-8")
    contents = read_trusted(text, lambda path: folder.joinpath(path).read_bytes())
    return Workload(name=name, kind="quality", **contents._asdict(), **entry._asdict())


def _drawn(name: str) -> Workload:
    drawing, pictures = DRAWN[name], draw(name)
    items = (
        Item(id=one.id, prompt=one.prompt, answer=one.answer, level=one.level, image=one.sha256) for one in pictures
    )
    return Workload(
        name=name,
        task="vision",
        kind="quality",
        score=drawing.score,
        items=tuple(items),
        max_new_tokens=drawing.max_new_tokens,
        description=drawing.description,
        media={one.sha256: one.png for one in pictures},
    )


def read_workload(path: Path, *, name: str, task: str, score: str, where: str) -> Workload:
    """Read a user's own workload from a file of JSON lines.

    A line is {"id", "prompt", "answer"} and optionally "level" (1 to 3), "language", "structure" (what the form of a
    good answer holds) and "example": true, which makes it one that few_shot shows, by "shown" where the answer only
    says how to judge. For a vision model it has "image" too, for a speech model "audio" in place of the prompt, paths
    relative to the file. `where` is the place that declares the workload. Raises InputError for the first fault,
    naming file, line and field.
    """
    try:
        known = check_task(task)
    except InputError as error:
        raise InputError(f"workload {name!r}: {error.message}", where=where) from None
    scorer = check_scorer(score, task=known, where=where)
    try:
        data = read_bytes(path)
    except InputError as error:
        raise InputError(f"workload {name!r}: {error.message}", where=where) from None
    contents = read_contents(data, path, known, scorer)
    return Workload(
        name=name,
        task=known,
        kind="quality",
        score=scorer,
        max_new_tokens=OWN_MAX_NEW_TOKENS[known],
        **contents._asdict(),
    )
