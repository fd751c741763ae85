"""What DeepSeek-VL2 is given: a conversation with pictures as token ids, pixels and grids of tiles."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from transformers import BatchFeature

from bench.errors import InputError, ModelError
from worker.deepseek_vl2.tiling import Pixels, Size, best_resolution, views
from worker.deepseek_vl2.tokens import ASSISTANT, IMAGE, USER, image_token_id, load_tokenizer

#: one side's words; `role` is system (only first), user or assistant
Message = Mapping[str, str]
#: a question by itself, or a conversation
Prompt = str | Sequence[Message]

_CONFIG = "processor_config.json"
#: with more pictures than this, none is cut into tiles
_MOST_TILED = 2
_SYSTEM = "system"
_ROLES = {USER: USER, "user": USER, ASSISTANT: ASSISTANT, "assistant": ASSISTANT, _SYSTEM: _SYSTEM}


class _Picture(NamedTuple):
    """One picture, ready to be looked at."""

    #: the whole, then its tiles: (1 + columns * rows, 3, side, side)
    pixels: torch.Tensor
    columns: int
    rows: int


class DeepseekVL2Processor:
    """Prepares the inputs of the model, by its checkpoint's tokenizer and processor_config.json."""

    def __init__(self, tokenizer: Any, settings: Mapping[str, Any]) -> None:
        self.tokenizer = tokenizer
        #: what processor_config.json says
        self.settings = dict(settings)
        self.candidates: list[Size] = [(int(width), int(height)) for width, height in settings["candidate_resolutions"]]
        #: pixels of a tile's side: the first candidate is one tile
        self.tile_size = self.candidates[0][0]
        self.image_token_id = image_token_id(tokenizer)
        self._pixels = Pixels(
            tuple(settings.get("image_mean", Pixels().mean)),
            tuple(settings.get("image_std", Pixels().std)),
            settings.get("normalize", True),
        )
        patches = self.tile_size // int(settings["patch_size"])
        #: tokens of a tile's side
        self.tokens_a_side = math.ceil(patches / int(settings["downsample_ratio"]))

    @classmethod
    def from_pretrained(cls, folder: Path | str) -> "DeepseekVL2Processor":
        """Return the processor of the checkpoint in a folder; raises ModelError where it is not one of this model."""
        file = Path(folder) / _CONFIG
        if not file.is_file():
            raise ModelError(f"there is no {_CONFIG} in {folder}: it holds no DeepSeek-VL2")
        tokenizer = load_tokenizer(folder)
        try:
            made = cls(tokenizer, json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, ZeroDivisionError) as error:
            raise ModelError(f"{file} is none of DeepSeek-VL2: {error!r}") from error
        side = made.tile_size
        if side < 1 or any(length < 1 or length % side for size in made.candidates for length in size):
            raise ModelError(f"{file}: candidate_resolutions must be made of tiles like the first, {side} x {side}")
        return made

    def save_pretrained(self, folder: Path | str) -> None:
        """Write the tokenizer's files and processor_config.json into a folder."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.tokenizer.save_pretrained(folder)
        (Path(folder) / _CONFIG).write_text(json.dumps(self.settings), encoding="utf-8")

    def __call__(self, prompt: Prompt, images: Sequence[Image.Image] = ()) -> Any:
        """Return what the model takes for one prompt, with as many pictures as it has `<image>`; see `batch`."""
        return self.batch([prompt], [images])

    def batch(self, prompts: Sequence[Prompt], images: Sequence[Sequence[Image.Image]]) -> Any:
        """Return what the model takes for several prompts, shorter ones padded on the left, each with its pictures.

        input_ids, attention_mask: (prompts, length); where there are pictures, pixel_values (tiles, 3, side, side) and
        images_spatial_crop (pictures, 2) as well. Raises InputError where marks and pictures don't agree.
        """
        rows, pictures = [], []
        for prompt, given in zip(prompts, images, strict=True):
            prepared = self._pictures(given)
            rows.append(self._ids(prompt, prepared))
            pictures += prepared
        longest = max(len(row) for row in rows)
        pad = self.tokenizer.pad_token_id
        made = {
            "input_ids": torch.tensor([[pad] * (longest - len(row)) + row for row in rows]),
            "attention_mask": torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows]),
        }
        if pictures:
            made["pixel_values"] = torch.cat([picture.pixels for picture in pictures])
            made["images_spatial_crop"] = torch.tensor([[picture.columns, picture.rows] for picture in pictures])
        return BatchFeature(made)

    def render(self, prompt: Prompt) -> str:
        """Return the prompt as the model is given it, without its first token; `<image>` stands for each picture."""
        return "".join(self._turns(prompt))

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of generated tokens, without special ones."""
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text

    def _turns(self, prompt: Prompt) -> list[str]:
        """Return what each message becomes; each is tokenised by itself, as in the model's training."""
        messages = [{"role": USER, "content": prompt}] if isinstance(prompt, str) else list(prompt)
        if not messages:
            raise InputError("a conversation needs a message")
        last = len(messages) - 1
        return [self._turn(message, first=n == 0, last=n == last) for n, message in enumerate(messages)]

    def _turn(self, message: Message, *, first: bool, last: bool) -> str:
        """Return what a message becomes: an answer follows what the question before it ended with."""
        role, said = _ROLES.get(message["role"]), message["content"].strip()
        if role == USER:
            return f"{USER}: {said}\n\n{ASSISTANT}:" if said else f"{USER}:{ASSISTANT}:"
        if role is None or (role == _SYSTEM and not first):
            raise InputError(f"a message of role {message['role']!r} can't stand there; a system message comes first")
        if role == ASSISTANT and IMAGE in said:
            raise InputError(f"an answer can't hold {IMAGE}")
        # The last answer is left open: the model goes on with it.
        return said + self.tokenizer.eos_token if role == ASSISTANT and not last else said

    def _ids(self, prompt: Prompt, pictures: Sequence[_Picture]) -> list[int]:
        """Return a prompt's token ids, with a place for each token of its pictures."""
        turns = self._turns(prompt)
        marks = sum(turn.count(IMAGE) for turn in turns)
        if marks != len(pictures):
            raise InputError(f"the prompt has {marks} times {IMAGE}, and there are {len(pictures)} pictures")
        places = iter(pictures)
        ids = [self.tokenizer.bos_token_id]
        for turn in turns:
            before, *after = turn.split(IMAGE)
            ids += self._encode(before)
            for text in after:
                ids += [self.image_token_id] * self._places(next(places)) + self._encode(text)
        return ids

    def _places(self, picture: _Picture) -> int:
        """Return how many tokens a picture has: two grids with a newline a row, and a mark between them."""
        side = self.tokens_a_side
        return side * (side + 1) + 1 + picture.rows * side * (picture.columns * side + 1)

    def _encode(self, text: str) -> list[int]:
        """Return the token ids of a text, and no others."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return ids

    def _pictures(self, images: Sequence[Image.Image]) -> list[_Picture]:
        """Return the pictures of one prompt, cut into tiles where they are few."""
        candidates = self.candidates if len(images) <= _MOST_TILED else [(self.tile_size, self.tile_size)]
        return [self._picture(image.convert("RGB"), candidates) for image in images]

    def _picture(self, picture: Image.Image, candidates: Sequence[Size]) -> _Picture:
        """Return one RGB picture at the candidate that suits it."""
        size = width, height = best_resolution(picture.size, candidates)
        seen = views(picture, size, self.tile_size, self._pixels.background)
        pixels = torch.stack([self._pixels.tensor(view) for view in seen])
        return _Picture(pixels, width // self.tile_size, height // self.tile_size)
