"""Quality items: our job beside lm-eval's own HFLM, on the same prompts in batches of the same size, in one process."""

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bench.library import builtin_library
from bench.spec import JobSpec
from tests.performance.decoding import locked
from tests.performance.results import RatioAtMost, Result, alternate
from tests.performance.world import World, without_progress_bars
from worker.protocol import Order, Prompt

_ITEMS = 120
_BATCH = 16
_NEW_TOKENS = 8
_PAIRS = 3


def harness_rows(world: World) -> Iterator[Result]:
    """Time from the prompts to the scored answers; both sides write the same answers, or there is no figure."""
    without_progress_bars()
    items = _ITEMS if world.sizes.commands > 2 else world.sizes.questions
    order = _order(world, items)
    ours, theirs = _Ours(world, order), _Theirs(world, order)
    pairs = alternate(locked(ours, world), locked(theirs, world), min(_PAIRS, world.sizes.sessions))
    assert ours.answers == theirs.answers, "the answers are not the same"
    for field in ("wall", "cpu"):
        yield Result(
            row="lm-eval",
            what=f"{items} quality items in batches of {_BATCH}, {_NEW_TOKENS} tokens at most, {field} time",
            unit="s",
            ours=tuple(getattr(ours, field) for ours, _ in pairs),
            goal=RatioAtMost(1.05),
            beside="lm-eval's HFLM, the same answers",
            theirs=tuple(getattr(theirs, field) for _, theirs in pairs),
        )


class _Seconds(NamedTuple):
    """What answering everything took."""

    wall: float
    cpu: float


class _Clock:
    """Wall and CPU time of this process since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def seconds(self) -> _Seconds:
        return _Seconds(time.perf_counter() - self._wall, time.process_time() - self._cpu)


def _order(world: World, items: int) -> Order:
    library = builtin_library()
    facts, strategy = library.workloads["facts"], library.strategies["direct"]
    spec = JobSpec(model=world.model.name, workload="facts", max_new_tokens=_NEW_TOKENS, batch_size=_BATCH)
    asked = facts.sample(items, 0)
    prompts = tuple(Prompt(item=item, messages=strategy.messages(facts, item.prompt)) for item in asked)
    return Order(job_id=1, attempt=1, spec=spec, model=world.model, score=facts.score, prompts=prompts)


class _Ours:
    """What a session does for a quality job: encoding, the first call, the batches, the scores."""

    def __init__(self, world: World, order: Order) -> None:
        from worker.adapters import Loading
        from worker.adapters.text import TextAdapter
        from worker.channel import writer
        from worker.device import pick

        self._order = order
        self._device = pick("cpu")
        self._device.prepare()
        self._adapter = TextAdapter.load(world.checkpoint, *Loading.of(order.spec), self._device)
        self._report = writer(os.open(os.devnull, os.O_WRONLY))
        self.answers: list[str] = []

    def __call__(self) -> _Seconds:
        """Ask every item, and score what was said."""
        from worker.judging import Judge
        from worker.quality import measure_quality

        clock = _Clock()
        outcome = measure_quality(self._adapter, self._order, self._device, self._report, _no_media)
        judge = Judge.of(self._order)
        for prompt, answer in zip(self._order.prompts, outcome.answers, strict=True):
            judge.scored(prompt.item, answer)
        seconds = clock.seconds()
        self.answers = [answer.text for answer in outcome.answers]
        return seconds


class _Theirs:
    """lm-eval's model class around a model of its own, as `lm_eval --model hf --apply_chat_template` makes it."""

    def __init__(self, world: World, order: Order) -> None:
        import torch
        from lm_eval.models.huggingface import HFLM
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._order = order
        # It warns that a loaded model is given to it.
        logging.getLogger("lm_eval").setLevel(logging.ERROR)
        model = AutoModelForCausalLM.from_pretrained(world.checkpoint, dtype=torch.float32).eval()
        tokenizer = AutoTokenizer.from_pretrained(world.checkpoint)
        self._model = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=_BATCH)
        self.answers: list[str] = []

    def __call__(self) -> _Seconds:
        """Answer every prompt, greedily, until the model ends or the length is reached."""
        from lm_eval.api.instance import Instance

        clock = _Clock()
        settings: dict[str, Any] = {"until": [], "max_gen_toks": _NEW_TOKENS, "do_sample": False}
        requests = [
            Instance("generate_until", {}, (self._model.apply_chat_template(list(prompt.messages)), settings), place)
            for place, prompt in enumerate(self._order.prompts)
        ]
        answers = self._model.generate_until(requests, disable_tqdm=True)
        seconds = clock.seconds()
        self.answers = answers
        return seconds


def _no_media(digest: str) -> Path:
    raise AssertionError("no item has a picture")
