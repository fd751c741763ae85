"""What the synthetic year asks for each night, and what happens in it."""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache

from bench.library import builtin_library
from bench.results import Environment
from bench.spec import JobSpec
from bench.sweep import Block, Sweep, expand
from db.submissions import NewBatch, NewJob
from scheduler.submit import prepare

#: every night: speed of text models, and what each model is for
NIGHTLY = """
[[sweep]]
model = ["qwen2.5-1.5b", "deepseek-r1-distill-qwen-1.5b"]
workload = "speed"
prompt_tokens = [128, 512]
new_tokens = 128

[[sweep]]
model = ["qwen2.5-1.5b", "deepseek-r1-distill-qwen-1.5b"]
workload = "speed"
precision = ["int8", "int4"]
prompt_tokens = 128
new_tokens = 128

[[sweep]]
model = "qwen2.5-1.5b"
workload = "speed"
precision = "float32"
prompt_tokens = 128
new_tokens = 128

[[sweep]]
model = "smollm2-135m"
workload = "speed"
precision = ["float32", "float16"]
prompt_tokens = 128
new_tokens = 128

[[sweep]]
model = "llama-3.2-3b"
workload = "speed"
prompt_tokens = 128
new_tokens = 128

[[sweep]]
model = ["qwen2.5-1.5b", "deepseek-r1-distill-qwen-1.5b"]
workload = "arithmetic"
strategy = ["direct", "chain_of_thought"]
temperature = 0.0
items = 40

[[sweep]]
model = ["blip-base", "blip2-2.7b"]
workload = "captions"
items = 20

[[sweep]]
model = "blip2-2.7b"
workload = "shapes"
items = 20

[[sweep]]
model = "deepseek-vl2-small"
workload = ["captions", "shapes"]
precision = "int4"
items = 20

[[sweep]]
model = "whisper-base"
workload = "dictation"
"""
#: on the first night of each month besides: strategies, temperatures and precisions, on many tasks
MONTHLY = """
[[sweep]]
model = ["qwen2.5-1.5b", "deepseek-r1-distill-qwen-1.5b"]
workload = ["arithmetic", "reasoning", "facts", "writing"]
strategy = ["direct", "chain_of_thought", "few_shot", "role_play", "structured"]
temperature = [0.0, 0.3, 0.5, 0.8]
items = 40

[[sweep]]
model = ["qwen2.5-1.5b", "deepseek-r1-distill-qwen-1.5b"]
workload = "patterns"
strategy = ["direct", "few_shot", "chain_of_thought"]
temperature = 0.5
items = 40
samples = 3

[[sweep]]
model = ["qwen2.5-1.5b", "deepseek-r1-distill-qwen-1.5b"]
workload = "arithmetic"
strategy = "direct"
temperature = 0.0
precision = ["int8", "int4"]
items = 40

[[sweep]]
model = ["qwen2.5-1.5b", "smollm2-135m"]
workload = "arithmetic"
strategy = "direct"
temperature = 0.0
precision = "float32"
items = 40

[[sweep]]
model = ["qwen2.5-1.5b", "deepseek-r1-distill-qwen-1.5b", "smollm2-135m"]
workload = "multilingual"
temperature = 0.0
items = 48

[[sweep]]
model = "smollm2-135m"
workload = ["facts", "writing"]
strategy = ["direct", "few_shot", "structured"]
temperature = [0.0, 0.3]
items = 40

[[sweep]]
model = ["qwen2.5-1.5b", "llama-3.2-3b"]
workload = ["instructions", "structure"]
temperature = 0.0
items = 40

[[sweep]]
model = "deepseek-vl2-small"
workload = ["charts", "text_in_image"]
precision = "int4"
items = 40

[[sweep]]
model = "blip-base"
workload = "captions"
precision = "float32"
items = 20

[[sweep]]
model = "whisper-base"
workload = "dictation"
precision = "float16"
"""

#: nights by what became of them, as parts of the year
MISSED = (0.06, 0.35, 0.352, 0.71)
OVERLAPPED = 0.49
#: every job failed: the device was lost
BROKEN = 0.55

_ENVIRONMENT = Environment(
    os_build="macOS 24.5.0 (24F74)",
    python_version="3.12.10",
    torch_version="2.7.0",
    transformers_version="4.52.4",
    benchbeat_version="0.7.0",
    git_commit="0" * 40,
    git_dirty=False,
    driver="Metal 3",
    threads=4,
    libraries={"launch": "launchd"},
)
#: since which part of the year what is new
_UPDATES: tuple[tuple[float, Mapping[str, str]], ...] = (
    (0.27, {"torch_version": "2.8.0"}),
    (0.58, {"os_build": "macOS 24.6.0 (24G84)"}),
    (0.70, {"transformers_version": "4.56.1"}),
    (0.84, {"torch_version": "2.9.0"}),
)


@dataclass(frozen=True)
class Shift:
    """A change of level, or what looks like one for a night."""

    #: part of the year
    at: float
    #: latency after / before
    ratio: float
    concerns: Callable[[JobSpec], bool]
    #: a refuted one is over the next night
    is_real: bool = True


SHIFTS = (
    Shift(0.27, 0.92, lambda spec: spec.precision == "float16" and spec.model != "smollm2-135m"),
    Shift(0.42, 1.05, lambda spec: (spec.model, spec.prompt_tokens) == ("qwen2.5-1.5b", 512), is_real=False),
    Shift(0.58, 1.07, lambda spec: spec.model == "smollm2-135m"),
    Shift(0.84, 0.88, lambda spec: spec.precision == "int4"),
)


def environment_at(part: float) -> Environment:
    """Return what the machine ran at a part of the year."""
    news = [update for since, update in _UPDATES if part >= since]
    changed: dict[str, str] = {}
    for update in news:
        changed |= update
    return _ENVIRONMENT.model_copy(update=changed)


@cache
def prepared(name: str, sweep: str) -> tuple[NewBatch, tuple[NewJob, ...]]:
    """Return the batch and the jobs that a sweep file's text stands for, for the synthetic machine, without media."""
    batch, jobs = prepare(_expanded(name, sweep))
    plain = {key: each.model_copy(update={"media": {}}) for key, each in batch.workloads.items()}
    return replace(batch, workloads=plain), tuple(jobs)


def _expanded(name: str, sweep: str) -> Sweep:
    blocks = [Block(each, lambda key: f"{name}: {key}") for each in tomllib.loads(sweep)["sweep"]]
    return expand(blocks, builtin_library(), name=name, priority=5, labels={"synthetic": "true"})
