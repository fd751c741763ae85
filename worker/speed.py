"""Measuring speed: a fixed shape, generated again and again.

Definitions as the field uses them (MLPerf, vLLM, llama-bench): TTFT is the wall time of a one-token generation;
decode tokens/s = (n - 1) x sequences / (E2E - TTFT); prefill tokens/s = prompt tokens x sequences / TTFT; model
bandwidth utilisation = bytes of weights read a second / the device's peak bandwidth.
"""

import time
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch

from bench import statistics
from bench.errors import InputError
from bench.results import Figures, Sample
from bench.spec import JobSpec, StopRule
from worker.device import Device
from worker.measure import Adapter, Clock, Outcome, Report
from worker.protocol import Progress

#: text of which the prompts of speed workloads are cut
_TEXT = (
    "The harbour was quiet before the sun came up. Nets hung over the rail to dry, and the water under them moved "
    "slowly, as if it had all day. An old man walked along the quay with a lamp in his hand, counting the boats as "
    "he had done every morning for forty years: eleven this time, one fewer than the night before. He stopped, put "
    "the lamp on a post and looked out past the breakwater. Far off, where the grey of the sea met the grey of the "
    "sky, a single light rose and fell. 'She is late,' he said to nobody, 'but she is coming.' Behind him the first "
    "doors opened, somebody laughed, and the smell of bread came down the street towards the ships.\n"
)


def measure_speed(
    adapter: Adapter, spec: JobSpec, device: Device, report: Report, clock: Clock = time.perf_counter
) -> Outcome:
    """Measure a fixed shape until the stop rule is met. Raises InputError where the job has no lengths."""
    if spec.prompt_tokens is None or spec.new_tokens is None:
        raise InputError("a speed workload needs prompt_tokens and new_tokens")
    shape = _Shape(adapter, spec, spec.new_tokens, speed_prompts(adapter, spec).to(device.torch_device), device, clock)
    report(Progress(phase="warming up"))
    with device.watch() as fallbacks:
        first_call = shape.generate(1)
        shape.iterate(0)
    samples: list[Sample] = []
    stop = spec.stop or StopRule()
    started = clock()
    while not is_enough(stop, [sample.latency_seconds for sample in samples], clock() - started):
        samples.append(shape.iterate(len(samples)))
        report(_speed_progress(samples))
    figures = _speed_figures(samples, first_call, adapter.bytes_per_step, device)
    return Outcome(figures, tuple(samples), fallbacks=tuple(fallbacks))


def speed_prompts(adapter: Adapter, spec: JobSpec) -> torch.Tensor:
    """Return token ids of shape (batch_size, prompt_tokens): real text, another part of it in each row."""
    assert spec.prompt_tokens is not None
    first = adapter.first_ids()[: spec.prompt_tokens]
    length = spec.prompt_tokens - len(first)
    text = adapter.encode_text(_TEXT)
    rows = [
        first + [text[(row * length + place) % len(text)] for place in range(length)] for row in range(spec.batch_size)
    ]
    return torch.tensor(rows)


def is_enough(stop: StopRule, latencies: Sequence[float], elapsed_seconds: float) -> bool:
    """Whether the stop rule is met; at least one iteration is always measured."""
    count = len(latencies)
    if count == 0:
        return False
    if count >= stop.max_iterations or elapsed_seconds >= stop.max_seconds:
        return True
    interval = statistics.median_interval(latencies)
    if count < stop.min_iterations or interval is None:
        return False
    middle = statistics.median(latencies)
    return max(middle - interval[0], interval[1] - middle) <= stop.target * middle


class _Ticks:
    """A streamer that notes when each token came."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._times: list[float] = []

    def put(self, value: Any) -> None:
        self._times.append(self._clock())

    def end(self) -> None:
        pass

    def gaps(self) -> tuple[float, ...]:
        """Return the seconds between tokens; what came first was the prompt."""
        return tuple(later - earlier for earlier, later in pairwise(self._times[1:]))


class _Shape(NamedTuple):
    """A fixed shape on a device, to be generated again and again."""

    adapter: Adapter
    spec: JobSpec
    new_tokens: int
    prompts: torch.Tensor
    device: Device
    clock: Clock

    def generate(self, new_tokens: int, streamer: _Ticks | None = None) -> float:
        """Generate so many tokens for every row; return the wall time in seconds."""
        self.device.synchronize()
        started = self.clock()
        self.adapter.generate_fixed(self.prompts, new_tokens, streamer, self.spec.cache)
        self.device.synchronize()
        return self.clock() - started

    def iterate(self, iteration: int) -> Sample:
        """Time one token, then all of them."""
        ticks = _Ticks(self.clock)
        ttft = self.generate(1)
        latency = self.generate(self.new_tokens, ticks)
        rows, length = self.prompts.shape
        # A pause in the short span can make it the longer one; there is no speed then.
        decoding = latency - ttft
        return Sample(
            iteration=iteration,
            batch_size=rows,
            prompt_tokens=length,
            new_tokens=rows * self.new_tokens,
            ttft_seconds=ttft,
            latency_seconds=latency,
            decode_tokens_per_second=(self.new_tokens - 1) * rows / decoding if decoding > 0 else None,
            prefill_tokens_per_second=length * rows / ttft if ttft > 0 else None,
            inter_token_seconds=ticks.gaps(),
        )


def _speed_progress(samples: Sequence[Sample]) -> Progress:
    latencies = [sample.latency_seconds for sample in samples]
    low, high = statistics.median_interval(latencies) or (None, None)
    return Progress(
        phase="measuring",
        done=len(samples),
        median_seconds=statistics.median(latencies),
        low_seconds=low,
        high_seconds=high,
    )


def _speed_figures(samples: Sequence[Sample], first_call: float, bytes_per_step: int, device: Device) -> Figures:
    """Summarise iterations by their medians."""
    latencies = [sample.latency_seconds for sample in samples]
    gaps = [gap for sample in samples for gap in sample.inter_token_seconds]
    low, high = statistics.median_interval(latencies) or (None, None)
    decode = _median_of(sample.decode_tokens_per_second for sample in samples)
    bandwidth = device.bandwidth_bytes_per_second()
    steps_per_second = None if decode is None else decode / samples[0].batch_size
    return Figures(
        iterations=len(samples),
        first_call_seconds=first_call,
        ttft_seconds=_median_of(sample.ttft_seconds for sample in samples),
        prefill_tokens_per_second=_median_of(sample.prefill_tokens_per_second for sample in samples),
        decode_tokens_per_second=decode,
        inter_token_p50_seconds=statistics.earned_percentile(gaps, 50),
        inter_token_p99_seconds=statistics.earned_percentile(gaps, 99),
        latency_seconds=statistics.median(latencies),
        latency_low_seconds=low,
        latency_high_seconds=high,
        model_bandwidth_utilization=steps_per_second * bytes_per_step / bandwidth
        if steps_per_second and bandwidth
        else None,
    )


def _median_of(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
