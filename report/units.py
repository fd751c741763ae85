"""What the columns of a file mean: a side-car that gives each its type, its unit and a line about it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TextIO

from db.descriptions import description_of, unit_of

_TYPES = {
    "text": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "time": "time, UTC",
    "json": "JSON",
}


@dataclass(frozen=True)
class Described:
    """A column of a file."""

    name: str
    type: str
    #: None for what has none
    unit: str | None
    description: str


def describe(view: str, columns: Sequence[str], kinds: Sequence[str]) -> list[Described]:
    """Return what columns of a view mean; `kinds` says what each holds (see `db.columns`)."""
    return [
        Described(name, _TYPES[kind], unit_of(name), description_of(view, name))
        for name, kind in zip(columns, kinds, strict=True)
    ]


def write_units(view: str, columns: Sequence[str], kinds: Sequence[str], stream: TextIO) -> None:
    """Write what columns of a view mean, as JSON."""
    described = [asdict(each) for each in describe(view, columns, kinds)]
    json.dump({"view": view, "columns": described}, stream, indent=2, ensure_ascii=False)
    stream.write("\n")
