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
from bench.scoring import SCORERS as SCORERS
from bench.scoring import Scorer as Scorer
from bench.scoring import check_scorer
from bench.spec import hash_of
from bench.workload_files import check_task, read_bytes, read_contents, read_trusted

#: tokens after which an answer to a user's own workload is cut where the job says nothing else
OWN_MAX_NEW_TOKENS = 256


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
    #: an answer is cut after this many tokens where the job says nothing else; None for a speed workload
    max_new_tokens: int | None = Field(None, ge=1)
    #: one sentence for people
    description: str = ""
    #: whether answers are prose, whose readability is part of their quality
    prose: bool = False
    #: files of a user's own harness task, by their path in its folder
    files: dict[str, str] | None = None

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
    max_new_tokens: int
    description: str
    prose: bool = False


_BUILTIN = {
    "facts": _Builtin("contains", 64, "Short questions of general knowledge in three levels."),
    "arithmetic": _Builtin("number", 256, "Sums and word problems of one, two and several steps."),
    "patterns": _Builtin("contains", 128, "Sequences of numbers, letters and words to be continued, and analogies."),
    "reasoning": _Builtin("choice", 256, "Short problems of logic with several choices."),
    "multilingual": _Builtin("contains", 64, "The same questions in eight languages, judged in each."),
    "instructions": _Builtin("constraints", 256, "Requests whose form can be verified: counts, formats, barred words."),
    "structure": _Builtin("json_schema", 256, "Facts to be written as JSON that a schema allows."),
    "writing": _Builtin("keywords", 384, "Short texts that have to cover certain points, readably.", prose=True),
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
            self._read[name] = _read_builtin(name, _BUILTIN[name])
        return self._read[name]

    def __contains__(self, name: object) -> bool:
        return name in _BUILTIN or name in self._read

    def __iter__(self) -> Iterator[str]:
        return iter((*_BUILTIN, _SPEED.name))

    def __len__(self) -> int:
        return len(_BUILTIN) + 1


@cache
def builtin_workloads() -> Mapping[str, Workload]:
    """Return the built-in workloads by name. The names cost nothing; a workload is read at its first use."""
    return _BuiltinWorkloads()


def _read_builtin(name: str, entry: _Builtin) -> Workload:
    contents = read_trusted(files("bench").joinpath(f"data/{name}.jsonl").read_text(encoding="utf-8"))
    return Workload(name=name, task="text", kind="quality", **contents._asdict(), **entry._asdict())


def read_workload(path: Path, *, name: str, task: str, score: str, where: str) -> Workload:
    """Read a user's own workload from a file of JSON lines.

    A line is {"id", "prompt", "answer"} and optionally "level" (1 to 3), "language", "structure" (what the form of a
    good answer holds) and "example": true, which makes it one that few_shot shows, by "shown" where the answer only
    says how to judge. `where` is the place that declares the workload. Raises InputError for the first fault, naming
    file, line and field.
    """
    try:
        check_task(task)
    except InputError as error:
        raise InputError(f"workload {name!r}: {error.message}", where=where) from None
    scorer = check_scorer(score, where=where)
    try:
        data = read_bytes(path)
    except InputError as error:
        raise InputError(f"workload {name!r}: {error.message}", where=where) from None
    contents = read_contents(data, str(path), scorer)
    return Workload(
        name=name,
        task="text",
        kind="quality",
        score=scorer,
        max_new_tokens=OWN_MAX_NEW_TOKENS,
        **contents._asdict(),
    )
