"""What the columns of the views mean, in a line each, and their units."""

#: the end of a column's name -> its unit, the longest first
_ENDINGS = (
    ("tokens_per_second", "tokens/s"),
    ("joules_per_token", "J/token"),
    ("seconds_per_correct_answer", "s"),
    ("tokens_per_correct_answer", "tokens"),
    ("_seconds", "s"),
    ("_bytes", "bytes"),
    ("_joules", "J"),
    ("_mib", "MiB"),
    ("_celsius", "°C"),
    ("_cores", "cores"),
    ("_tokens", "tokens"),
)
_SHARES = (
    "accuracy accuracy_stderr consistency completed score model_bandwidth_utilization gpu_others_mean gpu_others_max"
)
_UNITS = dict.fromkeys(_SHARES.split(), "share, 0 to 1") | {
    "readability": "0 to 100",
    "quality": "0 to 10",
    "word_error_rate": "errors per word",
    "real_time_factor": "seconds per second of sound",
    "ratio": "after / before",
    "ratio_low": "after / before",
    "ratio_high": "after / before",
}

#: a column, of one view where its name begins with that
_LINES = """
accuracy: mean score of the answers
accuracy_stderr: standard error of the accuracy, clustered by item
alerts.state: what became of the message: waiting, quiet, sending, sent, failed
answer_tokens: mean tokens of an answer, thoughts left out
attempt: number of the try, 1 for the first
attention: how attention was computed
batch: id of the batch
batch_name: name of the batch
batch_size: sequences generated at once
benchbeat_version: version of benchbeat
body: text of the message
by: what the part is of: level or language
cache: kind of key-value cache
cancel_requested: whether somebody cancelled it while it ran
cancelled: jobs that were cancelled
change_id: id of the change
changed_at: when the first run of the new level began
changes.run_id: run that made the change suspected
changes.state: suspected, confirmed, refuted or undecided
chat_template: whose format of a conversation was used: model, catalog or plain
compile: whether the model was compiled
completed: answers that the model ended by itself
consistency: how often two answers to the same item agree
contaminated: whether something disturbed the run
contaminated_runs: runs that something disturbed
contamination: what disturbed the run, in words
cores: processors that may be used
created_at: when it was made
cron: the five fields that say when
decided_at: when it was decided
decode_tokens_per_second: rate of generating after the first token
definition: all that must be equal for two runs to be compared
detect_language: whether a speech model was asked to detect the language
device: kind of device: cpu, cuda or mps
device_name: the device's own name
done: jobs that are done
driver: driver and toolkit of the accelerator
due_at: the time that was due
duration_seconds: from the beginning to the end
energy_joules: what the device used from the first to the last iteration
energy_joules_per_token: the same for each token that was generated
energy_source: what counted the energy: rapl, nvml or apple
error: what went wrong, in a sentence
every_seconds: how often it is due
expected: expected answer, alternatives joined by " | "
extra_runs: runs that were measured to confirm it
extracted: what the scorer read as the answer
failed: jobs that failed
failures: tries that count as failed
filter: the harness's filter of answers
finish: why the answer ended: stop, length or thinking
finished_at: when it ended
first_call_seconds: time of the first call
first_run_at: when the first run began
first_run_id: first run of the new level
git_commit: commit that benchbeat ran from
git_dirty: whether its files differed from the commit
gpu_busy_seconds: time in which others used the GPU much
gpu_greediest: process that used most of the GPU
gpu_max_celsius: highest temperature of the GPU
gpu_others_max: most of the GPU's time that others used at once
gpu_others_mean: mean of the GPU's time that others used
gpu_slowed_by: why the GPU's clock was held down
gpu_slowed_seconds: time in which it was
gate_waited_seconds: time that the run waited for a quiet machine
grace_seconds: how late it may still fire
greediest: process that used most of the processors
heard_language: language that a speech model was told or heard
inter_token_p50_seconds: median gap between tokens
inter_token_p99_seconds: 99th percentile of the gaps between tokens
inter_token_seconds: JSON list of the gaps between tokens, in seconds
isolation: whether the model was loaded in a process of its own
item_id: id of the item
items: items that were asked
iteration: number of the timed call, from 0
iterations: timed calls
job_id: id of the job
jobs: number of jobs
judged: whether what others did was judged
key: the submitter's own key
kind: step or drift
labels: the submitter's labels, a JSON object
language: language of the item
last_run_at: when the last run began
last_run_id: last clean run before the new level
late_seconds: how late it was decided
latency_high_seconds: upper end of the 95 % interval of the median latency
latency_low_seconds: lower end of the 95 % interval of the median latency
latency_seconds: median time of a call, or mean time of an answer
level: difficulty of the item, 1 to 3
level_after: level after the change, in the metric's unit
level_before: level before the change, in the metric's unit
libraries: versions of further libraries, a JSON object
load_seconds: time of loading the model
log_evidence: natural logarithm of the likelihood ratio for a change
low_power: whether the machine was in low-power mode
machine: id of the machine
max_new_tokens: tokens after which an answer is cut
memory_mib: memory that the job needs
memory_pressure: worst pressure of memory: normal, warning or critical
memory_stalled_seconds: time in which work stood still for want of memory
metric: the figure that changed, a column of history
misfire: what is done about due times that were missed
model: name of the model
model_bandwidth_utilization: bytes of weights read a second over the device's bandwidth
name: name given by whoever made it
metrics.name: name of the figure
new_tokens: tokens of the answer
next_due_at: when it is due next
note: why there is no batch
os_build: version and build of the operating system
others_busy_cores: processors that others used while they used much
others_busy_seconds: time in which others used many processors
others_max_cores: most processors that others used at once
others_mean_cores: mean of the processors that others used
outcome: how it ended
overlap: what is done while the batch before still runs
paused: whether it is paused
paused_reason: why it was paused by itself
peak_device_memory_bytes: most memory of the device that was used
peak_process_memory_bytes: most memory of the process
power_source: mains or battery
precision: format of the weights while computing
prefill_tokens_per_second: rate of reading the prompt
priority: higher goes first
process: number of the process that it was measured in
process_latency_high_seconds: largest of the processes' median latencies
process_latency_low_seconds: smallest of the processes' median latencies
processes: processes that the iterations were spread over
progress: last progress of the job, JSON
prompt: the question
prompt_tokens: tokens of the prompt
published_at: when workers were first told of it
python_version: version of Python
quality: one figure for how good the answers are
quality_formula: number of the formula that gave the quality
quantiser: library that quantised the weights
queue: queue that the job is in
queued: jobs that wait
queued_at: when it was queued
ratio: size of the change
ratio_high: upper end of its 95 % interval
ratio_low: lower end of its 95 % interval
readability: how easily the answers are read
readings: how often the machine was looked at
real_time_factor: processing time over the time of the sound
reason: why it is measured again
repeat_of: job that it repeats
repetition_penalty: penalty of repeated tokens, 1 is off
revision: hub commit, or SHA-256 of the weights
run_id: id of the run
running: jobs that run
runs: number of runs
sample: which time the item was asked, from 0
samples: how often each item was asked
schedule: name of the schedule
score: score of the answer
seconds_per_correct_answer: all seconds over the sum of the scores
seed: seed of sampling
series: id of the series: the runs that may be compared
session: id of the process that held the model
session_position: the run's place in that process
samples_pruned_at: when its samples were removed for their age
slept_seconds: time that the machine slept
source: who measured: benchbeat, or the tool whose result was imported
spec: the job's specification, JSON
started_at: when it began
state: queued, running, done, failed or cancelled
stderr: last lines that the session wrote
metrics.stderr: standard error of the figure
stolen_mean_cores: mean of the processors that a hypervisor kept
strategy: way of prompting
suspected_at: when it was suspected
swapped_bytes: what was swapped in and out
task: text, vision or speech
metrics.task: task of the harness
temperature: temperature of sampling, 0 is greedy
text: what the model wrote
thermal: worst thermal pressure
thinking_tokens: tokens of a reasoning model's thoughts
threads: threads that computed
throttled_seconds: time in which heat held a processor down
timezone: time zone of the schedule
title: title of the message
tokens_per_correct_answer: all tokens over the sum of the scores
top_k: tokens that are sampled from, 0 keeps all
top_p: probability that is sampled from
torch_version: version of PyTorch
transformers_version: version of transformers
tries: how often it was tried to be sent
ttft_seconds: time to the first token
value: level or language of the part
metrics.value: the figure
waited_seconds: from being queued to the beginning
warm: whether the timed calls were steady
warmup_iterations: calls that were thrown away before
watched_seconds: time that the machine was watched
weights_bytes: size of the weights as loaded
witness_cpu_seconds: processor time that watching took
clock_step_seconds: by how much the clock was set
word_error_rate: errors in what a speech model wrote
word_timestamps: whether a speech model was asked for each word's time
worker: id of the worker
workload: name of the workload
"""


def unit_of(column: str) -> str | None:
    """Return the unit of a column, which mostly its name tells; None for what has none."""
    return _UNITS.get(column) or next((unit for end, unit in _ENDINGS if column.endswith(end)), None)


def described() -> dict[str, str]:
    """Return what is described: a column's name, or view and name, with its line."""
    return dict(line.split(": ", 1) for line in _LINES.strip().splitlines())


def description_of(view: str, column: str) -> str:
    """Return a line about a column of a view, or about one label."""
    lines = described()
    if column.startswith("labels."):
        return f"label {column.removeprefix('labels.')} of the batch"
    return lines.get(f"{view}.{column}") or lines[column]
