"""Measuring quality: every item asked in batches; speed comes from the totals, what the answers are worth later.

Text is encoded before anything is asked. A picture is read and brought to the model's size before the clock of its
batch starts, so that no more than one batch of pictures is in memory; its latency is from pixels to text.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from bench import images
from bench.errors import InputError
from bench.results import Answer, Figures, Sample
from bench.workloads import Item
from worker.adapters.text import Generated
from worker.device import Device
from worker.energy import Meter
from worker.measure import Clock, Media, Outcome, QualityAdapter, Report, measuring
from worker.protocol import Order, Progress, Prompt
from worker.sampling import Decoding, generation_seed

#: enough for two steps after the prompt's
_COMPILING_TOKENS = 3


class _Question(NamedTuple):
    """One item, to be asked for the `sample`-th time."""

    #: where its answer stands in the results
    place: int
    prompt: Prompt
    sample: int
    #: the prompt's tokens; None where a picture goes with it, which is read when its batch is asked
    ids: list[int] | None


def measure_quality(
    adapter: QualityAdapter,
    order: Order,
    device: Device,
    report: Report,
    media: Media,
    clock: Clock = time.perf_counter,
    meter: Meter | None = None,
) -> Outcome:
    """Ask every item as often as the job says, in batches, once; answers come in the order of the items.

    They are not judged, and of the figures only the first call's is there: `worker.judging` does the rest. Raises
    InputError where the order has no items, and where a picture can't be read, naming the item.
    """
    if not order.prompts:
        raise InputError(f"the job has no items of workload {order.spec.workload!r} to ask")
    decoding = Decoding.of(order.spec)
    # The longest first: a batch then holds prompts of like length, and memory that is too small shows at once.
    questions = sorted(_questions(adapter, order), key=lambda question: -len(question.ids or ()))
    report(Progress(phase="warming up", total=len(questions)))
    asker = _Asker(adapter, order, device, media, clock)
    batches = list(_chunks(questions, order.spec.batch_size))
    with device.watch() as fallbacks:
        first_call = asker.ask(questions[-1:], decoding._replace(max_new_tokens=1))[1]
        if order.spec.compile:
            _compile(asker, batches, decoding)
    meter = meter or Meter()
    answers: dict[int, Answer] = {}
    samples: list[Sample] = []
    #: seconds per answer, batch by batch
    pace: list[float] = []
    began_joules = ended_joules = meter.read()
    for batch in batches:
        generated, seconds = asker.ask(batch, decoding)
        ended_joules = meter.read()
        samples.append(_call_sample(len(samples), generated, seconds))
        for question, one in zip(batch, generated, strict=True):
            answers[question.place] = _unjudged(question.prompt.item, question.sample, one)
        pace.append(seconds / len(batch))
        report(measuring(pace, done=len(answers), total=len(questions)))
    return Outcome(
        Figures(iterations=1, first_call_seconds=first_call),
        tuple(samples),
        tuple(answers[place] for place in sorted(answers)),
        decoding._asdict(),
        tuple(fallbacks),
        energy=meter.figures(began_joules, ended_joules, sum(sample.new_tokens for sample in samples)),
    )


def _compile(asker: "_Asker", batches: Sequence[Sequence[_Question]], decoding: Decoding) -> None:
    """Ask for a few tokens, so that compiling, which takes minutes, is no part of what is measured.

    A first length is compiled as it is; a second one, in the prompts as in the steps after them, for all lengths.
    """
    few = decoding._replace(max_new_tokens=min(decoding.max_new_tokens, _COMPILING_TOKENS))
    for batch in (batches[0], batches[-1]):
        asker.ask(batch, few)


def _questions(adapter: QualityAdapter, order: Order) -> Iterator[_Question]:
    """Yield every item as often as it is asked, its text encoded once."""
    place = 0
    for prompt in order.prompts:
        ids = adapter.encode(prompt.messages) if prompt.item.image is None else None
        for sample in range(order.spec.samples):
            yield _Question(place, prompt, sample, ids)
            place += 1


def _chunks(questions: Sequence[_Question], size: int) -> Iterator[Sequence[_Question]]:
    for start in range(0, len(questions), size):
        yield questions[start : start + size]


class _Asker(NamedTuple):
    """Puts batches of questions to a model, on the clock."""

    adapter: QualityAdapter
    order: Order
    device: Device
    media: Media
    clock: Clock

    def ask(self, batch: Sequence[_Question], decoding: Decoding) -> tuple[list[Generated], float]:
        """Return the answers and the wall time in seconds."""
        spec = self.order.spec
        asked = [self._seen(q.prompt) if q.ids is None else q.ids for q in batch]
        seeds = [generation_seed(spec.seed, q.prompt.item.id, q.sample) for q in batch]
        self.device.synchronize()
        started = self.clock()
        generated = self.adapter.generate_batch(asked, decoding, seeds, spec.cache)
        self.device.synchronize()
        return generated, self.clock() - started

    def _seen(self, prompt: Prompt) -> Any:
        """Return a question about a picture as the model takes it."""
        item = prompt.item
        where = f"item {item.id!r} of workload {self.order.spec.workload!r}: image"
        try:
            data = self.media(item.image or "").read_bytes()
        except OSError as error:
            raise InputError(f"the picture can't be read: {error.strerror or error}", where=where) from None
        return self.adapter.encode(prompt.messages, images.decode(data, where=where))


def _unjudged(item: Item, sample: int, generated: Generated) -> Answer:
    """Return the `sample`-th answer to an item, without a score."""
    return Answer(
        item_id=item.id,
        sample=sample,
        text=generated.text,
        extracted=None,
        score=None,
        prompt_tokens=generated.prompt_tokens,
        new_tokens=generated.new_tokens,
        finish=generated.finish,
        thinking_tokens=generated.thinking_tokens,
    )


def _call_sample(iteration: int, generated: Sequence[Generated], seconds: float) -> Sample:
    tokens = sum(one.new_tokens for one in generated)
    return Sample(
        iteration=iteration,
        batch_size=len(generated),
        prompt_tokens=max(one.prompt_tokens for one in generated),
        new_tokens=tokens,
        latency_seconds=seconds,
        decode_tokens_per_second=tokens / seconds if seconds > 0 else None,
    )
