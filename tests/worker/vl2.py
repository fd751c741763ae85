"""A tiny DeepSeek-VL2 for tests: the folder, its loaded parts, and changed copies of it."""

import hashlib
import json
import math
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from worker.deepseek_vl2 import DeepseekVL2ForConditionalGeneration, DeepseekVL2Processor, load

#: what is kept of the checkpoint: all but its weights, which `weights` makes
DATA = Path(__file__).parent / "data" / "deepseek-vl2-tiny"
PROCESSOR_FILES = ("tokenizer.json", "tokenizer_config.json", "processor_config.json")

Weights = dict[str, torch.Tensor]

_MADE = TemporaryDirectory(prefix="benchbeat-vl2-")


def weights() -> Weights:
    """Return the checkpoint's tensors, in the hub's names, as its `README.md` describes them."""
    shapes = json.loads((DATA / "tensors.json").read_text())
    return {name: _values(name, shape) for name, shape in shapes.items()}


def _values(name: str, shape: list[int]) -> torch.Tensor:
    raw = np.random.Philox(key=int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))
    even = raw.random_raw(math.prod(shape)).astype(np.float64) / 2**63 - 1
    is_norm = "norm" in name and name.endswith("weight")
    spread = 0.035 if name.endswith("bias") else 0.15
    return torch.from_numpy((is_norm + spread * even).astype(np.float32).reshape(shape))


@cache
def folder() -> Path:
    """Return the folder of the checkpoint, not to be changed."""
    made = Path(_MADE.name) / "deepseek-vl2-tiny"
    shutil.copytree(DATA, made)
    save_file(weights(), made / "model.safetensors", {"format": "pt"})
    return made


@cache
def loaded() -> tuple[DeepseekVL2ForConditionalGeneration, DeepseekVL2Processor]:
    """Return the model in float32 and its processor; one for all tests, not to be changed."""
    return load(folder())


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Return a picture of a gradient, so that every tile of it differs."""
    across = Image.linear_gradient("L").rotate(90).resize((width, height))
    down = Image.linear_gradient("L").resize((width, height))
    return Image.merge("RGB", (across, down, Image.new("L", (width, height), 77))).convert(mode)


def copy(target: Path, change: Callable[[Weights], Any] | None = None, **fields: Any) -> Path:
    """Return a copy of the checkpoint with changed weights and fields of config.json, "part.field" for a part's."""
    shutil.copytree(folder(), target)
    if change:
        tensors = load_file(target / "model.safetensors")
        change(tensors)
        save_file(tensors, target / "model.safetensors", {"format": "pt"})
    config = json.loads((target / "config.json").read_text())
    for name, value in fields.items():
        *part, field = name.split(".")
        (config[part[0]] if part else config)[field] = value
    (target / "config.json").write_text(json.dumps(config))
    return target


def greedy(model: Any, inputs: Any, count: int = 8, **settings: Any) -> list[list[int]]:
    """Return exactly so many greedy tokens for each row."""
    tokens = model.generate(
        **inputs, max_new_tokens=count, do_sample=False, eos_token_id=None, pad_token_id=0, **settings
    )
    found: list[list[int]] = tokens[:, inputs["input_ids"].shape[1] :].tolist()
    return found


@torch.no_grad()
def logits(model: Any, inputs: Any) -> torch.Tensor:
    """Return the scores of every place as float32 (rows, length, words)."""
    scores: torch.Tensor = model(**inputs).logits.float()
    return scores
