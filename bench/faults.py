"""What is wrong with a user's table, in a sentence: pydantic's faults in our words."""

from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bench.errors import suggest

#: what the id of a machine looks like
MACHINE_ID = r"^[A-Za-z0-9_-]{1,64}$"
MACHINE_ID_IN_WORDS = "1 to 64 letters, digits, _ or -"


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Return the worst fault of a validation in a sentence: the field, what is wrong, near matches of a wrong key."""
    field, message = fault(error, model)
    return f"{field}: {message}" if field else message


def fault(error: ValidationError, model: type[BaseModel], *, show_value: bool = True) -> tuple[str, str]:
    """Return the field and what is wrong with it, of the worst fault of a validation."""
    faults = error.errors(include_url=False, include_input=show_value)
    # A field is often missing because its name is misspelt.
    worst = next((each for each in faults if each["type"] == "extra_forbidden"), faults[0])
    field, *inner = [str(part) for part in worst["loc"] if part != "[key]"] or [""]
    message = _message(worst, field, model)
    return field, ": ".join([*inner, message])


#: characters of a wrong value that a message shows
_SHOWN = 100

#: what a fault of validation means, by pydantic's type; {...} are pydantic's own figures
_WORDS = {
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be a text in quotes",
    "string_too_short": "is empty",
    "string_too_long": "must have at most {max_length} characters",
    "dict_type": "must be a table such as {{ key = value }}",
    "model_type": "must be a table such as {{ key = value }}",
    "too_short": "is empty",
    "literal_error": "must be {expected}",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "missing": "is missing",
}


def _message(fault: ErrorDetails, field: str, model: type[BaseModel]) -> str:
    kind, value = fault["type"], fault.get("input")
    if kind == "extra_forbidden":
        return f"unknown key{suggest(str(fault['loc'][-1]), _model_at(fault['loc'][:-1], model).model_fields)}"
    if kind == "string_pattern_mismatch" and field in model.model_fields:
        message = f"must be {model.model_fields[field].description}"
    elif kind in _WORDS:
        figures = fault.get("ctx", {}).items()
        message = _WORDS[kind].format(**{key: f"{v:g}" if isinstance(v, float) else v for key, v in figures})
    else:
        message = fault["msg"].removeprefix("Value error, ")
    is_said = kind not in _WORDS and repr(value) in message
    is_shown = isinstance(value, str | int | float | bool) and value != "" and not is_said
    return f"{message} (it is {_short(repr(value))})" if is_shown else message


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _model_at(path: Sequence[int | str], model: type[BaseModel]) -> type[BaseModel]:
    """Return the model that a fault lies in: `model` itself, or one in a field of it or in a table of such."""
    for part in path:
        field = model.model_fields.get(str(part))
        within = [each for each in _parts(field.annotation) if _is_model(each)] if field else []
        model = within[0] if within else model
    return model


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from _parts(part)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
