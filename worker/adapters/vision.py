"""Models that look at pictures: BLIP, which writes captions, and BLIP-2, which answers questions as well."""

import json
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer

# Both bring in a second's worth of modules here, which the first load would be timed with otherwise.
from transformers import Blip2ForConditionalGeneration as Blip2Model
from transformers import BlipForConditionalGeneration as BlipModel

from bench.causes import first_line
from bench.errors import InputError, ModelError
from bench.spec import Attention, Precision
from worker.adapters.checkpoint import DTYPES, check_keys
from worker.adapters.compiling import compiled
from worker.adapters.looking import LookingAdapter
from worker.conversation import Message
from worker.device import Device, is_out_of_memory
from worker.sampling import Decoding

#: what ends a sentence, so that the text is said to a model instead of being continued by it
_ENDS = (".", "!", ":")


class Question(NamedTuple):
    """What is asked of one picture."""

    #: the prompt's tokens, those that stand for the picture among them
    ids: tuple[int, ...]
    #: the picture as the model takes it: float32 of shape (3, height, width), on the CPU
    pixels: torch.Tensor


class VisionAdapter(LookingAdapter):
    """A loaded BLIP or BLIP-2 with its tokenizer and its image processor."""

    #: what config.json must name
    model_type: ClassVar[str]
    architecture: ClassVar[Any]

    @classmethod
    def load(
        cls, path: Path, precision: Precision, attention: Attention, compile_: bool, device: Device
    ) -> "VisionAdapter":
        """Return the model in the folder `path`, on the device and ready.

        Raises ModelError where the folder holds no model that can be loaded so, or one whose weights are not exactly
        those that the architecture has; what memory says passes through.
        """
        if precision not in DTYPES:
            raise ModelError(
                f"a vision model of the BLIP family can't be run in {precision} by this version; "
                f"it can in {', '.join(DTYPES)}"
            )
        kind = _kind_of(path)
        try:
            tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
            # torchvision resizes to other pixels, and need not be installed.
            processor = AutoImageProcessor.from_pretrained(path, local_files_only=True, backend="pil")
            model, report = kind.architecture.from_pretrained(
                path,
                dtype=DTYPES[precision],
                attn_implementation=kind._attention(attention),
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                **({} if device.name == "cpu" else {"device_map": {"": device.torch_device}}),
            )
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise ModelError(f"the model in {path} can't be loaded: {first_line(error)}") from error
        check_keys(path, report)
        model.eval()
        adapter = kind(model, tokenizer, processor, device)
        if compile_:
            for part in (model.vision_model, adapter._writer):
                part.forward = compiled(part.forward)
        return adapter

    def encode(self, messages: Sequence[Message], image: Image.Image) -> Question:
        """Return a conversation about a picture (RGB) as the model takes it.

        A text with a question mark is a question; one that ends with `.`, `!` or `:` asks for a caption; any other is
        the beginning of a caption, which the model continues. Raises InputError where the model can't do what is asked.
        """
        text = "\n\n".join(message["content"].strip() for message in messages).strip()
        pixels = self._processor(images=image, return_tensors="pt")["pixel_values"][0]
        return Question(tuple(self._ids(text)), pixels.float())

    # ---- what the two differ in

    @classmethod
    @abstractmethod
    def _attention(cls, wanted: Attention) -> Attention:
        """Return the attention to load with."""

    @abstractmethod
    def _ids(self, text: str) -> list[int]:
        """Return the tokens of the prompt that puts a text to the model."""

    def _pixels(self, questions: Sequence[Question]) -> torch.Tensor:
        stacked = torch.stack([question.pixels for question in questions])
        return stacked.to(self._device.torch_device, self.model.dtype)


class BlipAdapter(VisionAdapter):
    """BLIP: a vision tower, and a decoder that writes a caption, from nothing or from its first words."""

    model_type = "blip"
    architecture = BlipModel

    @property
    def _writer(self) -> Any:
        return self.model.text_decoder

    @classmethod
    def _attention(cls, wanted: Attention) -> Attention:
        return "eager"

    def _found_stop_ids(self) -> tuple[int, ...]:
        return (self.model.config.text_config.sep_token_id,)

    def _ids(self, text: str) -> list[int]:
        if "?" in text:
            raise InputError("a BLIP model writes captions and can't answer a question; ask BLIP-2 or DeepSeek-VL2")
        first = [self.model.config.text_config.bos_token_id]
        return first if _asks_for_caption(text) else first + self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def _groups(self, questions: Sequence[Question]) -> list[list[int]]:
        # Its decoder counts positions from the left end, so padding there would move the prompt.
        groups: dict[int, list[int]] = defaultdict(list)
        for place, question in enumerate(questions):
            groups[len(question.ids)].append(place)
        return list(groups.values())

    def _rows(
        self, questions: Sequence[Question], decoding: Decoding, seeds: Sequence[int], cache: str
    ) -> list[list[int]]:
        if cache == "static":
            raise InputError("a BLIP model has no static cache; use cache = 'dynamic'")
        # `generate` puts the BOS over the first token and drops the last, which it takes for the separator.
        (end,) = self._stop_ids
        ids = torch.tensor([[*question.ids, end] for question in questions], device=self._device.torch_device)
        length = ids.shape[1] - 1
        tokens = self.model.generate(
            self._pixels(questions),
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            **self._settings(decoding, seeds, length, cache),
        )
        rows: list[list[int]] = tokens[:, length:].tolist()
        return rows


class Blip2Adapter(VisionAdapter):
    """BLIP-2: a vision tower, a Q-Former that makes a few tokens of a picture, and a language model (OPT)."""

    model_type = "blip-2"
    architecture = Blip2Model

    @property
    def _writer(self) -> Any:
        return self.model.language_model

    @classmethod
    def _attention(cls, wanted: Attention) -> Attention:
        return wanted

    def __init__(self, model: Any, tokenizer: Any, processor: Any, device: Device) -> None:
        super().__init__(model, tokenizer, processor, device)
        config = model.config
        if config.image_token_index is None:
            raise ModelError("the config of this BLIP-2 names no image_token_index, so it was made for an older format")
        self._image_ids = [config.image_token_index] * config.num_query_tokens
        self._pad_id = next(each for each in (tokenizer.pad_token_id, *self._stop_ids, 0) if each is not None)

    def _found_stop_ids(self) -> tuple[int, ...]:
        found: list[int] = []
        writer = self._writer
        for named in (
            self.model.generation_config.eos_token_id,
            writer.generation_config.eos_token_id,
            writer.config.eos_token_id,
            self.tokenizer.eos_token_id,
        ):
            found += named if isinstance(named, list) else [named] if named is not None else []
        return tuple(dict.fromkeys(found))

    def _ids(self, text: str) -> list[int]:
        if "?" in text and not text.startswith("Question:"):
            text = f"Question: {text} Answer:"
        elif not text.startswith("Question:") and _asks_for_caption(text):
            text = ""
        return self._image_ids + list(self.tokenizer(text)["input_ids"])

    def _rows(
        self, questions: Sequence[Question], decoding: Decoding, seeds: Sequence[int], cache: str
    ) -> list[list[int]]:
        padded = self._padded(questions, self._pad_id)
        tokens = self.model.generate(
            self._pixels(questions),
            input_ids=padded.ids,
            attention_mask=padded.mask,
            eos_token_id=list(self._stop_ids),
            pad_token_id=self._pad_id,
            **self._settings(decoding, seeds, padded.length, cache),
        )
        written: list[list[int]] = tokens[:, padded.length :].tolist()
        return written


_KINDS: dict[str, type[VisionAdapter]] = {kind.model_type: kind for kind in (BlipAdapter, Blip2Adapter)}


def _kind_of(path: Path) -> type[VisionAdapter]:
    """Return the adapter of the model in a folder. Raises ModelError where there is none."""
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        found, named = config.get("model_type"), config.get("architectures") or []
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"the model in {path} can't be loaded: its config.json: {first_line(error)}") from error
    if found not in _KINDS:
        raise ModelError(f"the model in {path} is of type {found!r}; vision models here are {', '.join(_KINDS)}")
    wanted = _KINDS[found].architecture.__name__
    if named and wanted not in named:
        raise ModelError(f"the model in {path} is a {named[0]}, and only a {wanted} writes text about a picture")
    return _KINDS[found]


def _asks_for_caption(text: str) -> bool:
    return not text or text.endswith(_ENDS)
