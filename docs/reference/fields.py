"""The fields of a pydantic model with what its source says of them in `#:` comments."""

import inspect
import re
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

_COMMENT = re.compile(r"((?:^    #:[^\n]*\n)+)    (\w+):", re.MULTILINE)
_BOUNDS: dict[type, tuple[str, str]] = {
    annotated_types.Ge: ("ge", "from {}"),
    annotated_types.Gt: ("gt", "above {}"),
    annotated_types.Le: ("le", "to {}"),
    annotated_types.Lt: ("lt", "below {}"),
}
_NAMES = {"int": "whole number", "float": "number", "bool": "true or false", "Path": "path", "SecretStr": "text"}


@dataclass(frozen=True)
class Documented:
    """One field."""

    name: str
    #: what may stand there, in words
    kind: str
    #: its default; empty where there is none
    default: str
    #: what its comment says
    meaning: str


def documented(model: type[BaseModel]) -> list[Documented]:
    """Return the fields of a model in the order of its source."""
    comments = {
        name: " ".join(line.strip().removeprefix("#:").strip() for line in lines.splitlines())
        for lines, name in _COMMENT.findall(inspect.getsource(model))
    }
    return [
        Documented(name, _kind(field), _default(field), comments.get(name, ""))
        for name, field in model.model_fields.items()
    ]


def _kind(field: FieldInfo) -> str:
    kind = _without_none(field.annotation)
    if get_origin(kind) is Literal:
        return ", ".join(get_args(kind))
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return "table"
    if field.description and kind is str:
        return field.description
    bounds = [
        words.format(f"{getattr(each, key):,g}" if abs(getattr(each, key)) < 1e6 else f"{getattr(each, key):,}")
        for each in field.metadata
        for bound, (key, words) in _BOUNDS.items()
        if isinstance(each, bound)
    ]
    name = getattr(kind, "__name__", "text")
    return " ".join([_NAMES.get(name, "text"), *bounds])


def _without_none(annotation: Any) -> Any:
    options = [each for each in get_args(annotation) if each is not type(None)]
    return options[0] if type(None) in get_args(annotation) and len(options) == 1 else annotation


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=False)
    if field.is_required() or value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
