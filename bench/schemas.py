"""Judging JSON values by a schema (JSON Schema, draft 2020-12).

The library `jsonschema` is imported on first use: most commands never need it. Expressions in a schema are searched as
all users' expressions are, so that none hangs a worker.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from bench.expressions import fault_of, search

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

#: formats that are checked: those for which the library needs nothing else, so that all machines judge alike
FORMATS = ("date", "email", "ipv4", "ipv6", "uuid")


class SchemaTextError(ValueError):
    """A text is no JSON schema; the message says why, and where."""


def satisfies(value: Any, schema: str) -> bool:
    """Whether a JSON value satisfies a schema, given as JSON text; it does not where the schema is none."""
    from referencing.exceptions import Unresolvable

    try:
        return _validator(schema).is_valid(value)
    except (SchemaTextError, RecursionError, Unresolvable):
        return False


def schema_fault(schema: str) -> str | None:
    """Return why a text is no JSON schema that can be judged by, in words, or None."""
    try:
        _validator(schema)
    except SchemaTextError as error:
        return str(error)
    return None


@lru_cache(maxsize=1024)
def _validator(text: str) -> "Validator":
    """Return what judges by a schema. Raises SchemaTextError."""
    from jsonschema import Draft202012Validator, FormatChecker
    from jsonschema.exceptions import best_match
    from referencing.jsonschema import EMPTY_REGISTRY

    schema = _read_schema(text)
    try:
        fault = best_match(Draft202012Validator(Draft202012Validator.META_SCHEMA).iter_errors(schema))
        if fault:
            raise SchemaTextError(f"the schema is faulty at {_path(fault)}: {fault.message[:200]}")
        _check_parts(schema)
    except RecursionError:
        raise SchemaTextError("the schema is nested too deeply") from None
    # With the registry of its own, a reference to the network is unknown instead of fetched.
    validator: Validator = _validator_class()(schema, registry=EMPTY_REGISTRY, format_checker=FormatChecker(FORMATS))
    _try_out(validator)
    return validator


def _read_schema(text: str) -> dict[str, Any]:
    try:
        schema = json.loads(text)
    except json.JSONDecodeError as error:
        raise SchemaTextError(
            f"the schema is no JSON: {error.msg} at line {error.lineno} column {error.colno}"
        ) from None
    except (RecursionError, ValueError):
        raise SchemaTextError("the schema is no JSON that can be read") from None
    if not isinstance(schema, dict):
        raise SchemaTextError('the schema is no JSON object such as {"type": "object"}')
    return schema


def _path(fault: "ValidationError") -> str:
    return ".".join(str(step) for step in fault.absolute_path) or "its top"


def _try_out(validator: "Validator") -> None:
    """Raise SchemaTextError where a reference leads nowhere or round in a circle."""
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012, EMPTY_REGISTRY

    schema = validator.schema
    nodes = list(_nodes(schema))
    try:
        values: tuple[Any, ...] = ({}, [], "", 0)
        for value in values:
            validator.is_valid(value)
        # Below an $id of its own a reference means something else, and is looked up when it is needed.
        if not any("$id" in node for node in nodes):
            resolver = EMPTY_REGISTRY.resolver_with_root(DRAFT202012.create_resource(schema))
            for node in nodes:
                if isinstance(reference := node.get("$ref"), str):
                    resolver.lookup(reference)
    except RecursionError:
        raise SchemaTextError("the schema refers to itself without end") from None
    except Unresolvable as error:
        raise SchemaTextError(f"the schema refers to {error.ref!r}, which it does not hold") from None


def _check_parts(schema: Mapping[str, Any]) -> None:
    """Raise SchemaTextError for a faulty expression, or one that could not be kept from hanging."""
    nodes = list(_nodes(schema))
    for node in nodes:
        pattern, properties = node.get("pattern"), node.get("patternProperties")
        expressions = [pattern] if isinstance(pattern, str) else []
        expressions += list(properties) if isinstance(properties, dict) else []
        for expression in expressions:
            if fault := fault_of(expression):
                raise SchemaTextError(f"the schema's expression {expression[:80]!r} is faulty: {fault}")
    if any("unevaluatedProperties" in node for node in nodes) and any("patternProperties" in node for node in nodes):
        raise SchemaTextError("the schema has unevaluatedProperties beside patternProperties; use additionalProperties")


def _nodes(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the objects in a schema, itself first."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _nodes(inner)


# ---- the keywords that search expressions, in place of the library's own, which know no time limit


@cache
def _validator_class() -> Callable[..., "Validator"]:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    keywords: Mapping[str, Any] = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
    }
    # Its stubs leave `extend` without types.
    extended: Callable[..., Validator] = extend(Draft202012Validator, keywords)  # type: ignore[no-untyped-call]
    return extended


def _pattern(validator: Any, pattern: str, value: Any, schema: Any) -> "Iterator[ValidationError]":
    from jsonschema.exceptions import ValidationError

    if isinstance(value, str) and search(pattern, value) is None:
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, properties: Mapping[str, Any], value: Any, schema: Any
) -> "Iterator[ValidationError]":
    if isinstance(value, dict):
        for pattern, inner in properties.items():
            for name, each in value.items():
                if search(pattern, name) is not None:
                    yield from validator.descend(each, inner, path=name, schema_path=pattern)


def _additional_properties(
    validator: Any, allowed: Any, value: Any, schema: Mapping[str, Any]
) -> "Iterator[ValidationError]":
    from jsonschema.exceptions import ValidationError

    if not isinstance(value, dict):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, each in value.items():
        if name in known or any(search(pattern, name) is not None for pattern in patterns):
            continue
        if allowed is False:
            yield ValidationError(f"{name!r} is not allowed")
        else:
            yield from validator.descend(each, allowed, path=name)
