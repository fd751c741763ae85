"""The views: the interface for everyone who asks in SQL.

A change here needs a migration (an empty one will do), since views are made anew by migrations only.
"""

from collections.abc import Iterator

from sqlalchemy import Connection, text

#: the views with a line about each and an example, in the order of `benchbeat sql`
VIEWS: dict[str, tuple[str, str]] = {
    "history": (
        "one row a run: what was measured, where and with what",
        "select model, workload, strategy, accuracy, accuracy_stderr from history order by run_id",
    ),
    "latest": (
        "the last clean run of each series, columns as in history",
        "select model, machine, decode_tokens_per_second from latest where workload = 'speed'",
    ),
    "newest": (
        "the last run of each series, disturbed or not, columns as in history",
        "select model, workload, strategy, accuracy from newest where accuracy is not null",
    ),
    "series": (
        "one row a series: the runs that may be compared",
        "select model, workload, strategy, runs from series order by runs desc",
    ),
    "samples": (
        "one row a timed call",
        "select run_id, iteration, latency_seconds from samples order by run_id, iteration",
    ),
    "answers": (
        "one row an answer: the question, what was expected, what came",
        "select prompt, expected, text from answers where score = 0 limit 10",
    ),
    "breakdowns": (
        "one row a level or language of a run",
        "select model, workload, strategy, value, accuracy from breakdowns where by = 'level'",
    ),
    "metrics": (
        "one row a figure of a foreign harness",
        "select model, task, name, value, stderr from metrics",
    ),
    "surroundings": (
        "one row a run: what else the machine did meanwhile",
        "select run_id, others_mean_cores, greediest, contamination from surroundings order by others_mean_cores desc",
    ),
    "changes": (
        "one row a change of level: suspected, confirmed or refuted",
        "select model, machine, ratio, changed_at from changes where state = 'confirmed' order by changed_at",
    ),
    "jobs": (
        "one row a job with its state",
        "select job_id, state, error from jobs where state = 'failed'",
    ),
    "attempts": (
        "one row a try of a job",
        "select job_id, attempt, outcome, stderr from attempts where outcome <> 'done'",
    ),
    "batches": (
        "one row a submission with its jobs counted by state",
        "select batch, name, jobs, done, failed from batches order by batch desc",
    ),
    "schedules": (
        "one row a schedule: when it is due, and next",
        "select schedule, cron, timezone, next_due_at from schedules where not paused",
    ),
    "firings": (
        "one row a due time of a schedule, and what became of it",
        "select schedule, due_at, outcome, batch, note from firings order by due_at desc",
    ),
    "alerts": (
        "one row a schedule's batch: what was told about it",
        "select batch, state, title, error from alerts order by batch desc",
    ),
}

_TIME = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', {0}, 'unixepoch')",
    "postgresql": "to_timestamp({0})",
}

# Every run has its batch, series and environment, so LEFT JOIN gives what JOIN would; but both databases leave out the
# one of which no column is asked for.
_HISTORY = """
SELECT r.id AS run_id, r.job_id, r.batch_id AS batch, r.schedule, substr(k.hash, 1, 16) AS series,
    {started_at} AS started_at, {finished_at} AS finished_at, r.machine_id AS machine, r.device, r.model, r.revision,
    r.task, r.workload, r.strategy, r.temperature, r.top_p, r.max_new_tokens, r.seed, r.precision, r.attention,
    r.compile, r.batch_size, r.prompt_tokens, r.new_tokens, r.source, e.os_build, e.torch_version,
    e.transformers_version, e.benchbeat_version, e.git_commit, e.git_dirty, r.session, r.session_position,
    r.iterations, r.load_seconds, r.first_call_seconds, r.ttft_seconds, r.prefill_tokens_per_second,
    r.decode_tokens_per_second, r.inter_token_p50_seconds, r.inter_token_p99_seconds, r.latency_seconds,
    r.latency_low_seconds, r.latency_high_seconds, r.model_bandwidth_utilization, r.peak_device_memory_bytes,
    r.peak_process_memory_bytes, r.weights_bytes, r.energy_joules, r.items, r.accuracy, r.accuracy_stderr,
    r.consistency, r.readability, r.quality, r.word_error_rate, r.real_time_factor, r.contaminated, r.contamination,
    b.name AS batch_name, r.device_name, r.top_k, r.repetition_penalty, r.samples, r.quantiser, r.cache, r.isolation,
    e.python_version, e.driver, e.threads, e.libraries, r.quality_formula, r.completed, r.answer_tokens,
    r.thinking_tokens, r.tokens_per_correct_answer, r.seconds_per_correct_answer, r.chat_template, b.labels,
    r.finished_at - r.started_at AS duration_seconds, r.word_timestamps, r.detect_language,
    {samples_pruned_at} AS samples_pruned_at, r.processes, r.process_latency_low_seconds,
    r.process_latency_high_seconds, r.warmup_iterations, r.warm, r.energy_joules_per_token, r.energy_source
FROM run r
LEFT JOIN batch b ON b.id = r.batch_id
LEFT JOIN series_key k ON k.id = r.series_id
LEFT JOIN environment e ON e.id = r.environment_id
"""

# One probe a series, not one a run.
_NEWEST = _HISTORY.replace(
    """FROM run r
LEFT JOIN batch b ON b.id = r.batch_id
LEFT JOIN series_key k ON k.id = r.series_id
""",
    """FROM series_key k
JOIN run r ON r.id = (SELECT l.id FROM run l WHERE l.series_id = k.id
    ORDER BY l.started_at DESC, l.id DESC LIMIT 1)
LEFT JOIN batch b ON b.id = r.batch_id
""",
)
# Of the key, so that only series are probed of which these are asked for.
for _column in ("machine_id AS", "model,", "workload,"):
    _NEWEST = _NEWEST.replace(f"r.{_column}", f"k.{_column}")
_LATEST = _NEWEST.replace("l.series_id = k.id\n", "l.series_id = k.id AND NOT l.contaminated\n")

# Each figure by itself, so that whoever asks for some series, or for some columns, pays for these alone.
_SERIES = """
SELECT substr(k.hash, 1, 16) AS series, k.model, l.revision, l.task, k.workload, l.strategy, l.temperature, l.top_p,
    l.precision, l.attention, l.batch_size, l.prompt_tokens, l.new_tokens, l.device, k.machine_id AS machine,
    (SELECT count(*) FROM run c WHERE c.series_id = k.id) AS runs,
    (SELECT count(*) FROM run c WHERE c.series_id = k.id AND c.contaminated) AS contaminated_runs,
    {first_at} AS first_run_at, {last_at} AS last_run_at, k.definition
FROM series_key k
JOIN run l ON l.id = (SELECT m.id FROM run m WHERE m.series_id = k.id ORDER BY m.started_at DESC, m.id DESC LIMIT 1)
"""

_SAMPLES = """
SELECT run_id, iteration, batch_size, prompt_tokens, new_tokens, ttft_seconds, latency_seconds,
    decode_tokens_per_second, prefill_tokens_per_second, inter_token_seconds, process
FROM sample
"""

_ANSWERS = """
SELECT a.run_id, r.job_id, r.batch_id AS batch, r.model, r.workload, r.strategy, r.temperature, a.item_id, i.level,
    i.language, a.sample, i.prompt, i.expected, a.text, a.extracted, a.score, a.prompt_tokens, a.new_tokens, a.finish,
    a.thinking_tokens, a.readability, r.precision, r.machine_id AS machine, substr(k.hash, 1, 16) AS series,
    r.contaminated, a.language AS heard_language
FROM answer a
JOIN run r ON r.id = a.run_id
JOIN series_key k ON k.id = r.series_id
LEFT JOIN item i ON i.workload_hash = r.workload_hash AND i.item_id = a.item_id
"""

_BREAKDOWNS = """
SELECT d.run_id, r.batch_id AS batch, r.model, r.workload, r.strategy, r.temperature, r.precision, d.by, d.value,
    d.items, d.accuracy, d.accuracy_stderr, substr(k.hash, 1, 16) AS series, r.contaminated
FROM breakdown d
JOIN run r ON r.id = d.run_id
JOIN series_key k ON k.id = r.series_id
"""

_METRICS = """
SELECT m.run_id, r.batch_id AS batch, r.model, r.workload, r.precision, m.task, m.name, m.filter, m.value, m.stderr,
    substr(k.hash, 1, 16) AS series, r.contaminated
FROM metric m
JOIN run r ON r.id = m.run_id
JOIN series_key k ON k.id = r.series_id
"""

_SURROUNDINGS = """
SELECT s.run_id, r.job_id, r.batch_id AS batch, r.model, r.workload, r.machine_id AS machine, r.device,
    {started_at} AS started_at, r.contaminated, r.contamination, s.judged, s.watched_seconds, s.readings,
    s.gate_waited_seconds, s.cores, s.others_mean_cores, s.others_max_cores, s.others_busy_seconds, s.others_busy_cores,
    s.stolen_mean_cores, s.greediest, s.gpu_others_mean, s.gpu_others_max, s.gpu_busy_seconds, s.gpu_greediest,
    s.gpu_slowed_by, s.gpu_slowed_seconds, s.gpu_max_celsius, s.thermal, s.throttled_seconds, s.memory_pressure,
    s.memory_stalled_seconds, s.swapped_bytes, s.power_source, s.low_power, s.slept_seconds, s.clock_step_seconds,
    s.witness_cpu_seconds, substr(k.hash, 1, 16) AS series
FROM witness s
JOIN run r ON r.id = s.run_id
JOIN series_key k ON k.id = r.series_id
"""

_JOBS = """
SELECT j.id AS job_id, j.batch_id AS batch, b.name AS batch_name, j.state, j.model, j.workload, j.strategy,
    j.temperature, j.precision, j.prompt_tokens, j.new_tokens, j.device, j.machine, j.queue, j.memory_mib, j.priority,
    j.attempt, j.failures, j.worker_id AS worker, r.id AS run_id, j.error, j.repeat_of, j.reason,
    {queued_at} AS queued_at, {started_at} AS started_at, {finished_at} AS finished_at, j.cancel_requested, j.progress,
    j.spec, b.labels, j.started_at - j.queued_at AS waited_seconds, j.finished_at - j.started_at AS duration_seconds
FROM job j
JOIN batch b ON b.id = j.batch_id
LEFT JOIN run r ON r.job_id = j.id
"""

_ATTEMPTS = """
SELECT a.job_id, a.attempt, a.worker_id AS worker, w.machine_id AS machine, {started_at} AS started_at,
    {finished_at} AS finished_at, a.outcome, a.error, a.stderr
FROM attempt a
JOIN worker w ON w.id = a.worker_id
"""

_BATCHES = """
SELECT b.id AS batch, b.name, b.key, b.priority, {created_at} AS created_at, count(j.id) AS jobs,
    sum(CASE WHEN j.state = 'queued' THEN 1 ELSE 0 END) AS queued,
    sum(CASE WHEN j.state = 'running' THEN 1 ELSE 0 END) AS running,
    sum(CASE WHEN j.state = 'done' THEN 1 ELSE 0 END) AS done,
    sum(CASE WHEN j.state = 'failed' THEN 1 ELSE 0 END) AS failed,
    sum(CASE WHEN j.state = 'cancelled' THEN 1 ELSE 0 END) AS cancelled, b.labels, b.schedule,
    {published_at} AS published_at
FROM batch b
LEFT JOIN job j ON j.batch_id = b.id
GROUP BY b.id
"""

_SCHEDULES = """
SELECT s.name AS schedule, s.cron, s.every_seconds, s.timezone, s.misfire, s.grace_seconds, s.overlap, s.machine,
    s.job_count AS jobs, s.paused, s.paused_reason, {next_due_at} AS next_due_at, {created_at} AS created_at
FROM schedule s
"""

_FIRINGS = """
SELECT s.name AS schedule, {due_at} AS due_at, {decided_at} AS decided_at, f.outcome, f.batch_id AS batch, f.note,
    f.decided_at - f.due_at AS late_seconds
FROM firing f
JOIN schedule s ON s.id = f.schedule_id
"""


_CHANGES = """
SELECT c.id AS change_id, substr(k.hash, 1, 16) AS series, c.metric, c.state, c.kind, r.model, r.workload, r.strategy,
    r.precision, r.prompt_tokens, r.new_tokens, r.batch_size, r.device, r.machine_id AS machine, c.level_before,
    c.level_after, c.ratio, c.ratio_low, c.ratio_high, c.log_evidence, {changed_at} AS changed_at, c.last_run_id,
    c.first_run_id, c.run_id, {suspected_at} AS suspected_at, {decided_at} AS decided_at, c.extra_runs,
    r.batch_id AS batch, c.job_id
FROM change c
JOIN series_key k ON k.id = c.series_id
JOIN run r ON r.id = c.first_run_id
"""

_ALERTS = """
SELECT a.batch_id AS batch, b.schedule, a.state, {decided_at} AS decided_at, a.title, a.body, a.tries, a.error
FROM alert a
JOIN batch b ON b.id = a.batch_id
"""


def _statements(dialect: str) -> Iterator[tuple[str, str]]:
    def times(**columns: str) -> dict[str, str]:
        return {name: _TIME[dialect].format(column) for name, column in columns.items()}

    run_times = times(started_at="r.started_at", finished_at="r.finished_at", samples_pruned_at="r.samples_pruned_at")
    yield "history", _HISTORY.format(**run_times)
    yield "latest", _LATEST.format(**run_times)
    yield "newest", _NEWEST.format(**run_times)
    first_at = "(SELECT min(c.started_at) FROM run c WHERE c.series_id = k.id)"
    yield "series", _SERIES.format(**times(first_at=first_at, last_at="l.started_at"))
    yield "samples", _SAMPLES
    yield "answers", _ANSWERS
    yield "breakdowns", _BREAKDOWNS
    yield "metrics", _METRICS
    yield "surroundings", _SURROUNDINGS.format(**times(started_at="r.started_at"))
    change_times = {"changed_at": "r.started_at", "suspected_at": "c.suspected_at", "decided_at": "c.decided_at"}
    yield "changes", _CHANGES.format(**times(**change_times))
    job_times = times(queued_at="j.queued_at", started_at="j.started_at", finished_at="j.finished_at")
    yield "jobs", _JOBS.format(**job_times)
    yield "attempts", _ATTEMPTS.format(**times(started_at="a.started_at", finished_at="a.finished_at"))
    yield "batches", _BATCHES.format(**times(created_at="b.created_at", published_at="b.published_at"))
    yield "schedules", _SCHEDULES.format(**times(next_due_at="s.next_due_at", created_at="s.created_at"))
    yield "firings", _FIRINGS.format(**times(due_at="f.due_at", decided_at="f.decided_at"))
    yield "alerts", _ALERTS.format(**times(decided_at="a.decided_at"))


def drop_views(connection: Connection) -> None:
    """Drop every view, so that a migration may alter the tables beneath."""
    for name in reversed(VIEWS):
        connection.execute(text(f'DROP VIEW IF EXISTS "{name}"'))


def create_views(connection: Connection) -> None:
    """Create every view, none of which may exist."""
    for name, select in _statements(connection.dialect.name):
        connection.exec_driver_sql(f'CREATE VIEW "{name}" AS {select}')
