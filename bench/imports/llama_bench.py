"""A row of llama-bench as a run of ours.

llama-bench (llama.cpp) times three kinds of test: the processing of a prompt (pp512), the generation of tokens (tg128)
and both after each other (pp512+tg128), each perhaps behind a context that is there already (@ d4096) and that no time
is counted for. docs/import.md has the mapping as a table.
"""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from bench.errors import InputError
from bench.imports.fields import INT64, Fields, as_number, out_of_bounds
from bench.imports.llama_names import cache_of, device_of, model_of, precision_of
from bench.imports.records import UNKNOWN, Imported, one_line
from bench.results import Environment, Figures, Sample
from bench.statistics import median, median_interval
from bench.workloads import Workload, builtin_workloads

#: what a row of llama-bench has, whatever its version
MARKS = frozenset({"n_prompt", "n_gen", "model_filename"})

#: what is read by name below, or explains a change and is no part of a series
_READ = frozenset(
    {
        *("build_commit", "build_number", "cpu_info", "gpu_info", "backends", "model_filename", "model_type"),
        *("model_size", "n_prompt", "n_gen", "type_k", "type_v", "flash_attn", "test_time", "avg_ns", "stddev_ns"),
        *("model_n_params", "avg_ts", "stddev_ts", "samples_ns", "samples_ts"),
        *("cuda", "opencl", "vulkan", "kompute", "metal", "sycl", "rpc", "gpu_blas", "blas"),
    }
)
_MEASURED = frozenset({"samples_ns", "samples_ts"})
#: settings at these values are left out of a series' key: a newer llama.cpp, which has more of them, goes on with it
_NEUTRAL = frozenset({"", "0", "-1", "none", "auto"})
_USUAL: dict[str, frozenset[str]] = {
    "n_batch": frozenset({"2048"}),
    "n_ubatch": frozenset({"512"}),
    "poll": frozenset({"50"}),
    "cpu_mask": frozenset({"0x0"}),
    "split_mode": frozenset({"layer"}),
    "tensor_split": frozenset({"", "0.00"}),
    "load_mode": frozenset({"auto", "mmap"}),
    **dict.fromkeys(("repack", "use_mmap", "mul_mat_q", "f16_kv"), frozenset({"1"})),
}
#: these say something at any value
_ALWAYS = frozenset({"n_gpu_layers", "n_threads"})

_ATTENTION = {"1": "flash", "0": "plain", "-1": "auto"}
#: three years
_MOST_NS = 1e17


def read_row(fields: Mapping[str, Any], place: str, position: int) -> Imported:
    """Return the run that a row tells of; numbers may be texts, as in SQL. Raises InputError where it tells none."""
    row = Fields(fields, place)
    prompt, generated = row.whole("n_prompt"), row.whole("n_gen")
    if not prompt and not generated:
        raise InputError("n_prompt and n_gen are both 0, so nothing was measured", where=place)
    test = _Test(row, prompt, generated, row.whole("n_depth", missing=0))
    device, device_name = device_of(row)
    started_at = _moment(row)
    return Imported(
        source="llama-bench",
        place=place,
        position=position,
        model=model_of(row),
        workload=test.workload(),
        precision=precision_of(row),
        device=device,
        device_name=device_name,
        batch_size=1,
        environment=_environment(row),
        figures=test.figures(row.whole("model_size", most=INT64, missing=0) or None),
        started_at=started_at,
        finished_at=started_at + test.measured_seconds,
        attention=_ATTENTION.get(row.setting("flash_attn") or "", UNKNOWN),
        cache=cache_of(row),
        prompt_tokens=test.prompt_tokens,
        new_tokens=generated,
        settings=_settings(fields, row, test.kind),
        told={"test": test.name} | {name: value for name, value in fields.items() if name not in _MEASURED},
        readings=test.readings,
    )


class _Test:
    """What was timed: the lengths, and the readings where the row has them."""

    def __init__(self, row: Fields, prompt: int, generated: int, depth: int) -> None:
        self.prompt, self.generated, self.depth = prompt, generated, depth
        self.kind = "pp" if not generated else "pp+tg" if prompt else "tg"
        self._rate = _rate_column(self.kind)
        for mean in ("avg_ns", "avg_ts"):
            if row.values.get(mean) is not None:
                row.positive(mean, least=1e-9, most=_MOST_NS)
        readings = _readings(row)
        self.readings = tuple(self._sample(number, ns / 1e9) for number, ns in enumerate(readings))
        #: of the mean where that is all there is
        self._mean_seconds = None if readings else row.positive("avg_ns", least=1, most=_MOST_NS) / 1e9
        self._mean_rate = None if row.values.get("avg_ts") is None else row.number("avg_ts")

    @property
    def name(self) -> str:
        """The test as llama-bench names it: `pp512`, `tg128 @ d4096`."""
        parts = [f"{kind}{n}" for kind, n in (("pp", self.prompt), ("tg", self.generated)) if n]
        return "+".join(parts) + (f" @ d{self.depth}" if self.depth else "")

    @property
    def prompt_tokens(self) -> int:
        """What was in the context when the first token was generated, as far as this test put it there or found it."""
        return self.prompt or self.depth

    @property
    def measured_seconds(self) -> float:
        """All that was timed; of the mean, where that is all there is, one."""
        return self._mean_seconds or math.fsum(each.latency_seconds for each in self.readings)

    def workload(self) -> Workload:
        """Return our workload `speed`; a prompt behind a context that was there before is work of another kind."""
        return _speed(self.depth if self.prompt else 0)

    def figures(self, weights_bytes: int | None) -> Figures:
        """Return medians of the readings with their interval; the tool's own means where there are none."""
        seconds = [each.latency_seconds for each in self.readings]
        latency = median(seconds) if seconds else self._mean_seconds
        low, high = median_interval(seconds) or (None, None) if seconds else (None, None)
        # What is in the context of a tg test got there in no time, so it is no whole answer that was timed.
        is_whole = not (self.kind == "tg" and self.depth)
        return Figures(
            iterations=len(seconds) or 1,
            latency_seconds=latency if is_whole else None,
            latency_low_seconds=low if is_whole else None,
            latency_high_seconds=high if is_whole else None,
            weights_bytes=weights_bytes,
            **self._rates(latency),
        )

    def _rates(self, seconds: float | None) -> dict[str, float]:
        if self._rate is None or seconds is None:
            return {}
        tokens = self.prompt or self.generated
        rate = median([tokens / each.latency_seconds for each in self.readings]) if self.readings else self._mean_rate
        return {self._rate: rate or tokens / seconds}

    def _sample(self, iteration: int, seconds: float) -> Sample:
        rate = {self._rate: (self.prompt or self.generated) / seconds} if self._rate else {}
        return Sample(
            iteration=iteration,
            batch_size=1,
            prompt_tokens=self.prompt_tokens,
            new_tokens=self.generated,
            latency_seconds=seconds,
            **rate,
        )


@lru_cache(maxsize=256)
def _speed(depth: int) -> Workload:
    speed = builtin_workloads()["speed"]
    if not depth:
        return speed
    description = f"Processes a prompt behind {depth} tokens of context, as llama-bench does."
    return speed.model_copy(update={"name": f"speed@d{depth}", "description": description})


def _rate_column(kind: str) -> str | None:
    """Return the column of a test's tokens per second; of both kinds of tokens together there is none."""
    return {"pp": "prefill_tokens_per_second", "tg": "decode_tokens_per_second"}.get(kind)


def _readings(row: Fields) -> Sequence[float]:
    """Return the times of a row in nanoseconds; none where it has only their mean."""
    given = row.values.get("samples_ns")
    if given is None:
        return ()
    if not isinstance(given, list) or not given:
        raise InputError("samples_ns must be a list of times", where=row.place)
    times = []
    for number, each in enumerate(given, start=1):
        time = as_number(each)
        problem = "must be a number" if time is None else out_of_bounds(time, 1, _MOST_NS)
        if time is None or problem:
            raise InputError(f"samples_ns: reading {number} {problem} (it is {str(each)[:100]})", where=row.place)
        times.append(time)
    return times


def _moment(row: Fields) -> float:
    """Return when the test began: llama-bench's UTC time, to the second."""
    text = row.text("test_time")
    if not text:
        raise InputError("test_time is missing", where=row.place)
    try:
        moment = datetime.fromisoformat(text)
        began = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise InputError(f"test_time must be a time (it is {text[:100]!r})", where=row.place) from None
    if began < 0:
        raise InputError(f"test_time must be after 1970 (it is {text[:100]!r})", where=row.place)
    return began


def _environment(row: Fields) -> Environment:
    number, commit = row.text("build_number"), row.text("build_commit")
    build = f"build {number} ({commit})" if number and commit else f"build {number or commit or UNKNOWN}"
    return Environment(
        os_build=UNKNOWN,
        python_version=UNKNOWN,
        torch_version=UNKNOWN,
        transformers_version=UNKNOWN,
        benchbeat_version=UNKNOWN,
        threads=row.whole("n_threads", missing=0) or None,
        libraries={"llama.cpp": one_line(build)},
    )


def _settings(fields: Mapping[str, Any], row: Fields, kind: str) -> dict[str, str]:
    """Return the settings that are unusual, and those that say something at any value."""
    settings = {"test": kind}
    for name, given in fields.items():
        # A list is no setting, whatever a newer llama-bench puts there.
        value = None if name in _READ or isinstance(given, dict | list) else row.setting(name)
        if value is not None and _tells(name, value):
            settings[name] = one_line(value)
    if parameters := row.whole("model_n_params", most=INT64, missing=0):
        settings["model_n_params"] = str(parameters)
    return settings


@lru_cache(maxsize=1024)
def _tells(name: str, value: str) -> bool:
    """Whether a setting tells two series apart."""
    is_usual = value in _USUAL.get(name, _NEUTRAL) and name not in _ALWAYS
    return not is_usual and re.fullmatch(r"\w{1,60}", name) is not None
