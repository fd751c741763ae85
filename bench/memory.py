"""What a model of one's own needs on its device, by the files of its weights, where its entry does not say."""

import json
import struct
from math import prod
from pathlib import Path
from typing import Any

from bench.catalog import Task
from bench.spec import Precision

#: bytes that a weight takes; packed ones by our formats, tables and norms among them as they are
_BYTES: dict[Precision, float] = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1.3, "int4": 0.9}
#: of the weights again, for cache and working space, and GiB besides
_ROOM, _LEAST = 0.2, 0.3
#: a GGUF file has 4 to 16 bits a weight: the fewest give the most weights
_GGUF_BYTES = 0.5
#: OpenAI's checkpoints hold float16
_CHECKPOINT_BYTES = 2.0
_LONGEST_HEADER = 100 * 2**20


def estimated_memory(path: Path, task: Task, architecture: str | None) -> dict[Precision, float]:
    """Return the GiB that the weights at `path` need, by every precision that such a model can be run in.

    Empty where nothing there says how many weights there are.
    """
    weights = _weights(path)
    if not weights:
        return {}
    precisions: dict[str, tuple[Precision, ...]] = {
        "text": ("float32", "float16", "bfloat16", "int8", "int4"),
        "vision": ("float32", "float16", "bfloat16"),
        "speech": ("float32", "float16"),
    }
    able = precisions["text" if architecture is not None else task]
    return {each: round(weights * _BYTES[each] * (1 + _ROOM) / 2**30 + _LEAST, 1) for each in able}


def _weights(path: Path) -> float:
    """Return how many weights there are at a path, 0 where that is unknown."""
    try:
        if path.is_dir():
            return sum(_in_safetensors(file) for file in path.glob("*.safetensors"))
        return path.stat().st_size / (_GGUF_BYTES if path.suffix == ".gguf" else _CHECKPOINT_BYTES)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error):
        # Whatever is wrong with the files, the worker says so.
        return 0


def _in_safetensors(file: Path) -> int:
    with file.open("rb") as opened:
        (length,) = struct.unpack("<Q", opened.read(8))
        if length > _LONGEST_HEADER:
            raise ValueError("the header is too long")
        header: dict[str, Any] = json.loads(opened.read(length))
    return sum(prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
