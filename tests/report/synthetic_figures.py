"""What the models of the synthetic year measure: plausible figures, made up, like those of a Mac mini M4."""

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any

import numpy as np

from bench.catalog import builtin_models
from bench.quality import quality
from bench.results import Answer, Breakdown, Figures, Sample
from bench.spec import JobSpec
from bench.speed_figures import speed_figures
from bench.statistics import consistency, mean_and_stderr
from bench.workloads import Item, Workload

_GIB = 2**30
_BANDWIDTH = 120e9
#: of one weight
_BYTES = {"float32": 4.0, "float16": 2.0, "bfloat16": 2.0, "int8": 1.06, "int4": 0.6}
#: tokens a second, decoding and reading the prompt
_SPEED = {
    ("qwen2.5-1.5b", "float32"): (9.4, 215.0),
    ("qwen2.5-1.5b", "float16"): (18.6, 420.0),
    ("qwen2.5-1.5b", "int8"): (23.5, 330.0),
    ("qwen2.5-1.5b", "int4"): (30.0, 300.0),
    ("deepseek-r1-distill-qwen-1.5b", "float16"): (17.4, 395.0),
    ("deepseek-r1-distill-qwen-1.5b", "int8"): (21.8, 310.0),
    ("deepseek-r1-distill-qwen-1.5b", "int4"): (27.6, 285.0),
    ("smollm2-135m", "float32"): (58.0, 2_100.0),
    ("smollm2-135m", "float16"): (83.0, 2_700.0),
}
#: seconds an item of pictures and clips, in the model's usual precision
_SECONDS = {"blip-base": 0.55, "blip2-2.7b": 2.4, "deepseek-vl2-small": 6.8, "whisper-base": 0.42}
_CLIP_SECONDS = 5.6
_WATTS = 21.0

#: how able a model is, in logits; tasks are easier or harder
_ABILITY = {
    "qwen2.5-1.5b": 0.55,
    "deepseek-r1-distill-qwen-1.5b": 0.75,
    "smollm2-135m": -1.6,
    "blip-base": -0.2,
    "blip2-2.7b": 0.4,
    "deepseek-vl2-small": 1.0,
    "whisper-base": 1.3,
}
_EASE = {"arithmetic": -0.5, "reasoning": -0.3, "facts": 0.6, "patterns": -0.2, "multilingual": 0.2, "writing": 0.9}
#: what a strategy adds, in logits
_GAIN = {
    ("chain_of_thought", "arithmetic"): 1.35,
    ("chain_of_thought", "reasoning"): 0.7,
    ("chain_of_thought", "facts"): -0.1,
    ("few_shot", "patterns"): 1.2,
    ("few_shot", "arithmetic"): 0.25,
    ("role_play", "writing"): 0.8,
    ("structured", "writing"): 0.5,
    ("structured", "arithmetic"): -0.2,
}
_BEST_TEMPERATURE = {"chain_of_thought": 0.4, "role_play": 0.8}
_LOSS = {"int8": 0.05, "int4": 0.45}
_LONGER = {"chain_of_thought": 3.2, "structured": 1.6, "role_play": 1.3}
_READABILITY = {"direct": 58.0, "structured": 68.0, "few_shot": 61.0, "role_play": 60.0, "chain_of_thought": 54.0}
_THINKER = "deepseek-r1-distill-qwen-1.5b"


@dataclass(frozen=True)
class Measured:
    """What one run gives."""

    figures: Figures
    seconds: float
    samples: tuple[Sample, ...] = ()
    answers: tuple[Answer, ...] = ()
    breakdowns: tuple[Breakdown, ...] = ()


def measure_speed(spec: JobSpec, factor: float, random: np.random.Generator, *, detailed: bool) -> Measured:
    """Return a speed run whose latencies are `factor` times the usual ones; `detailed` with gaps between tokens."""
    decode, prefill = _SPEED[spec.model, spec.precision]
    prompt, new = spec.prompt_tokens or 0, spec.new_tokens or 0
    ttft = (0.03 + prompt / prefill) * factor
    gap = factor / decode
    count = int(random.integers(6, 16))
    samples = []
    for n in range(count):
        gaps = gap * np.exp(random.normal(0, 0.04, new - 1 if detailed else 1))
        first = ttft * float(np.exp(random.normal(0, 0.01)))
        rest = float(gaps.sum()) if detailed else (new - 1) * gap * float(np.exp(random.normal(0, 0.004)))
        samples.append(_speed_sample(n, prompt, new, first, rest, gaps if detailed else gaps[:0]))
    summary = speed_figures(samples)
    speed = summary.decode_tokens_per_second or decode
    joules = _WATTS / speed
    common = _common(spec, extra_gib=0.35 + 0.0006 * (prompt + new))
    energy = {"energy_joules_per_token": joules, "energy_joules": joules * count * (new + 1), "energy_source": "apple"}
    usage = common["weights_bytes"] * speed / _BANDWIDTH
    figures = summary.model_copy(
        update=common
        | energy
        | {"model_bandwidth_utilization": usage, "warmup_iterations": 2, "warm": True}
        | ({} if detailed else {"inter_token_p50_seconds": gap, "inter_token_p99_seconds": 1.11 * gap})
    )
    seconds = sum(each.latency_seconds + (each.ttft_seconds or 0) for each in samples) * (1 + 2 / count)
    return Measured(figures, seconds, tuple(samples))


def _speed_sample(n: int, prompt: int, new: int, first: float, rest: float, gaps: Any) -> Sample:
    return Sample(
        iteration=n,
        batch_size=1,
        prompt_tokens=prompt,
        new_tokens=new,
        ttft_seconds=first,
        latency_seconds=first + rest,
        decode_tokens_per_second=(new - 1) / rest,
        prefill_tokens_per_second=prompt / first,
        inter_token_seconds=tuple(gaps.tolist()),
    )


def measure_quality(spec: JobSpec, workload: Workload, factor: float, random: np.random.Generator) -> Measured:
    """Return a quality run whose latencies are `factor` times the usual ones."""
    items = workload.sample(spec.items, spec.items_seed)
    answers = tuple(each for item in items for each in _answers(spec, workload, item, random))
    seconds = _seconds_an_answer(spec, answers, factor)
    scores: dict[str, list[float]] = {}
    for each in answers:
        scores.setdefault(each.item_id, []).append(each.score or 0.0)
    accuracy, stderr = mean_and_stderr(scores)
    agreeing = consistency({name: _extracted(answers, name) for name in scores}) if spec.samples > 1 else None
    readable = [each.readability for each in answers if each.readability is not None]
    readability = sum(readable) / len(readable) if readable else None
    completed = sum(each.finish == "stop" for each in answers) / len(answers)
    right = sum(each.score or 0.0 for each in answers)
    tokens, thoughts = sum(each.new_tokens for each in answers), [each.thinking_tokens or 0 for each in answers]
    figures: dict[str, Any] = _common(spec, extra_gib=0.7) | {
        "iterations": 1,
        "items": len(items),
        "latency_seconds": seconds,
        "decode_tokens_per_second": tokens / (seconds * len(answers)),
        "completed": completed,
        "answer_tokens": (tokens - sum(thoughts)) / len(answers),
        "thinking_tokens": sum(thoughts) / len(answers) if spec.model == _THINKER else None,
    }
    if workload.task == "speech":
        wrong = 1 - accuracy
        figures |= {"word_error_rate": 0.03 + 0.5 * wrong, "real_time_factor": seconds / _CLIP_SECONDS}
    figures |= {
        "accuracy": accuracy,
        "accuracy_stderr": stderr,
        "consistency": agreeing,
        "readability": readability,
        "quality": quality(accuracy=accuracy, completed=completed, consistency=agreeing, readability=readability),
        "quality_formula": 1,
        "tokens_per_correct_answer": tokens / right if right else None,
        "seconds_per_correct_answer": seconds * len(answers) / right if right else None,
    }
    samples = _timed_calls(answers, seconds, random) if workload.task != "text" else ()
    breakdowns = tuple(_breakdowns(items, scores))
    return Measured(Figures(**figures), seconds * len(answers), samples, answers, breakdowns)


def _common(spec: JobSpec, *, extra_gib: float) -> dict[str, Any]:
    parameters = builtin_models()[spec.model].parameters or 0
    weights = int(parameters * _BYTES[spec.precision])
    on_device = weights + int(extra_gib * _GIB)
    return {
        "weights_bytes": weights,
        "peak_device_memory_bytes": on_device,
        "peak_process_memory_bytes": on_device + int(0.6 * _GIB),
    }


def _answers(spec: JobSpec, workload: Workload, item: Item, random: np.random.Generator) -> list[Answer]:
    temperature = spec.temperature or 0.0
    strategy = spec.strategy or ""
    best = _BEST_TEMPERATURE.get(strategy, 0.2)
    logit = _ABILITY[spec.model] + _EASE.get(workload.name, 0.0) + _GAIN.get((strategy, workload.name), 0.0)
    logit -= 0.5 * ((item.level or 2) - 2) + _LOSS.get(spec.precision, 0.0) + 1.2 * (temperature - best) ** 2
    # Most of what makes an item hard is the same for all who are asked.
    luck = 1.1 * _fixed(item.id) + 0.6 * _fixed(item.id, spec.model, strategy)
    return [
        _answer(spec, workload, item, sample, logit + luck + 0.9 * temperature * random.normal() > 0, random)
        for sample in range(spec.samples)
    ]


@cache
def _fixed(*names: str) -> float:
    """Return a number between -2 and 2 that stands for these names."""
    digest = sha256("\n".join(names).encode()).digest()
    return 4 * (sum(digest[:4]) / 1020 - 0.5)


def _answer(
    spec: JobSpec, workload: Workload, item: Item, sample: int, right: bool, random: np.random.Generator
) -> Answer:
    expected = item.answer if isinstance(item.answer, str) else item.answer[0]
    given = expected if right else f"another answer {int(random.integers(1, 4))}"
    tokens = max(int(40 * _LONGER.get(spec.strategy or "", 1.0) * (1 + 0.3 * _fixed(item.id))), 4)
    thoughts = 300 + int(120 * _fixed(item.id, "thoughts")) if spec.model == _THINKER else None
    cut = "length" if not right and random.random() < 0.08 else "stop"
    prose = _READABILITY[spec.strategy or "direct"] + 6 * _fixed(item.id, "prose") if workload.prose else None
    return Answer(
        item_id=item.id,
        sample=sample,
        text=f"Synthetic. Answer: {given}",
        extracted=given,
        score=float(right),
        prompt_tokens=len(item.prompt) // 4 + 12,
        new_tokens=tokens + (thoughts or 0),
        finish=cut,
        thinking_tokens=thoughts,
        readability=prose,
        language="en" if workload.task == "speech" else None,
    )


def _extracted(answers: tuple[Answer, ...], item_id: str) -> list[str | None]:
    return [each.extracted for each in answers if each.item_id == item_id]


def _seconds_an_answer(spec: JobSpec, answers: tuple[Answer, ...], factor: float) -> float:
    if spec.model in _SECONDS:
        usual = builtin_models()[spec.model].precision in (spec.precision, "bfloat16")
        return _SECONDS[spec.model] * factor * (1.0 if usual else 0.8 if spec.precision == "float16" else 1.5)
    decode, _ = _SPEED[spec.model, spec.precision]
    # Answers are generated in batches, which takes a third of the time.
    return factor * sum(each.new_tokens for each in answers) / len(answers) / decode / 3


def _timed_calls(answers: tuple[Answer, ...], seconds: float, random: np.random.Generator) -> tuple[Sample, ...]:
    return tuple(
        Sample(
            iteration=n,
            batch_size=1,
            prompt_tokens=each.prompt_tokens,
            new_tokens=each.new_tokens,
            latency_seconds=seconds * float(np.exp(random.normal(0, 0.08))),
        )
        for n, each in enumerate(answers)
    )


def _breakdowns(items: tuple[Item, ...], scores: dict[str, list[float]]) -> list[Breakdown]:
    parts: dict[tuple[Any, str], dict[str, list[float]]] = {}
    for item in items:
        for by, value in (("level", item.level), ("language", item.language)):
            if value is not None:
                parts.setdefault((by, str(value)), {})[item.id] = scores[item.id]
    found = []
    for (by, value), asked in parts.items():
        accuracy, stderr = mean_and_stderr(asked)
        found.append(Breakdown(by=by, value=value, items=len(asked), accuracy=accuracy, accuracy_stderr=stderr))
    return found
