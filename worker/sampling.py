"""How the next token is chosen, so that an answer does not depend on the batch in which it was generated."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from bench.spec import JobSpec

#: tokens after which an answer is cut where the job does not say
MAX_NEW_TOKENS = 256


class Decoding(NamedTuple):
    """Generation settings with nothing left open. What a checkpoint brings along plays no part."""

    #: 0 decodes greedily
    temperature: float = 0.0
    top_p: float = 1.0
    #: 0 keeps every token
    top_k: int = 0
    #: 1 is off
    repetition_penalty: float = 1.0
    max_new_tokens: int = MAX_NEW_TOKENS

    @classmethod
    def of(cls, spec: JobSpec) -> "Decoding":
        """Return the settings of a job, with our defaults where it leaves them open."""
        fields = {name: getattr(spec, name) for name in cls._fields}
        return cls(**{name: value for name, value in fields.items() if value is not None})


def generation_seed(seed: int, item_id: str, sample: int) -> int:
    """Return the seed (63 bits) of the `sample`-th answer to an item: a hash, so that seeds are far apart."""
    text = json.dumps([seed, item_id, sample], separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def samplers(decoding: Decoding, seeds: Sequence[int], prompt_length: int, device: torch.device) -> list[Any]:
    """Return the logits processors that make greedy decoding sample; none at temperature 0.

    `seeds` has one seed a row; `prompt_length` is the padded length of the prompts.
    """
    if decoding.temperature == 0:
        return []
    warpers: list[Any] = [TemperatureLogitsWarper(float(decoding.temperature))]
    if decoding.top_k:
        warpers.append(TopKLogitsWarper(decoding.top_k))
    if decoding.top_p < 1:
        warpers.append(TopPLogitsWarper(float(decoding.top_p)))
    numbers = uniforms(seeds, decoding.max_new_tokens).to(device)
    return [SeededChoice(LogitsProcessorList(warpers), numbers, prompt_length)]


def uniforms(seeds: Sequence[int], steps: int) -> torch.Tensor:
    """Return numbers in [0, 1) of shape (rows, steps), each row from its own seed; float32, on the CPU."""
    rows = [torch.rand(steps, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(rows)


class SeededChoice(LogitsProcessor):  # type: ignore[misc]
    """Draws each row's token by the inverse of its cumulative distribution, and leaves only that token possible.

    A row uses one number a step, so its draws are the same whatever rows stand beside it. The generic sampling
    of transformers draws all rows from one stream.
    """

    def __init__(self, warpers: Any, numbers: torch.Tensor, prompt_length: int) -> None:
        self._warpers = warpers
        self._numbers = numbers
        self._prompt_length = prompt_length

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return scores of shape (rows, vocabulary): 0 for the token drawn, -inf for all others."""
        # MPS decodes one step more than it keeps.
        step = min(input_ids.shape[1] - self._prompt_length, self._numbers.shape[1] - 1)
        warped = self._warpers(input_ids, scores)
        drawn = choose(torch.softmax(warped, dim=-1), self._numbers[:, step])
        return torch.full_like(scores, float("-inf")).scatter_(1, drawn[:, None], 0.0)


def choose(probabilities: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    """Return, for each row of (rows, vocabulary), the first token whose cumulative probability is above its number."""
    # float64 where there is one: float32's rounding would shift draws in a vocabulary of 150,000.
    wide = torch.float32 if probabilities.device.type == "mps" else torch.float64
    cumulative = probabilities.to(wide).cumsum(dim=-1)
    # A hair below the total, which rounding could otherwise reach: no token's cumulative is above that.
    targets = numbers.to(wide)[:, None] * cumulative[:, -1:] * (1 - 2**-20)
    return torch.searchsorted(cumulative, targets, right=True)[:, 0]
