"""A model and a device that obey a clock of ours, so that figures can be told exactly."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from worker.adapters.text import Generated
from worker.conversation import Message
from worker.device import CpuDevice
from worker.energy import Counter
from worker.sampling import Decoding


class FakeClock:
    """Seconds that pass only when somebody says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += seconds


class FakeDevice(CpuDevice):
    """A device of known bandwidth that counts how often it was waited for, and may leave work to the CPU."""

    def __init__(self, bandwidth: float | None = None, fallbacks: tuple[str, ...] = ()) -> None:
        self.bandwidth = bandwidth
        self.fallbacks = fallbacks
        self.synchronized = 0

    def synchronize(self) -> None:
        self.synchronized += 1

    def bandwidth_bytes_per_second(self) -> float | None:
        return self.bandwidth

    def energy_counter(self) -> Counter | None:
        return None

    @contextmanager
    def watch(self) -> Iterator[list[str]]:
        found: list[str] = []
        yield found
        found += self.fallbacks


class FakeCounter:
    """A counter of energy of so many watts on a clock; of a fake one, `reading_seconds` pass with each reading."""

    source = "rapl"

    def __init__(self, clock: Callable[[], float], *, watts: float = 10.0, reading_seconds: float = 0.0) -> None:
        self._clock = clock
        self._watts = watts
        self._reading_seconds = reading_seconds
        self.readings = 0

    def joules(self) -> float:
        used = (self._clock() - self._reading_seconds * self.readings) * self._watts
        self.readings += 1
        if isinstance(self._clock, FakeClock):
            self._clock.pass_(self._reading_seconds)
        return used


class FakeAdapter:
    """A model that takes `prefill` seconds for a prompt and `step` seconds for each token after the first."""

    bytes_per_step = 1000

    def __init__(
        self, clock: FakeClock, *, prefill: float = 0.5, step: float = 0.1, slow: Sequence[float] = ()
    ) -> None:
        self.clock = clock
        self.prefill = prefill
        self.step = step
        #: factors of successive long generations; 1 after them
        self.slow = list(slow)
        self.fixed: list[tuple[tuple[int, ...], int, str]] = []
        self.batches: list[tuple[list[Sequence[int]], Decoding, list[int]]] = []

    def encode(self, messages: Sequence[Message]) -> list[int]:
        return [len(word) for message in messages for word in message["content"].split()]

    def encode_text(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]

    def first_ids(self) -> list[int]:
        return [1]

    def generate_fixed(
        self, prompts: torch.Tensor, new_tokens: int, streamer: Any = None, cache: str = "dynamic"
    ) -> torch.Tensor:
        self.fixed.append((tuple(prompts.shape), new_tokens, cache))
        factor = self.slow.pop(0) if self.slow and new_tokens > 1 else 1.0
        if streamer is not None:
            streamer.put(prompts)
        for token in range(new_tokens):
            self.clock.pass_(factor * (self.step if token else self.prefill))
            if streamer is not None:
                streamer.put(torch.tensor([token]))
        return prompts

    def generate_batch(
        self, prompts: Sequence[Sequence[int]], decoding: Decoding, seeds: Sequence[int], cache: str = "dynamic"
    ) -> list[Generated]:
        self.batches.append((list(prompts), decoding, list(seeds)))
        self.clock.pass_(2.0 if decoding.max_new_tokens > 1 else 0.25)
        return [Generated(f"Answer: {len(prompt)}", len(prompt), 3, "stop") for prompt in prompts]
