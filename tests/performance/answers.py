"""Answers: judging ten thousand of them, and asking in batches beside one by one."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from bench.spec import JobSpec
from tests.bench.hard_cases import ALL_CASES
from tests.performance.decoding import locked
from tests.performance.results import AtMost, RatioAtMost, Result, alternate
from tests.performance.world import World, without_progress_bars

_ANSWERS = 10_000
_BATCH = 16
_LONGEST = 3000
_LIMIT_SECONDS = 0.3


def scoring_row(world: World) -> Iterator[Result]:
    """The hard cases of every scorer, in prose of the length that models write, judged again and again."""
    from bench.scoring import score

    prose = "The question can be answered step by step, and each step follows from the one before. " * 8
    cases = [(case.scorer, f"{prose}\n{case.text}", case.answer, case.pattern) for case in ALL_CASES]
    count = _ANSWERS if world.sizes.commands > 2 else len(cases)

    def seconds_of(asked: Sequence[Any]) -> float:
        started = time.perf_counter()
        for each in asked:
            score(*each)
        return time.perf_counter() - started

    # A few cases run into the limit of a user's expression, or are endless repetitions of 60,000 characters.
    cases = [case for case in cases if len(case[1]) < _LONGEST and seconds_of([case]) < _LIMIT_SECONDS]
    asked = [cases[number % len(cases)] for number in range(count)]

    seconds = [seconds_of(asked) for _ in range(max(2, world.sizes.submissions))]
    yield Result(
        row="scoring",
        what=f"{count:,} answers of 0.7 to 3 kB judged, all scorers",
        unit="s",
        ours=tuple(seconds),
        goal=AtMost(2.0),
    )


def batching_row(world: World) -> Iterator[Result]:
    """A quality job in batches of 16 beside the same items one by one; the answers are equal, or there is no figure."""
    without_progress_bars()
    ask = _Asking(world)
    batched, alone = locked(lambda: ask(_BATCH), world), locked(lambda: ask(1), world)
    pairs = alternate(batched, alone, 2, warm_up=0)
    assert ask.answers[_BATCH] == ask.answers[1], "answers depend on the batch"
    yield Result(
        row="batching",
        what=f"{len(ask.answers[1])} facts in batches of {_BATCH}, seconds an item",
        unit="s",
        ours=tuple(ours for ours, _ in pairs),
        goal=RatioAtMost(1 / 3),
        beside="one by one, equal answers",
        theirs=tuple(theirs for _, theirs in pairs),
    )


class _Asking:
    """Asks items greedily in batches of a size; returns seconds an item."""

    def __init__(self, world: World) -> None:
        from worker.adapters import Loading
        from worker.adapters.text import TextAdapter
        from worker.device import pick

        self._items = world.library.workloads["facts"].sample(world.sizes.questions, 0)
        self._device = pick("cpu")
        self._device.prepare()
        spec = JobSpec(model="m", workload="facts", max_new_tokens=32)
        self._adapter = TextAdapter.load(world.checkpoint, *Loading.of(spec), self._device)
        self.answers: dict[int, list[str]] = {}

    def __call__(self, batch_size: int) -> float:
        """Ask every item."""
        from worker.sampling import Decoding

        prompts = [self._adapter.encode([{"role": "user", "content": item.prompt}]) for item in self._items]
        generated: list[Any] = []
        started = time.perf_counter()
        for start in range(0, len(prompts), batch_size):
            part = prompts[start : start + batch_size]
            generated += self._adapter.generate_batch(part, Decoding(max_new_tokens=32), [0] * len(part))
        seconds = time.perf_counter() - started
        self.answers[batch_size] = [one.text for one in generated]
        return seconds / len(prompts)
