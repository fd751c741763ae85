"""DeepSeek-VL2: questions about one picture or several, answered by a mixture of experts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image

from bench.errors import InputError
from bench.spec import Attention, Precision
from worker.adapters.checkpoint import DTYPES
from worker.adapters.compiling import compiled
from worker.adapters.looking import LookingAdapter
from worker.conversation import Message
from worker.deepseek_vl2 import load
from worker.device import Device
from worker.quantise import compute_dtype, is_packed, packing, quantiser_of
from worker.sampling import Decoding

#: marks where a picture's tokens go, on a line of its own as in the model's training
_MARK = "<image>\n"
#: what is not packed: a small part of the weights, whose rounding every token would show
LEFT = ("vision", "projector")


class TiledQuestion(NamedTuple):
    """What is asked of pictures that are cut into tiles."""

    #: the prompt's tokens, with a place for each token of the pictures
    ids: tuple[int, ...]
    #: float32 of shape (tiles, 3, side, side), on the CPU
    pixels: torch.Tensor
    #: columns and rows of tiles, of shape (pictures, 2)
    grid: torch.Tensor


class DeepSeekVl2Adapter(LookingAdapter):
    """A loaded DeepSeek-VL2 with its processor."""

    def __init__(self, model: Any, processor: Any, device: Device) -> None:
        super().__init__(model, processor.tokenizer, processor, device)
        self.quantiser = quantiser_of(model)
        self._pad_id = processor.tokenizer.pad_token_id

    @classmethod
    def load(
        cls, path: Path, precision: Precision, attention: Attention, compile_: bool, device: Device
    ) -> "DeepSeekVl2Adapter":
        """Return the model in the folder `path`, on the device and ready.

        int8 and int4 pack the language model, its experts one matrix at a time; the vision tower and the projector
        stay in the format of computing. Raises ModelError where the folder holds no such model; what memory says
        passes through.
        """
        packed = is_packed(precision)
        model, processor = load(
            path,
            compute_dtype(device.name) if packed else DTYPES[precision],
            attention,
            None if device.name == "cpu" else {"": device.torch_device},
            packing(precision, left=LEFT) if packed else None,
        )
        adapter = cls(model, processor, device)
        if compile_:
            for part in (model.vision, model.language):
                part.forward = compiled(part.forward)
        return adapter

    def encode(self, messages: Sequence[Message], image: Image.Image | Sequence[Image.Image]) -> TiledQuestion:
        """Return a conversation about pictures (RGB) as the model takes it: they come before its first question.

        Up to two pictures are cut into tiles. Raises InputError for a conversation that holds a mark of its own.
        """
        pictures = [image] if isinstance(image, Image.Image) else list(image)
        made = self._processor.batch([_marked(messages, len(pictures))], [pictures])
        return TiledQuestion(tuple(made["input_ids"][0].tolist()), made["pixel_values"], made["images_spatial_crop"])

    @property
    def _writer(self) -> Any:
        return self.model.language

    def _found_stop_ids(self) -> tuple[int, ...]:
        named = self.model.generation_config.eos_token_id
        found = named if isinstance(named, list) else [named] if named is not None else []
        return tuple(dict.fromkeys([*found, self.tokenizer.eos_token_id]))

    def _rows(self, questions: Sequence[Any], decoding: Decoding, seeds: Sequence[int], cache: str) -> list[list[int]]:
        where = self._device.torch_device
        padded = self._padded(questions, self._pad_id)
        pixels = torch.cat([question.pixels for question in questions])
        tokens = self.model.generate(
            input_ids=padded.ids,
            attention_mask=padded.mask,
            pixel_values=pixels.to(where, self.model.dtype),
            images_spatial_crop=torch.cat([question.grid for question in questions]).to(where),
            eos_token_id=list(self._stop_ids),
            pad_token_id=self._pad_id,
            **self._settings(decoding, seeds, padded.length, cache),
        )
        written: list[list[int]] = tokens[:, padded.length :].tolist()
        return written


def _marked(messages: Sequence[Message], pictures: int) -> list[dict[str, str]]:
    """Return a conversation whose first question begins with a mark for each picture."""
    marked = [dict(message) for message in messages]
    question = next((message for message in marked if message["role"] == "user"), None)
    if question is None:
        raise InputError("a conversation about a picture needs a question")
    question["content"] = _MARK * pictures + question["content"]
    return marked
