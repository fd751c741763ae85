"""The job specification: one thing to measure, frozen and validated, with a canonical hash."""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from bench.faults import MACHINE_ID, MACHINE_ID_IN_WORDS

Precision = Literal["float32", "float16", "bfloat16", "int8", "int4"]
Attention = Literal["sdpa", "eager"]
Device = Literal["any", "cpu", "cuda", "mps"]
Isolation = Literal["session", "process"]
Name = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\s\x00-\x1f\x7f-\x9f]+$")]

PRECISIONS: tuple[str, ...] = get_args(Precision)


class StopRule(BaseModel):
    """When a speed workload has been measured often enough, and how long it may take to get warm.

    At least `min_iterations`, then until the 95 % confidence interval of the median latency lies within
    +-`target` (a fraction of the median), at most `max_iterations` or `max_seconds`. What is thrown away before that,
    until the latencies are steady, is at most `max_warmup_iterations` or `max_warmup_seconds`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: float = Field(0.02, gt=0, lt=1)
    min_iterations: int = Field(5, ge=1, le=10_000)
    max_iterations: int = Field(30, ge=1, le=10_000)
    max_seconds: float = Field(300.0, gt=0, le=86_400)
    max_warmup_iterations: int = Field(30, ge=1, le=10_000)
    max_warmup_seconds: float = Field(60.0, gt=0, le=86_400)

    @model_validator(mode="after")
    def _ordered(self) -> "StopRule":
        if self.max_iterations < self.min_iterations:
            raise ValueError(f"max_iterations ({self.max_iterations}) is below min_iterations ({self.min_iterations})")
        return self


class JobSpec(BaseModel):
    """One thing to measure. A field that the workload's kind does not use is None.

    The hash leaves out fields at their default, so a field added later changes no hash; a default must
    therefore never change.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: name of the model in the catalog
    model: Name
    #: name of the workload
    workload: Name
    #: how the question is put (quality workloads)
    strategy: Name | None = None
    #: size of the seeded sample, stratified by level; None takes every item (quality workloads)
    items: int | None = Field(None, ge=1, le=1_000_000)
    #: seed of that sample
    items_seed: int = Field(0, ge=0, lt=2**31)
    #: how often each item is asked (quality workloads)
    samples: int = Field(1, ge=1, le=1000)
    #: 0 decodes greedily
    temperature: float | None = Field(None, ge=0, le=5)
    top_p: float | None = Field(None, gt=0, le=1)
    #: 0 keeps every token
    top_k: int | None = Field(None, ge=0, le=1_000_000)
    repetition_penalty: float | None = Field(None, gt=0, le=10)
    #: an answer is cut after this many tokens (quality workloads)
    max_new_tokens: int | None = Field(None, ge=1, le=131_072)
    #: seed of sampling
    seed: int = Field(0, ge=0, lt=2**31)
    #: length of the prompt (speed workloads)
    prompt_tokens: int | None = Field(None, ge=1, le=131_072)
    #: length of the answer (speed workloads)
    new_tokens: int | None = Field(None, ge=2, le=131_072)
    #: format of the weights while computing
    precision: Precision = "float32"
    attention: Attention = "sdpa"
    #: torch.compile the model's forward pass
    compile: bool = False
    #: kind of key-value cache
    cache: Literal["dynamic", "static"] = "dynamic"
    #: give every word its time, which costs a second pass of the decoder (speech)
    word_timestamps: bool = False
    #: detect the language also where an item names it (speech)
    detect_language: bool = False
    #: sequences generated at once
    batch_size: int = Field(1, ge=1, le=4096)
    device: Device = "any"
    #: id of the one machine that may run it; None is any
    machine: str | None = Field(None, pattern=MACHINE_ID, description=MACHINE_ID_IN_WORDS)
    #: `process` loads the model in a fresh process for this job alone
    isolation: Isolation = "session"
    #: fresh processes, one after the other, that the iterations are spread over (speed workloads)
    processes: int = Field(1, ge=1, le=100)
    #: when to stop (speed workloads)
    stop: StopRule | None = None
    #: trace some steps of the model; the run is marked, since that takes time
    profile: bool = False
    #: longest time it may hold the device; a worker's own limit (setting job_seconds) holds as well
    job_seconds: float | None = Field(None, gt=0, le=604_800)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Return the job of these values, in 0.4 kB instead of 1.7: a sweep may have 100,000. Raises ValidationError.

        Fields that are set one by one share the table of their names. Which were given is not kept: nobody asks.
        """
        spec, put = cls.__new__(cls), object.__setattr__
        for name, value in cls.model_validate(values).__dict__.items():
            put(spec, name, value)
        for name, value in _PYDANTICS_OWN:
            put(spec, name, value)
        return spec

    @property
    def is_speed(self) -> bool:
        """Whether lengths are fixed and time is what is measured."""
        return self.new_tokens is not None

    @property
    def is_isolated(self) -> bool:
        """Whether no other job shares a process with it."""
        return self.isolation == "process" or self.processes > 1

    def canonical(self) -> str:
        """JSON with sorted keys, without what is at its default."""
        values = self.__dict__
        return f"{{{','.join([_member(name, values[name]) for name, at in _FIELDS if values[name] != at])}}}"

    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hex."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()


#: fields in the order of canonical JSON, with their defaults; what has to be given has none that is equal to anything
_FIELDS = tuple(sorted((name, field.default) for name, field in JobSpec.model_fields.items()))
_PYDANTICS_OWN: tuple[tuple[str, Any], ...] = (
    ("__pydantic_fields_set__", set(JobSpec.model_fields)),
    ("__pydantic_extra__", None),
    ("__pydantic_private__", None),
)
# Python sizes the shared table by the first instances of a class, and those of pydantic have none.
JobSpec.of({"model": "first", "workload": "first"})


def _member(name: str, value: Any) -> str:
    """Return a field as a member of a JSON object."""
    # A float is written as JSON writes it; in the cache, 0.0 and -0.0 would be one.
    return f'"{name}":{value!r}' if type(value) in (int, float) else _cached_member(name, value)


@lru_cache(1024, typed=True)  # 1 and True are written differently
def _cached_member(name: str, value: Any) -> str:
    # Few values other than numbers differ between the jobs of a sweep.
    shown = value.model_dump(exclude_defaults=True) if isinstance(value, BaseModel) else value
    return f'"{name}":{_json(shown)}'


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def describe(spec: JobSpec) -> str:
    """Return a line that names a job for people: model, workload, strategy and what differs from the defaults."""
    parts = [spec.model, spec.workload]
    if spec.strategy:
        parts.append(spec.strategy)
    if spec.is_speed:
        parts.append(f"{spec.prompt_tokens}+{spec.new_tokens}")
    if spec.temperature:
        parts.append(f"t={spec.temperature:g}")
    parts.append(spec.precision)
    if spec.processes > 1:
        parts.append(f"in {spec.processes} processes")
    return " ".join(parts)


def hash_of(value: Any) -> str:
    """SHA-256, in hex, of a JSON value with sorted keys."""
    return hashlib.sha256(_json(value).encode()).hexdigest()
