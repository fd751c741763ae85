"""The statements of a report. Each is shown in it, so that anyone can run it again with `benchbeat sql`."""

from collections.abc import Mapping, Sequence

from db.report_scope import Scope, listed, literal

#: imported figures are of other tools' making, and are left out
OURS = "source = 'benchbeat'"
#: what benchbeat itself costs, imported from `make bench`
COSTS = "make-bench"
#: points of a history line
LINE_RUNS = 400
#: changes and failures that are listed
_MOST = 200

_RUN = """h.run_id, h.series, h.started_at, h.model, h.task, h.workload, h.strategy, h.temperature, h.top_p,
    h.precision, h.attention, h.compile, h.batch_size, h.prompt_tokens, h.new_tokens, h.samples, h.device,
    h.device_name, h.machine, h.iterations, h.items, h.accuracy, h.accuracy_stderr, h.consistency,
    h.readability, h.quality, h.word_error_rate, h.real_time_factor, h.decode_tokens_per_second,
    h.prefill_tokens_per_second, h.ttft_seconds, h.latency_seconds, h.latency_low_seconds,
    h.latency_high_seconds, h.inter_token_p50_seconds, h.inter_token_p99_seconds,
    h.peak_process_memory_bytes, h.peak_device_memory_bytes, h.weights_bytes, h.contaminated"""
_MEMORY = "coalesce(h.peak_device_memory_bytes, h.peak_process_memory_bytes) AS memory_bytes"


def environments(scope: Scope) -> str:
    """Return what was measured where, and with which versions; each row has the sums over its source too."""
    kept = "source, machine, device, device_name, os_build, torch_version, transformers_version, benchbeat_version"
    return f"""SELECT {kept},
    count(*) AS runs, sum(CASE WHEN contaminated THEN 1 ELSE 0 END) AS disturbed_runs,
    min(run_id) AS first_run_id, max(run_id) AS last_run_id,
    min(started_at) AS first_run_at, max(started_at) AS last_run_at,
    CAST(sum(count(*)) OVER (PARTITION BY source) AS bigint) AS all_runs,
    CAST(sum(sum(CASE WHEN contaminated THEN 1 ELSE 0 END)) OVER (PARTITION BY source) AS bigint) AS all_disturbed_runs
FROM history
WHERE {scope.where()}
GROUP BY {kept}
ORDER BY first_run_at, first_run_id"""


def speed_runs(scope: Scope) -> str:
    """Return the last clean run of each series: what speed and memory are read from."""
    return _last_runs(scope, "latest", "NOT contaminated")


def answer_runs(scope: Scope) -> str:
    """Return the last run of each series that was asked something: a disturbance leaves answers as they are."""
    return _last_runs(scope, "newest", "items IS NOT NULL")


def _last_runs(scope: Scope, view: str, condition: str) -> str:
    if not scope.is_cut:
        return f"""SELECT {_RUN},
    {_MEMORY}
FROM {view} h
WHERE {scope.where("h")} AND h.{OURS} AND {condition}
ORDER BY h.run_id"""
    return f"""SELECT {_RUN},
    {_MEMORY}
FROM (SELECT g.*, row_number() OVER (PARTITION BY series ORDER BY started_at DESC, run_id DESC) AS age
    FROM history g WHERE {scope.where("g")} AND g.{OURS} AND {condition}) h
WHERE h.age = 1
ORDER BY h.run_id"""


def pairs(couples: Sequence[tuple[int, int]], metric: str) -> str:
    """Return the difference of pairs of runs (baseline, run) in the mean of a score over their common items."""
    ids = sorted({run for pair in couples for run in pair})
    wanted = ", ".join(f"({before}, {after})" for before, after in couples) or "(NULL, NULL)"
    return f"""WITH pair(baseline_run_id, run_id) AS (VALUES {wanted}),
given AS (SELECT run_id, item_id, avg({metric}) AS value FROM answers
    WHERE run_id IN {listed(ids)} AND {metric} IS NOT NULL GROUP BY run_id, item_id)
SELECT p.baseline_run_id, p.run_id, count(*) AS items, avg(a.value) AS baseline, avg(b.value) AS value,
    avg(b.value - a.value) AS gain
FROM pair p
JOIN given a ON a.run_id = p.baseline_run_id
JOIN given b ON b.run_id = p.run_id AND b.item_id = a.item_id
GROUP BY p.baseline_run_id, p.run_id
ORDER BY p.baseline_run_id, p.run_id"""


def column_pairs(couples: Sequence[tuple[int, int]], metric: str) -> str:
    """Return the difference of pairs of runs (baseline, run) in a figure of the whole run."""
    wanted = ", ".join(f"({before}, {after})" for before, after in couples) or "(NULL, NULL)"
    ids = sorted({run for pair in couples for run in pair})
    return f"""WITH pair(baseline_run_id, run_id) AS (VALUES {wanted}),
run AS (SELECT run_id, items, {metric} FROM history WHERE run_id IN {listed(ids)} AND {metric} IS NOT NULL)
SELECT p.baseline_run_id, p.run_id, b.items, a.{metric} AS baseline, b.{metric} AS value,
    b.{metric} - a.{metric} AS gain
FROM pair p
JOIN run a ON a.run_id = p.baseline_run_id
JOIN run b ON b.run_id = p.run_id
ORDER BY p.baseline_run_id, p.run_id"""


def timed_calls(run_ids: Sequence[int]) -> str:
    """Return the rates of the timed calls of runs."""
    return f"""SELECT run_id, iteration, decode_tokens_per_second
FROM samples
WHERE run_id IN {listed(run_ids)} AND decode_tokens_per_second IS NOT NULL
ORDER BY run_id, iteration"""


def token_gaps(run_ids: Sequence[int]) -> str:
    """Return the gaps between tokens in the first timed calls of runs."""
    return f"""SELECT run_id, iteration, inter_token_seconds
FROM samples
WHERE run_id IN {listed(run_ids)} AND inter_token_seconds IS NOT NULL AND iteration < 20
ORDER BY run_id, iteration"""


def changes(scope: Scope) -> str:
    """Return the changes of level that stand, the newest first."""
    return f"""SELECT change_id, series, metric, state, kind, model, workload, precision, prompt_tokens, new_tokens,
    device, machine, level_before, level_after, ratio, ratio_low, ratio_high, changed_at, last_run_id, first_run_id
FROM changes
WHERE {scope.where(time="changed_at")} AND state IN ('confirmed', 'suspected')
ORDER BY changed_at DESC, change_id DESC
LIMIT {_MOST}"""


def line(scope: Scope, series: str) -> str:
    """Return the last runs of a series, the newest first."""
    return f"""SELECT run_id, started_at, latency_seconds, latency_low_seconds, latency_high_seconds, contaminated
FROM history
WHERE series = {literal(series)} AND {scope.where()} AND latency_seconds IS NOT NULL
ORDER BY started_at DESC, run_id DESC
LIMIT {LINE_RUNS}"""


def nights(scope: Scope) -> str:
    """Return what became of the days on which a schedule was due, the newest first."""
    where = Scope(scope.since, scope.until).where("f", time="due_at")
    if scope.batches:
        where += f" AND f.batch IN {listed(scope.batches)}"
    return f"""SELECT substr(CAST(f.due_at AS text), 1, 10) AS day, count(*) AS firings,
    sum(CASE WHEN f.outcome IN ('missed', 'overlapped', 'refused') THEN 1 ELSE 0 END) AS not_run,
    CAST(coalesce(sum(b.done), 0) AS bigint) AS done, CAST(coalesce(sum(b.failed), 0) AS bigint) AS failed
FROM firings f
LEFT JOIN batches b ON b.batch = f.batch
WHERE {where}
GROUP BY substr(CAST(f.due_at AS text), 1, 10)
ORDER BY day DESC
LIMIT 400"""


def failures(scope: Scope) -> str:
    """Return why jobs failed, by model."""
    where = Scope(scope.since, scope.until, scope.batches, (), scope.models).where(time="queued_at")
    return f"""SELECT model, error, count(*) AS jobs, max(job_id) AS last_job_id
FROM jobs
WHERE state = 'failed' AND {where}
GROUP BY model, error
ORDER BY jobs DESC, model, last_job_id
LIMIT {_MOST}"""


def chosen_from(runs: Mapping[str, Sequence[int]]) -> str:
    """Return how many runs, and how many models, stand behind each of some choices, by the choice's name."""
    chosen = ", ".join(f"({literal(name)}, {run_id})" for name, ids in runs.items() for run_id in ids)
    return f"""WITH chosen(choice, run_id) AS (VALUES {chosen})
SELECT c.choice, count(*) AS runs, count(DISTINCT h.model) AS models
FROM chosen c JOIN history h ON h.run_id = c.run_id
GROUP BY c.choice"""


def disturbed_nights(scope: Scope) -> str:
    """Return the runs of schedules by day, and how many were disturbed."""
    return f"""SELECT substr(CAST(started_at AS text), 1, 10) AS day, count(*) AS runs,
    sum(CASE WHEN contaminated THEN 1 ELSE 0 END) AS disturbed_runs
FROM history
WHERE schedule IS NOT NULL AND {scope.where()}
GROUP BY substr(CAST(started_at AS text), 1, 10)
ORDER BY day DESC
LIMIT 400"""


def costs(scope: Scope) -> str:
    """Return what benchbeat itself costs: the last run of each figure, with what was measured beside it."""
    kept = """h.run_id, h.machine, h.workload, h.items, h.iterations, h.latency_seconds"""
    beside = ("figure", "beside", "beside_seconds", "ratio", "ratio_low", "ratio_high", "goal_met")
    values = ",\n    ".join(f"max(CASE WHEN m.name = '{name}' THEN m.value END) AS {name}" for name in beside)
    newest = (
        f"latest h WHERE {scope.where('h')} AND h.source = '{COSTS}'"
        if not scope.is_cut
        else f"""(SELECT g.*, row_number() OVER (PARTITION BY series ORDER BY started_at DESC, run_id DESC) AS age
        FROM history g WHERE {scope.where("g")} AND g.source = '{COSTS}') h WHERE h.age = 1"""
    )
    return f"""WITH h AS (SELECT h.* FROM {newest})
SELECT {kept},
    {values},
    max(CASE WHEN m.name = 'figure' THEN m.filter END) AS unit
FROM h
JOIN metrics m ON m.run_id = h.run_id
GROUP BY {kept}
ORDER BY h.machine, h.run_id"""
