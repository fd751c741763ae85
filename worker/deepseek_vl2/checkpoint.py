"""The hub's checkpoint: the names of its tensors, how they are read, and the check that they are all there."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers.conversion_mapping import register_checkpoint_conversion_mapping
from transformers.core_model_loading import (
    Chunk,
    ConversionOps,
    WeightConverter,
    WeightRenaming,
    revert_weight_conversion,
)

from bench.errors import ModelError

#: SigLIP's pooling head: it is in the hub's files, and nothing here asks it
UNUSED = "vision.attn_pool."

_ONE_FILE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
#: transformers' own switch, read at each load
_ONE_BY_ONE = "HF_DEACTIVATE_ASYNC_LOAD"


class DropFirst(ConversionOps):  # type: ignore[misc]
    """Drop a first dimension of one: timm keeps its position embedding as a batch."""

    def convert(
        self, input_dict: dict[str, Any], source_patterns: list[str], target_patterns: list[str], **_: Any
    ) -> dict[str, torch.Tensor]:
        return {target_patterns[0]: _only(input_dict).squeeze(0)}

    @property
    def reverse_op(self) -> ConversionOps:
        return AddFirst()


class AddFirst(ConversionOps):  # type: ignore[misc]
    """Add a first dimension of one, for saving."""

    def convert(
        self, input_dict: dict[str, Any], source_patterns: list[str], target_patterns: list[str], **_: Any
    ) -> dict[str, torch.Tensor]:
        return {target_patterns[0]: _only(input_dict).unsqueeze(0)}

    @property
    def reverse_op(self) -> ConversionOps:
        return DropFirst()


def _only(tensors: dict[str, Any]) -> torch.Tensor:
    """Return the one tensor that a conversion was given."""
    (value,) = tensors.values()
    tensor: torch.Tensor = value[0] if isinstance(value, list) else value
    return tensor


def register_timm_names(class_name: str) -> None:
    """Have transformers read and write timm's names for the SigLIP tower of the class `class_name`.

    Under the class's own name: transformers' SiglipVisionModel, and all that is made of it, keep theirs.
    """
    register_checkpoint_conversion_mapping(
        class_name,
        [
            WeightRenaming(r"^patch_embed\.proj\.", r"^embeddings\.patch_embedding\."),
            WeightRenaming(r"^norm\.", r"^post_layernorm\."),
            WeightRenaming(r"^blocks\.", r"^encoder\.layers\."),
            WeightRenaming(r"\.norm1\.", r"\.layer_norm1\."),
            WeightRenaming(r"\.norm2\.", r"\.layer_norm2\."),
            WeightRenaming(r"\.attn\.proj\.", r"\.self_attn\.out_proj\."),
            *(
                WeightConverter(
                    rf"\.attn\.qkv\.{kind}",
                    [rf"\.self_attn\.{part}_proj\.{kind}" for part in "qkv"],
                    operations=[Chunk(dim=0)],
                )
                for kind in ("weight", "bias")
            ),
            WeightConverter(r"^pos_embed", r"^embeddings\.position_embedding\.weight", operations=[DropFirst()]),
        ],
        overwrite=True,
    )


def open_tensors(folder: Path) -> dict[str, Any]:
    """Return every tensor of a folder's files by name, unread: `slice[...]` reads one, `get_shape()` only its header.

    Read by ordinary reads: a mapped file's pages would lie in memory beside the weights made of them.
    """
    tensors: dict[str, Any] = {}
    for file in _files(folder):
        try:
            opened: Any = safe_open(file, framework="pt", backend="pread")
            tensors |= {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{file} can't be read, or was cut off while it was fetched: {error}") from error
    return tensors


def check_tensors(tensors: Mapping[str, Any], empty: Any, folder: Path) -> None:
    """Raise ModelError unless a folder's tensors are those of `empty`, the model without weights, by name and shape.

    transformers would fill what is missing with random numbers, and warn.
    """
    # What saving would write is what must be there to be loaded.
    wanted = {name: list(tensor.shape) for name, tensor in revert_weight_conversion(empty, empty.state_dict()).items()}
    found = {name: tensor.get_shape() for name, tensor in tensors.items()}
    missing = sorted(wanted.keys() - found.keys())
    unexpected = sorted(name for name in found.keys() - wanted.keys() if not name.startswith(UNUSED))
    misshapen = sorted(name for name in wanted.keys() & found.keys() if wanted[name] != found[name])
    faults = [
        f"{len(names)} {fault} ({names[0]}{' ...' if len(names) > 1 else ''})"
        for names, fault in ((missing, "missing"), (unexpected, "unexpected"), (misshapen, "of another shape"))
        if names
    ]
    if faults:
        raise ModelError(f"the weights in {folder} are not those of its config.json: {', '.join(faults)}")


@contextmanager
def one_by_one() -> Iterator[None]:
    """Have transformers read a tensor when its turn comes; its threads would read all of them ahead of their use."""
    before = os.environ.get(_ONE_BY_ONE)
    os.environ[_ONE_BY_ONE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_ONE_BY_ONE]
        else:
            os.environ[_ONE_BY_ONE] = before


def _files(folder: Path) -> list[Path]:
    """Return the files that hold a folder's weights: the one, or the shards that an index names."""
    if (folder / _ONE_FILE).is_file():
        return [folder / _ONE_FILE]
    if not (folder / _INDEX).is_file():
        raise ModelError(f"there are no weights in {folder}: neither {_ONE_FILE} nor {_INDEX}")
    try:
        names = sorted(set(json.loads((folder / _INDEX).read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ModelError(f"{folder / _INDEX} is no index of weights") from error
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise ModelError(f"{len(missing)} of {len(names)} files of weights are missing in {folder} ({missing[0]})")
    return [folder / name for name in names]
