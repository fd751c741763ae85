"""A tiny DeepSeek-VL2 for tests: the folder, its loaded parts, and changed copies of it."""

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from worker.deepseek_vl2 import DeepseekVL2ForConditionalGeneration, DeepseekVL2Processor, load

FOLDER = Path(__file__).parent / "data" / "deepseek-vl2-tiny"
EXPECTED = FOLDER / "expected"
PROCESSOR_FILES = ("tokenizer.json", "tokenizer_config.json", "processor_config.json")

Weights = dict[str, torch.Tensor]


@cache
def loaded() -> tuple[DeepseekVL2ForConditionalGeneration, DeepseekVL2Processor]:
    """Return the model in float32 and its processor; one for all tests, not to be changed."""
    return load(FOLDER)


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Return a picture of a gradient, so that every tile of it differs."""
    across = Image.linear_gradient("L").rotate(90).resize((width, height))
    down = Image.linear_gradient("L").resize((width, height))
    return Image.merge("RGB", (across, down, Image.new("L", (width, height), 77))).convert(mode)


def copy(folder: Path, change: Callable[[Weights], Any] | None = None, **fields: Any) -> Path:
    """Return a copy of the checkpoint with changed weights and fields of config.json, "part.field" for a part's."""
    shutil.copytree(FOLDER, folder)
    if change:
        weights = load_file(folder / "model.safetensors")
        change(weights)
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    for name, value in fields.items():
        *part, field = name.split(".")
        (config[part[0]] if part else config)[field] = value
    (folder / "config.json").write_text(json.dumps(config))
    return folder


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
