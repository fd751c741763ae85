"""Measuring quality: every item asked in batches; speed comes from the totals, what the answers are worth later."""

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bench.errors import InputError
from bench.results import Answer, Figures, Sample
from bench.spec import JobSpec
from bench.workloads import Item
from worker.adapters.text import Generated
from worker.device import Device
from worker.measure import Adapter, Clock, Outcome, Report
from worker.protocol import Order, Progress, Prompt
from worker.sampling import Decoding, generation_seed


class _Question(NamedTuple):
    """One item, to be asked for the `sample`-th time."""

    #: where its answer stands in the results
    place: int
    prompt: Prompt
    sample: int
    ids: list[int]


def measure_quality(
    adapter: Adapter, order: Order, device: Device, report: Report, clock: Clock = time.perf_counter
) -> Outcome:
    """Ask every item as often as the job says, in batches, once; answers come in the order of the items.

    They are not judged, and of the figures only the first call's is there: `worker.judging` does the rest. Raises
    InputError where the order has no items.
    """
    if not order.prompts:
        raise InputError(f"the job has no items of workload {order.spec.workload!r} to ask")
    spec, decoding = order.spec, Decoding.of(order.spec)
    # The longest first: a batch then holds prompts of like length, and memory that is too small shows at once.
    questions = sorted(_questions(adapter, order), key=lambda question: -len(question.ids))
    report(Progress(phase="warming up", total=len(questions)))
    asker = _Asker(adapter, spec, device, clock)
    with device.watch() as fallbacks:
        first_call = asker.ask(questions[-1:], decoding._replace(max_new_tokens=1))[1]
    answers: dict[int, Answer] = {}
    samples: list[Sample] = []
    for batch in _chunks(questions, spec.batch_size):
        generated, seconds = asker.ask(batch, decoding)
        samples.append(_call_sample(len(samples), batch, generated, seconds))
        for question, one in zip(batch, generated, strict=True):
            answers[question.place] = unjudged(question.prompt.item, question.sample, one)
        report(_quality_progress(samples, len(answers), len(questions)))
    return Outcome(
        Figures(iterations=1, first_call_seconds=first_call),
        tuple(samples),
        tuple(answers[place] for place in sorted(answers)),
        decoding,
        tuple(fallbacks),
    )


def _questions(adapter: Adapter, order: Order) -> Iterator[_Question]:
    """Yield every item as often as it is asked, encoded once."""
    place = 0
    for prompt in order.prompts:
        ids = adapter.encode(prompt.messages)
        for sample in range(order.spec.samples):
            yield _Question(place, prompt, sample, ids)
            place += 1


def _chunks(questions: Sequence[_Question], size: int) -> Iterator[Sequence[_Question]]:
    for start in range(0, len(questions), size):
        yield questions[start : start + size]


class _Asker(NamedTuple):
    """Puts batches of questions to a model, on the clock."""

    adapter: Adapter
    spec: JobSpec
    device: Device
    clock: Clock

    def ask(self, batch: Sequence[_Question], decoding: Decoding) -> tuple[list[Generated], float]:
        """Return the answers and the wall time in seconds."""
        seeds = [generation_seed(self.spec.seed, q.prompt.item.id, q.sample) for q in batch]
        self.device.synchronize()
        started = self.clock()
        generated = self.adapter.generate_batch([q.ids for q in batch], decoding, seeds, self.spec.cache)
        self.device.synchronize()
        return generated, self.clock() - started


def unjudged(item: Item, sample: int, generated: Generated) -> Answer:
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


def _call_sample(iteration: int, batch: Sequence[_Question], generated: Sequence[Generated], seconds: float) -> Sample:
    tokens = sum(one.new_tokens for one in generated)
    return Sample(
        iteration=iteration,
        batch_size=len(batch),
        prompt_tokens=max(len(question.ids) for question in batch),
        new_tokens=tokens,
        latency_seconds=seconds,
        decode_tokens_per_second=tokens / seconds if seconds > 0 else None,
    )


def _quality_progress(samples: Sequence[Sample], done: int, total: int) -> Progress:
    seconds = sum(sample.latency_seconds for sample in samples)
    return Progress(phase="measuring", done=done, total=total, median_seconds=seconds / done)
