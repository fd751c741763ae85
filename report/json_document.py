"""A report as JSON: the document as it is, for programs."""

import json
from dataclasses import fields, is_dataclass
from datetime import date
from typing import Any

from report.document.parts import Document


def write_json(document: Document) -> str:
    """Return a report as JSON; each part is an object whose `type` is its name in small letters."""
    return json.dumps(_plain(document), ensure_ascii=True, allow_nan=False, indent=1) + "\n"


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        parts = {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
        return {"type": type(value).__name__.lower()} | parts
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value.isoformat() if isinstance(value, date) else value
