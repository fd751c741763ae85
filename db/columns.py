"""The columns of the views with what they hold, so that a filter's value can be read and a wrong name told."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

Kind = Literal["text", "integer", "number", "boolean", "time", "json"]

_INTEGERS = """
    run_id job_id batch max_new_tokens seed batch_size prompt_tokens new_tokens session_position iterations items
    top_k samples threads quality_formula runs contaminated_runs iteration level sample memory_mib priority attempt
    failures repeat_of jobs queued running done failed cancelled processes process warmup_iterations
    peak_device_memory_bytes peak_process_memory_bytes weights_bytes readings cores swapped_bytes
    change_id first_run_id last_run_id extra_runs tries
    """
_NUMBERS = """
    temperature top_p repetition_penalty prefill_tokens_per_second decode_tokens_per_second
    model_bandwidth_utilization energy_joules accuracy accuracy_stderr consistency readability quality
    word_error_rate real_time_factor completed answer_tokens thinking_tokens tokens_per_correct_answer
    seconds_per_correct_answer score energy_joules_per_token others_mean_cores others_max_cores others_busy_cores
    stolen_mean_cores gpu_others_mean gpu_others_max gpu_max_celsius
    level_before level_after ratio ratio_low ratio_high log_evidence
    """
_WORDS: dict[Kind, str] = {
    "boolean": """
    compile git_dirty contaminated cancel_requested word_timestamps detect_language paused warm judged low_power
    """,
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
    seconds_per_correct_answer chat_template labels duration_seconds word_timestamps detect_language
    samples_pruned_at processes process_latency_low_seconds process_latency_high_seconds warmup_iterations warm
    energy_joules_per_token energy_source
    """
_COLUMNS = {
    "history": _HISTORY,
    "latest": _HISTORY,
    "newest": _HISTORY,
    "series": """
    series model revision task workload strategy temperature top_p precision attention batch_size prompt_tokens
    new_tokens device machine runs contaminated_runs first_run_at last_run_at definition
    """,
    "samples": """
    run_id iteration batch_size prompt_tokens new_tokens ttft_seconds latency_seconds decode_tokens_per_second
    prefill_tokens_per_second inter_token_seconds process
    """,
    "answers": """
    run_id job_id batch model workload strategy temperature item_id level language sample prompt expected text
    extracted score prompt_tokens new_tokens finish thinking_tokens readability precision machine series contaminated
    heard_language
    """,
    "breakdowns": """
    run_id batch model workload strategy temperature precision by value items accuracy accuracy_stderr series
    contaminated
    """,
    "metrics": """
    run_id batch model workload precision task name filter value stderr series contaminated
    """,
    "surroundings": """
    run_id job_id batch model workload machine device started_at contaminated contamination judged watched_seconds
    readings gate_waited_seconds cores others_mean_cores others_max_cores others_busy_seconds others_busy_cores
    stolen_mean_cores greediest gpu_others_mean gpu_others_max gpu_busy_seconds gpu_greediest gpu_slowed_by
    gpu_slowed_seconds gpu_max_celsius thermal throttled_seconds memory_pressure memory_stalled_seconds swapped_bytes
    power_source low_power slept_seconds clock_step_seconds witness_cpu_seconds series
    """,
    "changes": """
    change_id series metric state kind model workload strategy precision prompt_tokens new_tokens batch_size device
    machine level_before level_after ratio ratio_low ratio_high log_evidence changed_at last_run_id first_run_id run_id
    suspected_at decided_at extra_runs batch job_id
    """,
    "jobs": """
    job_id batch batch_name state model workload strategy temperature precision prompt_tokens new_tokens device machine
    queue memory_mib priority attempt failures worker run_id error repeat_of reason queued_at started_at finished_at
    cancel_requested progress spec labels waited_seconds duration_seconds
    """,
    "attempts": "job_id attempt worker machine started_at finished_at outcome error stderr",
    "batches": """
    batch name key priority created_at jobs queued running done failed cancelled labels schedule published_at
    """,
    "schedules": """
    schedule cron every_seconds timezone misfire grace_seconds overlap machine jobs paused paused_reason next_due_at
    created_at
    """,
    "firings": "schedule due_at decided_at outcome batch note late_seconds",
    "alerts": "batch schedule state decided_at title body tries error",
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


def plain_rows(rows: Iterable[Sequence[Any]], kinds: Sequence[Kind]) -> list[tuple[Any, ...]]:
    """Return rows as both databases would give them, column by column of a kind."""
    to_make = [(place, kind) for place, kind in enumerate(kinds) if kind in ("boolean", "json", "time")]
    made = []
    for row in rows:
        values = list(row)
        for place, kind in to_make:
            values[place] = plain(values[place], kind)
        made.append(tuple(values))
    return made
