"""DeepSeek-VL2: a SigLIP that sees, a projector, and a DeepSeek-V2 that answers, composed from transformers' own parts.

The pieces, in the order in which a picture passes through them:

- `tiling`: which tiles a picture is cut into, and the pixels of each;
- `processing`: a conversation with pictures as token ids, pixels and grids of tiles;
- `modeling`: tiles become patches, patches become tokens, tokens are laid out as the picture was;
- `checkpoint`: the names that the hub's weights have, and those that transformers' parts have;
- `configuration`: the hub's config.json, and what of it this model does not cover.
"""

from pathlib import Path
from typing import Any

import torch

from bench.causes import first_line
from bench.errors import ModelError
from worker.deepseek_vl2.modeling import DeepseekVL2ForConditionalGeneration
from worker.deepseek_vl2.processing import DeepseekVL2Processor
from worker.device import is_out_of_memory

__all__ = ["DeepseekVL2ForConditionalGeneration", "DeepseekVL2Processor", "load"]


def load(
    path: Path,
    dtype: torch.dtype = torch.float32,
    attention: str = "sdpa",
    device_map: dict[str, Any] | None = None,
    quantization: Any = None,
) -> tuple[DeepseekVL2ForConditionalGeneration, DeepseekVL2Processor]:
    """Return the model in the folder `path`, ready to answer, and what prepares its inputs.

    `attention` is "eager" or "sdpa"; `device_map` places the weights as they are read, the CPU where it is None;
    `quantization` is transformers' `quantization_config`.
    Raises ModelError where the folder holds no such model; what memory says passes through.
    """
    try:
        processor = DeepseekVL2Processor.from_pretrained(path)
        model = DeepseekVL2ForConditionalGeneration.from_pretrained(
            path,
            dtype=dtype,
            attn_implementation=attention,
            device_map=device_map,
            quantization_config=quantization,
        )
    except ModelError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise ModelError(f"the model in {path} can't be loaded: {first_line(error)}") from error
    seen, cut = model.config.vision_config.image_size, processor.tile_size
    if seen != cut:
        raise ModelError(f"the model in {path} sees tiles of {seen} pixels, and its processor cuts tiles of {cut}")
    model.eval()
    return model, processor
