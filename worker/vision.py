"""Measuring models that look at pictures: every item asked once or more, its answer scored, in batches on the clock.

The protocol is that of `worker.quality`. A picture is read and brought to the model's size before the clock starts,
batch by batch, so that no more than one batch of pictures is in memory; the latency is the model's own, from pixels to
text.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from PIL import Image

from bench.errors import InputError
from bench.results import Answer, Figures, Sample
from bench.workloads import Item
from worker import images
from worker.adapters.text import Generated
from worker.conversation import Message
from worker.device import Device
from worker.measure import Clock, Outcome, Report
from worker.protocol import Order, Progress, Prompt
from worker.quality import unjudged
from worker.sampling import Decoding, generation_seed

#: gives the file of an item's picture
PictureOf = Callable[[Item], bytes]


class LookingAdapter(Protocol):
    """What the protocol asks of a loaded model. A question is the adapter's own, with the prompt's tokens as `ids`."""

    def encode(self, messages: Sequence[Message], image: Image.Image) -> Any:
        """Return a conversation about a picture (RGB) as the model takes it."""

    def generate_batch(
        self, questions: Sequence[Any], decoding: Decoding, seeds: Sequence[int], cache: str
    ) -> list[Generated]:
        """Return the answers in the order of the questions."""


class _Asking(NamedTuple):
    """One item, to be asked for the `sample`-th time."""

    prompt: Prompt
    sample: int


def measure_vision(
    adapter: LookingAdapter,
    order: Order,
    device: Device,
    report: Report,
    picture_of: PictureOf,
    clock: Clock = time.perf_counter,
) -> Outcome:
    """Ask every item as often as the job says, in batches, in the order of the items.

    They are not judged, and of the figures only the first call's is there: `worker.judging` does the rest. Raises
    InputError where the order has no items, and where a picture can't be read, naming the item.
    """
    if not order.prompts:
        raise InputError(f"the job has no items of workload {order.spec.workload!r} to ask")
    decoding = Decoding.of(order.spec)
    asker = _Asker(adapter, order, device, picture_of, clock)
    askings = [_Asking(prompt, sample) for prompt in order.prompts for sample in range(order.spec.samples)]
    report(Progress(phase="warming up", total=len(askings)))
    with device.watch() as fallbacks:
        first_call = asker.ask(askings[:1], decoding._replace(max_new_tokens=1)).seconds
    answers: list[Answer] = []
    samples: list[Sample] = []
    for batch in _chunks(askings, order.spec.batch_size):
        asked = asker.ask(batch, decoding)
        samples.append(_sample(len(samples), asked))
        answers += [
            unjudged(asking.prompt.item, asking.sample, one) for asking, one in zip(batch, asked.generated, strict=True)
        ]
        report(_progress(samples, len(answers), len(askings)))
    figures = Figures(iterations=1, first_call_seconds=first_call)
    return Outcome(figures, tuple(samples), tuple(answers), decoding, tuple(fallbacks))


def _chunks(askings: Sequence[_Asking], size: int) -> Iterator[Sequence[_Asking]]:
    for start in range(0, len(askings), size):
        yield askings[start : start + size]


class _Asked(NamedTuple):
    generated: list[Generated]
    #: wall time of the call
    seconds: float


class _Asker(NamedTuple):
    """Puts batches of items to a model, on the clock."""

    adapter: LookingAdapter
    order: Order
    device: Device
    picture_of: PictureOf
    clock: Clock

    def ask(self, batch: Sequence[_Asking], decoding: Decoding) -> _Asked:
        questions = [self._question(asking) for asking in batch]
        spec = self.order.spec
        seeds = [generation_seed(spec.seed, asking.prompt.item.id, asking.sample) for asking in batch]
        self.device.synchronize()
        started = self.clock()
        generated = self.adapter.generate_batch(questions, decoding, seeds, spec.cache)
        self.device.synchronize()
        return _Asked(generated, self.clock() - started)

    def _question(self, asking: _Asking) -> Any:
        item = asking.prompt.item
        where = f"item {item.id!r} of workload {self.order.spec.workload!r}: image"
        picture = images.decode(self.picture_of(item), where=where)
        return self.adapter.encode(asking.prompt.messages, picture)


def _sample(iteration: int, asked: _Asked) -> Sample:
    tokens = sum(one.new_tokens for one in asked.generated)
    return Sample(
        iteration=iteration,
        batch_size=len(asked.generated),
        prompt_tokens=max(one.prompt_tokens for one in asked.generated),
        new_tokens=tokens,
        latency_seconds=asked.seconds,
        decode_tokens_per_second=tokens / asked.seconds if asked.seconds > 0 else None,
    )


def _progress(samples: Sequence[Sample], done: int, total: int) -> Progress:
    seconds = sum(sample.latency_seconds for sample in samples)
    return Progress(phase="measuring", done=done, total=total, median_seconds=seconds / done)
