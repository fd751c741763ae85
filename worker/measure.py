"""What the measuring of speed and of quality share: what they ask of a model, and what they give back."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch

from bench import statistics
from bench.results import Answer, Breakdown, Figures, Metric, Sample
from worker.adapters.text import Generated
from worker.protocol import Progress
from worker.sampling import Decoding

#: told how far a job has come; called often
Report = Callable[[Progress], None]
#: seconds of a clock that never goes back
Clock = Callable[[], float]
#: gives the file of a picture or a clip by its SHA-256
Media = Callable[[str], Path]


class QualityAdapter(Protocol):
    """What the measuring of quality asks of a loaded model."""

    @property
    def encode(self) -> Callable[..., Any]:
        """Returns a conversation as token ids or, given a picture too (RGB), in the model's own way."""

    def generate_batch(
        self, prompts: Sequence[Any], decoding: Decoding, seeds: Sequence[int], cache: str, /
    ) -> list[Generated]:
        """Return the answers to what was encoded."""


class SpeedAdapter(Protocol):
    """What the measuring of speed asks of a loaded model."""

    bytes_per_step: int

    def encode_text(self, text: str) -> list[int]:
        """Return the token ids of a text, without special tokens."""

    def first_ids(self) -> list[int]:
        """Return the special tokens before a text."""

    def generate_fixed(self, prompts: torch.Tensor, new_tokens: int, streamer: Any = None, cache: str = ...) -> Any:
        """Generate exactly `new_tokens`."""


class Outcome(NamedTuple):
    """What one job measured."""

    figures: Figures
    samples: tuple[Sample, ...]
    #: those of a quality workload are judged afterwards
    answers: tuple[Answer, ...] = ()
    #: the settings of generation that were in force; none for a speed workload
    decoding: Mapping[str, Any] = {}
    #: what the device left to the CPU while warming up
    fallbacks: tuple[str, ...] = ()
    breakdowns: tuple[Breakdown, ...] = ()
    #: what a foreign harness reported
    metrics: tuple[Metric, ...] = ()
    #: versions of the libraries that had a part in the figures; None for none beside torch and transformers
    libraries: Mapping[str, str] | None = None
    #: the figures of energy, from the first call that counts to the last; none where it is not known
    energy: Mapping[str, float | str] = {}


def measuring(seconds: Sequence[float], *, done: int, total: int | None = None) -> Progress:
    """Return how far a job has come, with the median of the seconds measured so far and its 95 % interval."""
    low, high = statistics.median_interval(seconds) or (None, None)
    middle = statistics.median(seconds)
    return Progress(
        phase="measuring", done=done, total=total, median_seconds=middle, low_seconds=low, high_seconds=high
    )
