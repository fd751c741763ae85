"""What the adapters of models that look at pictures share."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from PIL import Image
from transformers import GenerationConfig

from bench.errors import InputError
from worker.adapters.checkpoint import bytes_of
from worker.adapters.text import Generated
from worker.conversation import Message
from worker.device import Device
from worker.sampling import Decoding, samplers


class Question(Protocol):
    """What is asked about pictures."""

    @property
    def ids(self) -> tuple[int, ...]:
        """Returns the prompt's tokens, those that stand for the pictures among them."""


class Padded(NamedTuple):
    """Prompts of one length, the shorter ones padded on the left."""

    #: both of shape (prompts, length)
    ids: torch.Tensor
    mask: torch.Tensor

    @property
    def length(self) -> int:
        """Tokens of a row."""
        return self.ids.shape[1]


class LookingAdapter(ABC):
    """A loaded model with its tokenizer and what prepares its pictures."""

    def __init__(self, model: Any, tokenizer: Any, processor: Any, device: Device) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self._processor = processor
        self._device = device
        #: what packed the weights, with its version; None where they are not packed
        self.quantiser: str | None = None
        #: how attention is computed in fact; BLIP has one way only
        self.attention = str(model.config._attn_implementation)
        self._stop_ids = self._found_stop_ids()
        # Else `generate` fills what our settings leave open from those of the checkpoint.
        model.generation_config = self._writer.generation_config = GenerationConfig()
        #: bytes of parameters and buffers on the device, each tensor once
        self.weights_bytes = bytes_of(model)

    @property
    def stepping(self) -> Any:
        """The module that is called once for each step of writing."""
        return self._writer

    @abstractmethod
    def encode(self, messages: Sequence[Message], image: Image.Image) -> Any:
        """Return a conversation about a picture (RGB) as the model takes it.

        Raises InputError where the model can't do what is asked.
        """

    def generate_batch(
        self, questions: Sequence[Any], decoding: Decoding, seeds: Sequence[int], cache: str = "dynamic"
    ) -> list[Generated]:
        """Return the answers in the order of the questions; each ends at a stop token or is cut.

        `seeds` has one seed a question. An answer does not depend on the questions beside it, up to rounding.
        """
        self._check_room(questions, decoding)
        found: dict[int, Generated] = {}
        for places in self._groups(questions):
            group = [questions[place] for place in places]
            rows = self._rows(group, decoding, [seeds[place] for place in places], cache)
            for place, question, row in zip(places, group, rows, strict=True):
                found[place] = self._generated(question, row)
        return [found[place] for place in range(len(questions))]

    # ---- what they differ in

    @property
    @abstractmethod
    def _writer(self) -> Any:
        """The part that writes the text."""

    @abstractmethod
    def _found_stop_ids(self) -> tuple[int, ...]:
        """Return the tokens that end an answer."""

    @abstractmethod
    def _rows(self, questions: Sequence[Any], decoding: Decoding, seeds: Sequence[int], cache: str) -> list[list[int]]:
        """Return the tokens that the model wrote behind each prompt."""

    def _groups(self, questions: Sequence[Any]) -> list[list[int]]:
        """Return the places of the questions that can be answered together."""
        return [list(range(len(questions)))]

    # ---- what they share

    def _settings(self, decoding: Decoding, seeds: Sequence[int], prompt_length: int, cache: str) -> dict[str, Any]:
        """Return complete settings for `generate`: what is not named here is off."""
        return {
            "do_sample": False,
            "num_beams": 1,
            "use_cache": True,
            "max_new_tokens": decoding.max_new_tokens,
            "repetition_penalty": float(decoding.repetition_penalty),
            "cache_implementation": "static" if cache == "static" else None,
            "disable_compile": True,
            "logits_processor": samplers(decoding, seeds, prompt_length, self._device.torch_device),
        }

    def _padded(self, questions: Sequence[Question], pad_id: int) -> Padded:
        longest = max(len(question.ids) for question in questions)
        gaps = [longest - len(question.ids) for question in questions]
        rows = [[pad_id] * gap + list(question.ids) for gap, question in zip(gaps, questions, strict=True)]
        mask = [[0] * gap + [1] * (longest - gap) for gap in gaps]
        where = self._device.torch_device
        return Padded(torch.tensor(rows, device=where), torch.tensor(mask, device=where))

    def _generated(self, question: Question, row: list[int]) -> Generated:
        """Return one row's answer, up to its first stop token."""
        end = next((place for place, token in enumerate(row) if token in self._stop_ids), None)
        kept = row if end is None else row[: end + 1]
        text = str(self.tokenizer.decode(kept, skip_special_tokens=True)).strip()
        return Generated(text, len(question.ids), len(kept), "length" if end is None else "stop")

    def _check_room(self, questions: Sequence[Question], decoding: Decoding) -> None:
        longest = max(len(question.ids) for question in questions)
        room = int(self._writer.config.max_position_embeddings)
        if longest + decoding.max_new_tokens > room:
            raise InputError(
                f"a prompt of {longest} tokens with {decoding.max_new_tokens} new ones is more than the {room} "
                "that the model can take; lower max_new_tokens or shorten the prompt"
            )
