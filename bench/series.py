"""The series key: what must be equal for two runs to be compared."""

from typing import Any

from bench.results import Resolved
from bench.spec import JobSpec, hash_of

#: fields that joined the key later, with the value at which they are left out, so that old keys stay what they were
_LATER: dict[str, Any] = {
    "chat_template_hash": None,
    "word_timestamps": False,
    "detect_language": False,
    "processes": 1,
}


def series_definition(
    spec: JobSpec, resolved: Resolved, *, workload_hash: str, machine: str
) -> dict[str, str | int | float | bool | None]:
    """Return the key of a run in the resolved values: checkpoints and libraries bring defaults of their own.

    Versions are not in it: they explain a change within a series.
    """
    definition: dict[str, Any] = {
        "model": spec.model,
        "revision": resolved.revision,
        "workload": spec.workload,
        "workload_hash": workload_hash,
        "items": spec.items,
        "items_seed": spec.items_seed,
        "samples": spec.samples,
        "strategy": spec.strategy,
        "strategy_hash": resolved.strategy_hash,
        "chat_template_hash": resolved.chat_template_hash,
        "temperature": resolved.temperature,
        "top_p": resolved.top_p,
        "top_k": resolved.top_k,
        "repetition_penalty": resolved.repetition_penalty,
        "max_new_tokens": resolved.max_new_tokens,
        "seed": spec.seed,
        "prompt_tokens": spec.prompt_tokens,
        "new_tokens": spec.new_tokens,
        "precision": spec.precision,
        "quantiser": resolved.quantiser,
        "attention": resolved.attention or spec.attention,
        "compile": spec.compile,
        "cache": spec.cache,
        "batch_size": spec.batch_size,
        "isolation": spec.isolation,
        "processes": spec.processes,
        "word_timestamps": spec.word_timestamps,
        "detect_language": spec.detect_language,
        "device": resolved.device,
        "machine": machine,
    }
    return {name: value for name, value in definition.items() if name not in _LATER or value != _LATER[name]}


def series_hash(definition: dict[str, Any]) -> str:
    """SHA-256 of a series' definition, in hex."""
    return hash_of(definition)
