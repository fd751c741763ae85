"""A run that another tool measured, in our terms, with the key of its series."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from bench.results import Environment, Figures, Metric, Sample
from bench.workloads import Workload, workload_hash

Source = Literal["llama-bench", "lm-eval", "make-bench"]

#: what stands in a column that must say something about what the file does not tell
UNKNOWN = "-"

#: signs that no database's text and no terminal should meet
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_NO_ID = re.compile(r"[^a-z0-9]+")


class Placed(NamedTuple):
    """An object or a row of a file, with the line that it begins on."""

    line: int
    value: Mapping[str, Any]


@dataclass(frozen=True)
class Imported:
    """One run of another tool. What its file does not tell is None, or UNKNOWN where a column must have a word."""

    source: Source
    #: file and line, for what is wrong with it
    place: str
    #: the number of the run in its file, from 1
    position: int
    model: str
    workload: Workload
    #: float32, float16, bfloat16, or the tool's own name of a format (Q4_K_M)
    precision: str
    #: `cpu`, `cuda`, `mps`, or the tool's own name of another one
    device: str
    #: the device's own name
    device_name: str
    batch_size: int
    environment: Environment
    figures: Figures
    #: seconds since the epoch
    started_at: float
    finished_at: float
    #: commit of the weights
    revision: str = UNKNOWN
    attention: str = UNKNOWN
    cache: str = UNKNOWN
    #: lengths of a speed workload; 0 is a part that was left out
    prompt_tokens: int | None = None
    new_tokens: int | None = None
    #: the limit of items that was asked for
    items: int | None = None
    #: the tool's further settings, which are part of the series
    settings: Mapping[str, str] = field(default_factory=dict)
    #: what the file says about the run beside its figures
    told: Mapping[str, Any] = field(default_factory=dict)
    readings: tuple[Sample, ...] = ()
    metrics: tuple[Metric, ...] = ()

    @property
    def is_speed(self) -> bool:
        """Whether lengths were fixed and time is what was measured."""
        return self.new_tokens is not None

    def machine_by_hardware(self) -> str:
        """Return the id of a machine that nobody named: `unknown`, with what is known of its hardware."""
        slug = _NO_ID.sub("-", self.device_name.lower()).strip("-")[:50].strip("-")
        return f"unknown-{slug}" if slug else "unknown"

    def definition(self, machine: str) -> dict[str, str | int | float | bool | None]:
        """Return the key of the run's series on a machine; see `bench.series` for that of our own runs.

        The tool's own settings stand in it under the tool's name, and those are none that our runs could share.
        """
        ours: dict[str, Any] = {
            "source": self.source,
            "model": self.model,
            "revision": self.revision,
            "workload": self.workload.name,
            "workload_hash": workload_hash(self.workload),
            "items": self.items,
            "items_seed": None,
            "samples": None,
            "strategy": None,
            "strategy_hash": None,
            "temperature": None,
            "top_p": None,
            "top_k": None,
            "repetition_penalty": None,
            "max_new_tokens": None,
            "seed": None,
            "prompt_tokens": self.prompt_tokens,
            "new_tokens": self.new_tokens,
            "precision": self.precision,
            "quantiser": None,
            "attention": self.attention,
            "compile": False,
            "cache": self.cache,
            "batch_size": self.batch_size,
            "isolation": UNKNOWN,
            "device": self.device,
            "machine": machine,
        }
        return ours | {f"{self.source}.{name}": value for name, value in self.settings.items()}


@lru_cache(maxsize=4096)
def one_line(text: str, most: int = 200) -> str:
    """Return a text of a file as one short line that every database can hold."""
    return " ".join(_UNFIT.sub(" ", text).split())[:most].rstrip()


def as_model_name(text: str) -> str:
    """Return a text as the name of a model, which has no spaces; empty where nothing is left."""
    return one_line(text).replace(" ", "-")
