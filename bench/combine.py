"""From a combination of a sweep's axes to one job: what its workload uses, presets, defaults, and notes about it."""

from collections.abc import Iterator
from typing import Any

from bench.axes import Axes, Block, combinations
from bench.catalog import DEFAULT_SETTINGS, ModelEntry
from bench.errors import InputError
from bench.library import Library
from bench.spec import JobSpec, StopRule
from bench.workloads import Workload

#: as JobSpec allows
_MOST_NEW_TOKENS = 131_072

_DECODING = frozenset({"temperature", "top_p", "top_k", "repetition_penalty", "seed", "max_new_tokens"})
_ASKING = frozenset({"strategy", "items_seed", "samples"})
_LENGTHS = frozenset({"prompt_tokens", "new_tokens", "stop", "processes"})
_HEARING = frozenset({"word_timestamps", "detect_language"})

#: fields that a kind of workload does not use; a harness decodes and samples as its task says, and Whisper decodes in a
#: way of its own, one clip at a time
_UNUSED = {
    "text": _LENGTHS | _HEARING,
    "vision": _LENGTHS | _HEARING,
    "speech": _LENGTHS | {"strategy", "top_p", "top_k", "repetition_penalty", "batch_size", "cache"},
    "speed": _DECODING | _ASKING | _HEARING | {"items"},
    "harness": _DECODING | _ASKING | _LENGTHS | _HEARING,
}

_ASKED: dict[str, Any] = {
    "strategy": "direct",
    "temperature": 0.0,
    "top_p": 1.0,
    "top_k": 0,
    "repetition_penalty": 1.0,
}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "text": {**_ASKED, "batch_size": 16},
    # One by one: the latency of a picture is what people ask for.
    "vision": {**_ASKED, "batch_size": 1},
    "speech": {"temperature": 0.0, "batch_size": 1},
    "speed": {"prompt_tokens": 128, "new_tokens": 128, "stop": StopRule()},
    "harness": {"batch_size": 16},
}


class Combiner:
    """Makes the jobs of blocks, and collects what a person should be told about them."""

    def __init__(self, library: Library) -> None:
        self.library = library
        #: the workloads that jobs name
        self.workloads: dict[str, Workload] = {}
        #: sentences for the user, each once, in order
        self.notes: dict[str, None] = {}
        self._put: set[tuple[str | None, str]] = set()

    def jobs(self, block: Block, axes: Axes) -> Iterator[JobSpec]:
        """Yield the job of every combination that is not excluded. Raises InputError."""
        for name in axes["workload"]:
            if name not in self.workloads:
                self.workloads[name] = self.library.workload(name, block.where("workload"))
        for combination in combinations(block, axes, self.library):
            yield self._job(combination, block)

    def _job(self, combination: dict[str, Any], block: Block) -> JobSpec:
        """Return one job: what its workload does not use is left out, what is not given takes its default."""
        entry = self.library.models[combination["model"]]
        workload = self.workloads[combination["workload"]]
        if entry.task != workload.task:
            raise InputError(
                f"{workload.name!r} is for {workload.task} models, {entry.name!r} is a {entry.task} model",
                where=block.where("workload"),
            )
        settings = combination.pop("settings", DEFAULT_SETTINGS)
        # Quality is asked in a way that depends on the task.
        kind = workload.task if workload.kind == "quality" else workload.kind
        values = {"precision": entry.precision, **_DEFAULTS[kind]}
        given = {key: value for key, value in combination.items() if key not in _UNUSED[kind]}
        if workload.kind == "quality":
            strategy = given.get("strategy", values.get("strategy"))
            values["max_new_tokens"] = _limit(workload, entry)
            preset = self._preset(entry, settings, strategy)
            values |= {key: value for key, value in preset.items() if key not in _UNUSED[kind]}
        values |= given
        if values.get("processes", 1) > 1:
            # A fresh process each, whatever was said: one job has one specification.
            values["isolation"] = "process"
        if values["precision"] not in entry.memory_gib:
            raise InputError(
                f"{entry.name!r} has no {values['precision']}; it has {', '.join(entry.memory_gib)}",
                where=block.where("precision"),
            )
        if workload.kind == "quality":
            self._check_quality(values, block, workload)
            self._note_quality(values, entry)
        return JobSpec.of(values)

    def _preset(self, entry: ModelEntry, name: str, strategy: str | None) -> dict[str, float | int]:
        if name == DEFAULT_SETTINGS:
            return {}
        if name not in entry.settings:
            self._note(f"{entry.name!r} has no settings {name!r}, so what is left open takes its default")
            return {}
        return entry.settings[name].for_strategy(strategy)

    def _check_quality(self, values: dict[str, Any], block: Block, workload: Workload) -> None:
        if values.get("items") is not None and values["items"] > len(workload.items):
            raise InputError(
                f"{workload.name!r} has {len(workload.items)} items, not {values['items']}",
                where=block.where("items"),
            )
        pair = (values.get("strategy"), workload.name)
        if pair[0] is not None and pair not in self._put:
            try:
                self.library.strategies[values["strategy"]].template(workload)
            except InputError as error:
                raise InputError(error.message, where=block.where("strategy")) from None
            self._put.add(pair)

    def _note_quality(self, values: dict[str, Any], entry: ModelEntry) -> None:
        """Say what a person may not expect, and normalise greedy jobs."""
        if values["temperature"] == 0:
            samples = values.get("samples", 1)
            if samples > 1:
                self._note(
                    f"samples = {samples} at temperature 0: each item is asked once, since greedy answers are all alike"
                )
            # The same answer whatever the sampling settings and however often it is asked.
            values |= {"seed": 0, "samples": 1}
            if "top_p" in values:
                values |= {"top_p": 1.0, "top_k": 0}
        limit, thinking = values["max_new_tokens"], entry.thinking_tokens
        if thinking and limit is not None and limit < thinking:
            self._note(
                f"max_new_tokens = {limit} cuts the thoughts of {entry.name!r} too; "
                f"where it is left out, {thinking} tokens are added for them"
            )

    def _note(self, sentence: str) -> None:
        self.notes[sentence] = None


def _limit(workload: Workload, entry: ModelEntry) -> int | None:
    """Return the tokens that an answer may have where nobody says: the workload's, and those to think with."""
    if workload.max_new_tokens is None:
        return None
    return min(workload.max_new_tokens + (entry.thinking_tokens or 0), _MOST_NEW_TOKENS)
