"""Decoding: our speed protocol beside a bare `generate` loop that makes the same calls, in one process."""

import os
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from bench.spec import JobSpec, StopRule
from tests.performance.results import A, NotSlower, RatioAtMost, Result, alternate
from tests.performance.world import World, without_progress_bars


class Reading(NamedTuple):
    """Cost of one token, in milliseconds."""

    cpu: float
    wall: float
    #: what is reported for decoding: (latency - ttft) / (tokens - 1)
    reported: float
    #: what is reported as the time to the first token
    first: float


def decode_rows(world: World) -> Iterator[Result]:
    """The protocol, and the bare loop beside itself, which shows how much this machine can tell."""
    without_progress_bars()
    tokens = world.sizes.decoded_tokens
    ours, bare = locked(Protocol(world, tokens), world), locked(_Bare(world, tokens), world)
    pairs = alternate(ours, bare, world.sizes.decodes)
    # A quarter of them: no goal stands on these, and the row takes some ten minutes.
    noise = alternate(bare, bare, max(world.sizes.decodes // 4, 1), warm_up=0)
    shape = f"{world.sizes.tokens} + {tokens} tokens"
    beside = "a bare generate loop"
    yield _result("decode", f"CPU time a token, {shape}", "cpu", pairs, beside, RatioAtMost(1.01))
    yield _result("decode", f"wall time a token, {shape}", "wall", pairs, beside, NotSlower())
    yield _result("decode", "reported decode time a token", "reported", pairs, beside, NotSlower())
    yield _result("decode", "reported time to the first token", "first", pairs, beside, NotSlower())
    for field in ("cpu", "wall"):
        yield _result("noise", f"a bare loop, {field} time a token", field, noise, "the same loop", None)


def locked(measure: Callable[[], A], world: World) -> Callable[[], A]:
    """Return a function that holds the machine's lock while it measures, as a session does."""
    from worker.device_lock import held

    def once() -> A:
        with held("machine", world.lock_dir):
            return measure()

    return once


def _result(row: str, what: str, field: str, pairs: list[tuple[Reading, Reading]], beside: str, goal: Any) -> Result:
    ours, theirs = ([getattr(reading, field) for reading in side] for side in zip(*pairs, strict=True))
    return Result(row=row, what=what, unit="ms", ours=tuple(ours), goal=goal, beside=beside, theirs=tuple(theirs))


class _Stopwatch:
    """CPU and wall time of this process since it was made."""

    def __init__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def reading(self, tokens: int, first_seconds: float, latency_seconds: float, decoded: int) -> Reading:
        """Return the cost of one of so many tokens."""
        cpu, wall = time.process_time() - self._cpu, time.perf_counter() - self._wall
        decoding = (latency_seconds - first_seconds) * 1000 / decoded
        return Reading(cpu * 1000 / tokens, wall * 1000 / tokens, decoding, first_seconds * 1000)


class Protocol:
    """`measure_speed` with one iteration, its progress written as the session does."""

    def __init__(self, world: World, new_tokens: int) -> None:
        from worker.adapters import Loading
        from worker.adapters.text import TextAdapter
        from worker.channel import writer
        from worker.device import pick

        prompt_tokens = world.sizes.tokens
        stop = StopRule(min_iterations=1, max_iterations=1)
        self._spec = JobSpec(model="m", workload="speed", prompt_tokens=prompt_tokens, new_tokens=new_tokens, stop=stop)
        self._device = pick("cpu")
        self._device.prepare()
        self._adapter = TextAdapter.load(world.checkpoint, *Loading.of(self._spec), self._device)
        self._report = writer(os.open(os.devnull, os.O_WRONLY))

    def __call__(self) -> Reading:
        """Warm up and measure once: two times one token and all of them, and one token before."""
        from worker.speed import measure_speed

        watch = _Stopwatch()
        outcome = measure_speed(self._adapter, self._spec, self._device, self._report)
        sample = outcome.samples[0]
        assert sample.ttft_seconds is not None
        tokens = sample.new_tokens
        return watch.reading(2 * tokens + 3, sample.ttft_seconds, sample.latency_seconds, tokens - 1)


class _Bare:
    """The same calls, as a user would write them."""

    def __init__(self, world: World, new_tokens: int) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._model = AutoModelForCausalLM.from_pretrained(world.checkpoint, dtype=torch.float32).eval()
        # So it does not stop before its length is reached, at no cost.
        self._model.generation_config.eos_token_id = None
        tokenizer = AutoTokenizer.from_pretrained(world.checkpoint)
        words = tokenizer("The harbour was quiet before the sun came up. " * 200, return_tensors="pt")
        self._tokens = new_tokens
        self._inputs = {name: words[name][:, : world.sizes.tokens] for name in ("input_ids", "attention_mask")}

    def __call__(self) -> Reading:
        """Generate what the protocol generates."""
        watch = _Stopwatch()
        self._generate(1)
        for _ in range(2):
            ttft = self._generate(1)
            latency = self._generate(self._tokens)
        return watch.reading(2 * self._tokens + 3, ttft, latency, self._tokens - 1)

    def _generate(self, tokens: int) -> float:
        started = time.perf_counter()
        made = self._model.generate(**self._inputs, do_sample=False, max_new_tokens=tokens, pad_token_id=0)
        seconds = time.perf_counter() - started
        assert made.shape[1] == self._inputs["input_ids"].shape[1] + tokens
        return seconds
