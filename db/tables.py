"""The tables, without their partial indexes (db/partial_indexes.py).

People read the views (db/views.py); these may change.

Times are seconds since the epoch, by the database's clock where they decide something.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    literal,
    text,
)

from db.clock_tables import beat as beat
from db.clock_tables import firing as firing
from db.clock_tables import schedule as schedule
from db.detail_tables import answer as answer
from db.detail_tables import breakdown as breakdown
from db.detail_tables import metric as metric
from db.detail_tables import sample as sample
from db.metadata import Id, Json
from db.metadata import metadata as metadata
from db.watch_tables import alert as alert
from db.watch_tables import change as change
from db.watch_tables import unjudged as unjudged
from db.witness_table import witness as witness

#: an entry of the catalog as it was when a job was submitted
model = Table(
    "model",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("entry", Text, nullable=False),
)

#: a workload without its items, as it was when a job was submitted
workload = Table(
    "workload",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("definition", Text, nullable=False),
)

item = Table(
    "item",
    metadata,
    Column("workload_hash", Text, ForeignKey("workload.hash"), primary_key=True),
    Column("item_id", Text, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("prompt", Text, nullable=False),
    #: alternatives are joined by " | "
    Column("expected", Text, nullable=False),
    Column("level", Integer),
    Column("language", Text),
    Column("body", Text, nullable=False),
)

#: content of the files that items name, by its SHA-256 in hex
media = Table(
    "media",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

#: a strategy's template for one workload, as it was when a job was submitted
strategy = Table(
    "strategy",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("definition", Text, nullable=False),
)

batch = Table(
    "batch",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    #: the submitter's own key that makes a second try harmless
    Column("key", Text, unique=True),
    #: hash over everything the batch asks for
    Column("sweep_hash", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    #: JSON object of the submitter's labels, text to text
    Column("labels", Json),
    #: name of the schedule that made it
    Column("schedule", Text),
    #: when its jobs were first rung for; NULL while Redis was always away
    Column("published_at", Double),
)

machine = Table(
    "machine",
    metadata,
    Column("id", Text, primary_key=True),
    Column("chip", Text),
    Column("memory_bytes", BigInteger),
    Column("os", Text),
    Column("first_seen_at", Double, nullable=False),
)

worker = Table(
    "worker",
    metadata,
    Column("id", Text, primary_key=True),
    Column("machine_id", Text, ForeignKey("machine.id"), nullable=False),
    Column("device", Text, nullable=False),
    Column("device_name", Text, nullable=False),
    #: memory of the device
    Column("memory_mib", Integer, nullable=False),
    #: JSON list of the queues it takes jobs from
    Column("queues", Text, nullable=False),
    #: the one batch it works for; NULL takes every job
    Column("batch_id", Id, ForeignKey("batch.id")),
    Column("pid", Integer, nullable=False),
    Column("version", Text, nullable=False),
    #: session key of the model that it has loaded
    Column("loaded", Text),
    Column("job_id", Id),
    Column("started_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
    Column("stopped_at", Double),
)

job = Table(
    "job",
    metadata,
    Column("id", Id, primary_key=True),
    Column("batch_id", Id, ForeignKey("batch.id"), nullable=False),
    #: canonical JSON of the JobSpec
    Column("spec", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("workload", Text, nullable=False),
    Column("strategy", Text),
    Column("temperature", Double),
    Column("precision", Text, nullable=False),
    Column("prompt_tokens", Integer),
    Column("new_tokens", Integer),
    Column("device", Text, nullable=False),
    Column("machine", Text),
    Column("model_hash", Text, ForeignKey("model.hash"), nullable=False),
    Column("workload_hash", Text, ForeignKey("workload.hash"), nullable=False),
    Column("strategy_hash", Text, ForeignKey("strategy.hash")),
    Column("queue", Text, nullable=False),
    #: jobs with the same key can share a loaded model
    Column("session_key", Text, nullable=False),
    Column("memory_mib", Integer, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("state", Text, nullable=False),
    #: number of the last attempt; fences off every earlier one
    Column("attempt", Integer, nullable=False, server_default="0"),
    #: attempts that count towards max_attempts
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("worker_id", Text, ForeignKey("worker.id")),
    Column("lease_until", Double),
    Column("cancel_requested", Boolean, nullable=False, server_default=text("false")),
    #: JSON of the worker's last progress event
    Column("progress", Text),
    #: why it failed, or why it waits, in a sentence
    Column("error", Text),
    Column("repeat_of", Id, ForeignKey("job.id")),
    Column("reason", Text),
    Column("queued_at", Double, nullable=False),
    Column("started_at", Double),
    Column("finished_at", Double),
    CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'cancelled')", name="state"),
)

Index("job_batch_id", job.c.batch_id, job.c.state, job.c.session_key, job.c.id)


def in_state(state: str) -> ColumnElement[bool]:
    """Return the condition that a job is in a state."""
    # Written out in the statement: SQLite does not take a partial index for a parameter's sake.
    return job.c.state == literal(state, literal_execute=True)


attempt = Table(
    "attempt",
    metadata,
    Column("job_id", Id, ForeignKey("job.id"), primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("worker_id", Text, ForeignKey("worker.id"), nullable=False),
    Column("started_at", Double, nullable=False),
    Column("finished_at", Double),
    #: done | failed | lost | cancelled | returned | superseded; NULL while it runs
    Column("outcome", Text),
    Column("error", Text),
    #: the last lines that the session wrote
    Column("stderr", Text),
)

environment = Table(
    "environment",
    metadata,
    Column("id", Id, primary_key=True),
    Column("hash", Text, nullable=False, unique=True),
    Column("os_build", Text, nullable=False),
    Column("python_version", Text, nullable=False),
    Column("torch_version", Text, nullable=False),
    Column("transformers_version", Text, nullable=False),
    Column("benchbeat_version", Text, nullable=False),
    Column("git_commit", Text),
    Column("git_dirty", Boolean),
    Column("driver", Text),
    Column("threads", Integer),
    #: JSON object of further libraries' versions
    Column("libraries", Json),
)

series_key = Table(
    "series_key",
    metadata,
    Column("id", Id, primary_key=True),
    Column("hash", Text, nullable=False, unique=True),
    #: JSON of all that must be equal for two runs to be compared
    Column("definition", Text, nullable=False),
    #: of the definition, what series are mostly chosen by
    Column("model", Text, nullable=False),
    Column("workload", Text, nullable=False),
    Column("machine_id", Text, nullable=False),
    Index("series_key_of", "model", "workload", "machine_id"),
    # what the views call a series
    Index("series_key_short", text("substr(hash, 1, 16)")),
)

run = Table(
    "run",
    metadata,
    Column("id", Id, primary_key=True),
    Column("job_id", Id, ForeignKey("job.id"), nullable=False),
    Column("batch_id", Id, ForeignKey("batch.id"), nullable=False),
    Column("series_id", Id, ForeignKey("series_key.id"), nullable=False),
    Column("environment_id", Id, ForeignKey("environment.id"), nullable=False),
    Column("machine_id", Text, ForeignKey("machine.id"), nullable=False),
    Column("workload_hash", Text, ForeignKey("workload.hash"), nullable=False),
    Column("schedule", Text),
    #: who measured: `benchbeat`, or the tool whose result was imported
    Column("source", Text, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("finished_at", Double, nullable=False),
    Column("device", Text, nullable=False),
    Column("device_name", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("revision", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("workload", Text, nullable=False),
    Column("strategy", Text),
    Column("temperature", Double),
    Column("top_p", Double),
    Column("top_k", Integer),
    Column("repetition_penalty", Double),
    Column("max_new_tokens", Integer),
    Column("seed", Integer),
    Column("samples", Integer),
    Column("precision", Text, nullable=False),
    Column("quantiser", Text),
    Column("attention", Text, nullable=False),
    Column("compile", Boolean, nullable=False),
    Column("cache", Text, nullable=False),
    Column("isolation", Text, nullable=False),
    Column("batch_size", Integer, nullable=False),
    Column("prompt_tokens", Integer),
    Column("new_tokens", Integer),
    Column("session", Text, nullable=False),
    Column("session_position", Integer, nullable=False),
    Column("iterations", Integer, nullable=False),
    Column("load_seconds", Double),
    Column("first_call_seconds", Double),
    Column("ttft_seconds", Double),
    Column("prefill_tokens_per_second", Double),
    Column("decode_tokens_per_second", Double),
    Column("inter_token_p50_seconds", Double),
    Column("inter_token_p99_seconds", Double),
    Column("latency_seconds", Double),
    Column("latency_low_seconds", Double),
    Column("latency_high_seconds", Double),
    Column("model_bandwidth_utilization", Double),
    Column("peak_device_memory_bytes", BigInteger),
    Column("peak_process_memory_bytes", BigInteger),
    Column("weights_bytes", BigInteger),
    Column("energy_joules", Double),
    Column("items", Integer),
    Column("accuracy", Double),
    Column("accuracy_stderr", Double),
    Column("consistency", Double),
    Column("readability", Double),
    Column("quality", Double),
    Column("word_error_rate", Double),
    Column("real_time_factor", Double),
    Column("contaminated", Boolean, nullable=False),
    Column("contamination", Text),
    #: number of the formula that gave `quality`
    Column("quality_formula", Integer),
    Column("completed", Double),
    Column("answer_tokens", Double),
    Column("thinking_tokens", Double),
    Column("tokens_per_correct_answer", Double),
    Column("seconds_per_correct_answer", Double),
    #: `model`, `catalog` or `plain`: whose format of a conversation was used
    Column("chat_template", Text),
    #: what a speech model was asked for beside the text; NULL for other models
    Column("word_timestamps", Boolean),
    Column("detect_language", Boolean),
    #: when its samples were removed for their age; NULL while they are there
    Column("samples_pruned_at", Double),
    #: fresh processes that the iterations were spread over
    Column("processes", Integer, nullable=False, server_default="1"),
    #: smallest and largest of their median latencies; NULL for a single one
    Column("process_latency_low_seconds", Double),
    Column("process_latency_high_seconds", Double),
    #: iterations thrown away, and whether those that count are steady; NULL for too few to tell, and for quality
    Column("warmup_iterations", Integer),
    Column("warm", Boolean),
    Column("energy_joules_per_token", Double),
    #: `rapl`, `nvml` or `apple`
    Column("energy_source", Text),
    # One job, at most one run: the last line of defence behind the fence.
    UniqueConstraint("job_id"),
    Index("run_series", "series_id", "started_at"),
    Index("run_started", "started_at"),
    Index("run_batch", "batch_id"),
    Index("run_of", "model", "workload", "id"),
    Index("run_machine", "machine_id", "started_at"),
)

#: what changes of level are looked for in; the index `run_judged` holds all that is read of it
CLEAN_SPEED_RUN = (run.c.new_tokens.is_not(None), run.c.contaminated.is_(False))
