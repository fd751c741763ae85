"""What the adapters ask of a checkpoint and of what was loaded from it."""

from pathlib import Path
from typing import Any

import torch

from bench.errors import ModelError
from bench.spec import Precision
from worker.packed import SCALES, ZEROS

#: formats in which whole weights are kept and computed with
DTYPES: dict[Precision, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
#: buffers that older versions of transformers wrote into checkpoints
_HARMLESS = ("position_ids", "rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias")


def check_keys(path: Path, report: Any) -> None:
    """Raise ModelError where a checkpoint has not the weights of its architecture, all of them and no others.

    `report` is what `from_pretrained` gives back with `output_loading_info`: transformers fills what is missing with
    random numbers, leaves out what is too much, and only warns.
    """
    # A packed weight is missing with its scales and zeros; the checkpoint lacks one.
    absent = (key for key in report["missing_keys"] if not key.endswith((SCALES, ZEROS)))
    missing = sorted(absent) + sorted(str(key) for key in report["mismatched_keys"])
    if missing:
        raise ModelError(f"the weights in {path} are incomplete: {len(missing)} are missing ({_first(missing)})")
    unexpected = sorted(key for key in report["unexpected_keys"] if not key.endswith(_HARMLESS))
    if unexpected:
        raise ModelError(
            f"the weights in {path} are not this architecture's: {len(unexpected)} have no place ({_first(unexpected)})"
        )


def _first(names: list[str]) -> str:
    return names[0] + (" ..." if len(names) > 1 else "")


def bytes_of(model: Any) -> int:
    """Return the bytes of a model's parameters and buffers; tied ones count once."""
    return sum(tensor.numel() * tensor.element_size() for tensor in (*model.parameters(), *model.buffers()))
