"""The columns of the views with what they hold, so that a filter's value can be read and a wrong name told."""

import json
from datetime import UTC, datetime
from typing import Any, Literal

Kind = Literal["text", "integer", "number", "boolean", "time", "json"]

_INTEGERS = """
    run_id job_id batch max_new_tokens seed batch_size prompt_tokens new_tokens session_position iterations items
    top_k samples threads quality_formula runs contaminated_runs iteration level sample memory_mib priority attempt
    failures repeat_of jobs queued running done failed cancelled
    peak_device_memory_bytes peak_process_memory_bytes weights_bytes
    """
_NUMBERS = """
    temperature top_p repetition_penalty prefill_tokens_per_second decode_tokens_per_second
    model_bandwidth_utilization energy_joules accuracy accuracy_stderr consistency readability quality
    word_error_rate real_time_factor completed answer_tokens thinking_tokens tokens_per_correct_answer
    seconds_per_correct_answer score
    """
_WORDS: dict[Kind, str] = {
    "boolean": "compile git_dirty contaminated cancel_requested",
    "json": "labels libraries",
    "integer": _INTEGERS,
    "number": _NUMBERS,
}
_NAMED = {name: kind for kind, names in _WORDS.items() for name in names.split()}

_HISTORY = """
    run_id job_id batch schedule series started_at finished_at machine device model revision task workload strategy
    temperature top_p max_new_tokens seed precision attention compile batch_size prompt_tokens new_tokens source
    os_build torch_version transformers_version benchbeat_version git_commit git_dirty session session_position
    iterations load_seconds first_call_seconds ttft_seconds prefill_tokens_per_second decode_tokens_per_second
    inter_token_p50_seconds inter_token_p99_seconds latency_seconds latency_low_seconds latency_high_seconds
    model_bandwidth_utilization peak_device_memory_bytes peak_process_memory_bytes weights_bytes energy_joules items
    accuracy accuracy_stderr consistency readability quality word_error_rate real_time_factor contaminated contamination
    batch_name device_name top_k repetition_penalty samples quantiser cache isolation python_version driver threads
    libraries quality_formula completed answer_tokens thinking_tokens tokens_per_correct_answer
    seconds_per_correct_answer chat_template labels duration_seconds
    """
_COLUMNS = {
    "history": _HISTORY,
    "latest": _HISTORY,
    "series": """
    series model revision task workload strategy temperature top_p precision attention batch_size prompt_tokens
    new_tokens device machine runs contaminated_runs first_run_at last_run_at definition
    """,
    "samples": """
    run_id iteration batch_size prompt_tokens new_tokens ttft_seconds latency_seconds decode_tokens_per_second
    prefill_tokens_per_second inter_token_seconds
    """,
    "answers": """
    run_id job_id batch model workload strategy temperature item_id level language sample prompt expected text
    extracted score prompt_tokens new_tokens finish thinking_tokens readability precision machine series contaminated
    """,
    "breakdowns": """
    run_id batch model workload strategy temperature precision by value items accuracy accuracy_stderr series
    contaminated
    """,
    "metrics": """
    run_id batch model workload precision task name filter value stderr series contaminated
    """,
    "jobs": """
    job_id batch batch_name state model workload strategy temperature precision prompt_tokens new_tokens device machine
    queue memory_mib priority attempt failures worker run_id error repeat_of reason queued_at started_at finished_at
    cancel_requested progress spec labels waited_seconds duration_seconds
    """,
    "attempts": "job_id attempt worker machine started_at finished_at outcome error stderr",
    "batches": "batch name key priority created_at jobs queued running done failed cancelled labels",
}


def _kind(view: str, name: str) -> Kind:
    if name in _NAMED:
        return _NAMED[name]
    if name.endswith("_at"):
        return "time"
    # the gaps between tokens are a list, and a part of a run is named by a word
    is_number = name.endswith("_seconds") and name != "inter_token_seconds"
    return "number" if is_number or (view == "metrics" and name in ("value", "stderr")) else "text"


#: what each column of each view holds, in the view's order
KINDS: dict[str, dict[str, Kind]] = {
    view: {name: _kind(view, name) for name in names.split()} for view, names in _COLUMNS.items()
}


def plain(value: Any, kind: Kind) -> Any:
    """Return a value as both databases would give it: times and JSON as text (UTC, milliseconds), booleans as such."""
    if value is None:
        return None
    if kind == "boolean":
        return bool(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    if kind == "json":
        # each database has an order of its own
        found = json.loads(value) if isinstance(value, str) else value
        return json.dumps(found, sort_keys=True, ensure_ascii=False)
    return value
