"""The catalog of models: the built-in entries and a user's own ones."""

import re
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from math import ceil
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from bench.errors import InputError
from bench.faults import explain as explain
from bench.faults import fault as fault
from bench.spec import Precision

Task = Literal["text", "vision", "speech"]
Scheme = Literal["hub", "file", "gguf", "wheel", "whisper"]

_SOURCE = re.compile(
    r"(?:(?P<hub>hub):(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?"
    r"|(?P<path_scheme>file|gguf):(?P<path>.+)"
    r"|(?P<wheel>wheel):(?P<package>[\w.-]+)==(?P<version>[\w.]+)#(?P<inside>[^#]+)"
    r"|(?P<whisper>whisper):(?P<size>[\w.-]+))"
)


class Source(NamedTuple):
    """Where weights come from.

    `location` is the hub's ORG/NAME, a path, a wheel's PACKAGE or a Whisper size; `revision` is the hub's
    revision or the wheel's version; `inside` is the path of the file in the wheel.
    """

    scheme: Scheme
    location: str
    revision: str | None = None
    inside: str | None = None


def parse_source(text: str) -> Source:
    """Read hub:ORG/NAME[@REVISION] | file:PATH | gguf:PATH | wheel:PACKAGE==VERSION#PATH | whisper:SIZE.

    Raises ValueError where it is none of these.
    """
    match = _SOURCE.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text!r} is no source; allowed are hub:ORG/NAME[@REVISION], file:PATH, gguf:PATH, "
            "wheel:PACKAGE==VERSION#PATH/IN/WHEEL and whisper:SIZE"
        )
    if match["hub"]:
        return Source("hub", match["repo"], match["revision"])
    if match["wheel"]:
        return Source("wheel", match["package"], match["version"], match["inside"])
    if match["whisper"]:
        return Source("whisper", match["size"])
    return Source("gguf" if match["path_scheme"] == "gguf" else "file", match["path"])


#: the settings that a job takes without a preset, under the name that a sweep gives for them
DEFAULT_SETTINGS = "default"
_PRESET_NAME = re.compile(r"[^\W\d][\w.-]{0,63}")


class GenerationSettings(BaseModel):
    """Settings of generation that somebody recommends; None leaves one open."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float | None = Field(None, ge=0, le=5)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0, le=1_000_000)
    repetition_penalty: float | None = Field(None, gt=0, le=10)
    max_new_tokens: int | None = Field(None, ge=1, le=131_072)


class Preset(GenerationSettings):
    """Recommended settings of a model, and what differs from them by strategy."""

    strategy: dict[str, GenerationSettings] = Field(default_factory=dict)

    def for_strategy(self, name: str | None) -> dict[str, float | int]:
        """Return the settings that are given, by the name of their axis."""
        own = self.strategy.get(name or "", GenerationSettings())
        return self.model_dump(exclude={"strategy"}, exclude_none=True) | own.model_dump(exclude_none=True)


class ModelEntry(BaseModel):
    """A model of the catalog."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    task: Task
    #: see `parse_source`
    source: str
    #: what the model is, where its config.json's model_type can't tell (DeepSeek-OCR has that of DeepSeek-VL2 too)
    architecture: Literal["deepseek-vl2"] | None = None
    #: expected SHA-256 of the weights' one file, in hex
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$", description="64 hexadecimal digits in lower case")
    #: GiB that a run needs on its device, by precision; what is not listed can't be run
    memory_gib: dict[Precision, float] = Field(min_length=1)
    #: precision of a job that names none
    precision: Precision
    #: tokens that a reasoning model may think, added to what the workload allows for the answer
    thinking_tokens: int | None = Field(None, ge=1, le=131_072)
    #: Jinja template of a conversation, instead of the one that the model's tokenizer brings
    chat_template: str | None = None
    #: named settings of generation ("recommended"), which fill what a sweep leaves open
    settings: dict[str, Preset] = Field(default_factory=dict)
    #: whether the hub asks for a licence to be accepted
    gated: bool = False
    parameters: int | None = Field(None, gt=0)
    license: str | None = None
    description: str = ""

    @field_validator("source")
    @classmethod
    def _source_is_known(cls, value: str) -> str:
        parse_source(value)
        return value

    @field_validator("memory_gib")
    @classmethod
    def _memory_is_positive(cls, value: dict[Precision, float]) -> dict[Precision, float]:
        for precision, gib in value.items():
            if not 0 < gib < 100_000:
                raise ValueError(f"{precision} = {gib} is no amount of memory in GiB")
        return value

    @field_validator("chat_template")
    @classmethod
    def _template_shows_the_messages(cls, value: str | None) -> str | None:
        if value is not None and "messages" not in value:
            raise ValueError("must be a Jinja template that writes out `messages`")
        return value

    @field_validator("settings")
    @classmethod
    def _presets_have_names(cls, value: dict[str, Preset]) -> dict[str, Preset]:
        for name in value:
            if name == DEFAULT_SETTINGS:
                raise ValueError(f"{name!r} is the name of the settings without a preset; give another")
            if not _PRESET_NAME.fullmatch(name):
                raise ValueError(f"the name {name!r} must be a word")
        return value

    @model_validator(mode="before")
    @classmethod
    def _first_precision_is_the_default(cls, data: Any) -> Any:
        if isinstance(data, dict) and "precision" not in data and isinstance(data.get("memory_gib"), dict):
            return {**data, "precision": next(iter(data["memory_gib"]), "float32")}
        return data

    @model_validator(mode="after")
    def _default_has_memory(self) -> "ModelEntry":
        if self.precision not in self.memory_gib:
            raise ValueError(f"memory_gib has no {self.precision}, which is the model's precision")
        return self

    def memory_mib(self, precision: Precision) -> int:
        """Return the MiB that a run in `precision` needs. Raises KeyError where the entry does not list it."""
        return ceil(self.memory_gib[precision] * 1024)


@cache
def builtin_models() -> Mapping[str, ModelEntry]:
    """Return the built-in catalog by name."""
    table = tomllib.loads(files("bench").joinpath("data/models.toml").read_text(encoding="utf-8"))
    return {name: ModelEntry(name=name, **entry) for name, entry in table.items()}


def own_model(name: str, fields: Any, where: Callable[[str], str]) -> ModelEntry:
    """Read the table [models.NAME] of a file; `where` gives the place of a field of it. Raises InputError."""
    if not isinstance(fields, dict):
        raise InputError("must be a table of fields", where=where("source"))
    if "name" in fields:
        raise InputError("unknown key; the name stands in the table's header", where=where("name"))
    try:
        return ModelEntry(name=name, **fields)
    except ValidationError as error:
        field, message = fault(error, ModelEntry)
        raise InputError(message, where=where(field or "source")) from None
