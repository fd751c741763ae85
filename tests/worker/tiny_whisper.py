"""A tiny Whisper: the true architecture with random weights, 3.5 MB as a checkpoint of openai-whisper."""

import warnings
from functools import cache
from pathlib import Path
from typing import Any

import torch

DIMENSIONS = {
    "n_mels": 80,
    "n_audio_ctx": 1500,
    "n_audio_state": 32,
    "n_audio_head": 2,
    "n_audio_layer": 2,
    "n_vocab": 51865,
    "n_text_ctx": 448,
    "n_text_state": 32,
    "n_text_head": 2,
    "n_text_layer": 2,
}


def checkpoint(**changes: int) -> dict[str, Any]:
    """Return the content of a checkpoint, in half precision as OpenAI's are; `changes` are to its dimensions."""
    from whisper.model import ModelDimensions, Whisper

    read_own_files()
    dimensions = {**DIMENSIONS, **changes}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Whisper(ModelDimensions(**dimensions))
        # Else one token is repeated for ever.
        torch.nn.init.normal_(model.decoder.positional_embedding, std=5.0)
    state = {name: tensor.half() for name, tensor in model.state_dict().items()}
    return {"dims": dimensions, "model_state_dict": state}


@cache
def read_own_files() -> None:
    """Have Whisper's own files read, once: it keeps what is in them, and leaves them open."""
    from whisper.tokenizer import get_encoding

    from worker.word_errors import word_errors

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        # As its tokenizer asks for them: the cache goes by the arguments.
        for name in ("multilingual", "gpt2"):
            get_encoding(name=name, num_languages=99)
        word_errors("", [""], "en")


def build(path: Path, **changes: int) -> Path:
    """Write a checkpoint, and return its path."""
    torch.save(checkpoint(**changes), path)
    return path
