"""Measuring speed: a fixed shape, generated again and again.

Definitions as the field uses them (MLPerf, vLLM, llama-bench): TTFT is the wall time of a one-token generation;
decode tokens/s = (n - 1) x sequences / (E2E - TTFT); prefill tokens/s = prompt tokens x sequences / TTFT; model
bandwidth utilisation = bytes of weights read a second / the device's peak bandwidth.
"""

import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch

from bench import statistics
from bench.errors import InputError
from bench.results import Sample
from bench.spec import JobSpec, StopRule
from bench.speed_figures import speed_figures, tokens_generated
from worker.device import Device
from worker.energy import Meter
from worker.measure import Clock, Outcome, Report, SpeedAdapter, measuring
from worker.protocol import Progress
from worker.warmup import Began, Counted

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
    adapter: SpeedAdapter,
    spec: JobSpec,
    device: Device,
    report: Report,
    clock: Clock = time.perf_counter,
    meter: Meter | None = None,
) -> Outcome:
    """Measure a fixed shape until it is warm and the stop rule is met. Raises InputError for a job without lengths."""
    if spec.prompt_tokens is None or spec.new_tokens is None:
        raise InputError("a speed workload needs prompt_tokens and new_tokens")
    shape = _Shape(adapter, spec, spec.new_tokens, speed_prompts(adapter, spec).to(device.torch_device), device, clock)
    stop = spec.stop or StopRule()
    meter = meter or Meter()
    report(Progress(phase="warming up"))
    with device.watch() as fallbacks:
        first_call = shape.generate(1)
        counted = Counted(stop, clock())
        shape.iterate()
    ended_joules = _iterate(shape, counted, stop, meter, report)
    samples = counted.samples
    figures = speed_figures(samples)
    speed = figures.decode_tokens_per_second
    own = {
        "first_call_seconds": first_call,
        "model_bandwidth_utilization": _utilization(speed, spec.batch_size, adapter.bytes_per_step, device),
        "warmup_iterations": counted.warmup_iterations,
        "warm": counted.warm,
    }
    energy = meter.figures(counted.began.joules, ended_joules, tokens_generated(samples))
    return Outcome(figures.model_copy(update=own), samples, fallbacks=tuple(fallbacks), energy=energy)


def _iterate(shape: "_Shape", counted: Counted, stop: StopRule, meter: Meter, report: Report) -> float | None:
    """Iterate until the stop rule is met; return what the meter read at the end of the last iteration."""
    ended = meter.read()
    while not is_enough(stop, counted.latencies, counted.seconds(shape.clock())):
        began = Began(shape.clock(), ended)
        sample = shape.iterate()
        ended = meter.read()
        counted.add(began, sample)
        report(measuring(counted.latencies, done=len(counted.latencies)))
    return ended


def speed_prompts(adapter: SpeedAdapter, spec: JobSpec) -> torch.Tensor:
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

    adapter: SpeedAdapter
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

    def iterate(self) -> Sample:
        """Time one token, then all of them. Which iteration it is, is said later."""
        ticks = _Ticks(self.clock)
        ttft = self.generate(1)
        latency = self.generate(self.new_tokens, ticks)
        rows, length = self.prompts.shape
        # A pause in the short span can make it the longer one; there is no speed then.
        decoding = latency - ttft
        return Sample(
            iteration=0,
            batch_size=rows,
            prompt_tokens=length,
            new_tokens=rows * self.new_tokens,
            ttft_seconds=ttft,
            latency_seconds=latency,
            decode_tokens_per_second=(self.new_tokens - 1) * rows / decoding if decoding > 0 else None,
            prefill_tokens_per_second=length * rows / ttft if ttft > 0 else None,
            inter_token_seconds=ticks.gaps(),
        )


def _utilization(speed: float | None, batch_size: int, bytes_per_step: int, device: Device) -> float | None:
    """Return the share of the device's bandwidth that reading the weights took; None where one is not known."""
    bandwidth = device.bandwidth_bytes_per_second()
    return speed / batch_size * bytes_per_step / bandwidth if speed and bandwidth else None
