"""What a measurement gives back: figures, raw samples and answers, as they travel and lie in the spool."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from bench.surroundings import Surroundings


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Sample(_Frozen):
    """One timed iteration of a speed workload, or one timed call of a quality workload."""

    #: 0, 1, 2 ... in the order of measuring
    iteration: int
    #: 1, 2 ... for the process that it was measured in, where a job's iterations are spread over several
    process: int = 1
    #: sequences in the call
    batch_size: int
    #: tokens of the prompt of one sequence (the padded length in a quality workload)
    prompt_tokens: int
    #: tokens generated, summed over the sequences
    new_tokens: int
    #: wall time of a one-token generation
    ttft_seconds: float | None = None
    #: wall time of the whole generation
    latency_seconds: float
    #: (tokens of one sequence - 1) x sequences / (latency - ttft)
    decode_tokens_per_second: float | None = None
    #: prompt tokens x sequences / ttft
    prefill_tokens_per_second: float | None = None
    #: gaps between consecutive tokens
    inter_token_seconds: tuple[float, ...] = ()


class Answer(_Frozen):
    """One answer of the model to one item, with its score."""

    item_id: str
    #: 0, 1 ... for the k-th time the item was asked
    sample: int
    #: what the model wrote, without the prompt
    text: str
    #: what the scorer read as the answer; None where it found none
    extracted: str | None
    #: 0.0 to 1.0; None where the workload is not scored
    score: float | None
    prompt_tokens: int
    new_tokens: int
    #: `stop` (the model ended it), `length` (cut at max_new_tokens) or `thinking` (cut before its thoughts ended)
    finish: str
    #: tokens up to the end of a reasoning model's thoughts, of `new_tokens`; None for a model that does not think
    thinking_tokens: int | None = None
    #: 0 to 100 (see `bench.readability`); None for an answer that is too short to be judged
    readability: float | None = None
    #: language that a speech model was told or heard ("en"); None for other models
    language: str | None = None


class Breakdown(_Frozen):
    """The accuracy of a part of a run's items."""

    #: `level` or `language`
    by: Literal["level", "language"]
    #: the level ("1" to "3") or the language ("de")
    value: str
    items: int
    accuracy: float
    accuracy_stderr: float | None


class Metric(_Frozen):
    """A figure of a foreign harness, under its own name."""

    #: the subtask it belongs to, or the task itself
    task: str
    #: as the harness names it ("acc_norm", "exact_match")
    name: str
    #: the harness's filter of answers ("none", "strict-match")
    filter: str
    value: float
    stderr: float | None = None


class Figures(_Frozen):
    """The summary of a run. What was not measured is None, never 0. Units are in the names."""

    iterations: int
    load_seconds: float | None = None
    first_call_seconds: float | None = None
    ttft_seconds: float | None = None
    prefill_tokens_per_second: float | None = None
    decode_tokens_per_second: float | None = None
    inter_token_p50_seconds: float | None = None
    inter_token_p99_seconds: float | None = None
    latency_seconds: float | None = None
    #: 95 % confidence interval of the median latency
    latency_low_seconds: float | None = None
    latency_high_seconds: float | None = None
    model_bandwidth_utilization: float | None = None
    peak_device_memory_bytes: int | None = None
    peak_process_memory_bytes: int | None = None
    weights_bytes: int | None = None
    #: what the device used from the first to the last iteration, and the same for each token generated meanwhile
    energy_joules: float | None = None
    energy_joules_per_token: float | None = None
    #: `rapl`, `nvml` or `apple`
    energy_source: str | None = None
    items: int | None = None
    accuracy: float | None = None
    accuracy_stderr: float | None = None
    #: how often two answers to the same item agree; None where each was asked once
    consistency: float | None = None
    #: mean over the answers that are long enough, 0 to 100
    readability: float | None = None
    #: 0 to 10 by the formula of that number (see `bench.quality`)
    quality: float | None = None
    quality_formula: int | None = None
    #: share of the answers that the model ended by itself
    completed: float | None = None
    #: mean tokens of an answer, thoughts left out
    answer_tokens: float | None = None
    #: mean tokens of a reasoning model's thoughts
    thinking_tokens: float | None = None
    #: all tokens and all seconds of the pass, over the sum of the scores
    tokens_per_correct_answer: float | None = None
    seconds_per_correct_answer: float | None = None
    word_error_rate: float | None = None
    real_time_factor: float | None = None
    #: iterations thrown away before those that count; of several processes the most that one threw away
    warmup_iterations: int | None = None
    #: whether the latencies that count are steady; None for too few to tell
    warm: bool | None = None
    #: smallest and largest of the processes' median latencies; None for a single process
    process_latency_low_seconds: float | None = None
    process_latency_high_seconds: float | None = None


class Environment(_Frozen):
    """With what a run was measured. Explains a change; never part of a series' key."""

    os_build: str
    python_version: str
    torch_version: str
    transformers_version: str
    benchbeat_version: str
    git_commit: str | None = None
    git_dirty: bool | None = None
    #: driver and toolkit of the accelerator
    driver: str | None = None
    threads: int | None = None
    #: versions of further libraries that had a part in the figures ("lm_eval", "textstat"); under `launch`, what
    #: started the worker ("launchd", "up (terminal)")
    libraries: dict[str, str] | None = None


class Resolved(_Frozen):
    """What the specification left open, as it was in fact."""

    #: `cpu`, `cuda` or `mps`
    device: str
    #: the device's own name ("Apple M4", "NVIDIA H100")
    device_name: str
    #: hub commit, or SHA-256 of the weights
    revision: str
    #: how attention was computed: some models have one way only
    attention: str | None = None
    #: library that quantised the weights, with its version
    quantiser: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None
    max_new_tokens: int | None = None
    #: hash of the rendered strategy's template
    strategy_hash: str | None = None
    #: whence the format of the conversation: the `model`'s tokenizer, our `catalog`, or `plain` for want of one
    chat_template: Literal["model", "catalog", "plain"] | None = None
    #: hash of the catalog's template, where that was used
    chat_template_hash: str | None = None


class Measurement(_Frozen):
    """Everything one completed attempt measured."""

    resolved: Resolved
    environment: Environment
    figures: Figures
    samples: tuple[Sample, ...] = ()
    answers: tuple[Answer, ...] = ()
    #: accuracy by level and by language, where the items have several
    breakdowns: tuple[Breakdown, ...] = ()
    #: what a foreign harness reported
    metrics: tuple[Metric, ...] = ()
    #: id of the process that held the model, the first of several, and the run's place in it (1, 2 ...)
    session: str
    session_position: int
    #: seconds since the epoch, by the worker's clock; the device lock was held from the first to the second, of several
    #: processes by each while it measured
    started_at: float
    finished_at: float
    #: reasons in words, empty for a clean run
    contamination: tuple[str, ...] = ()
    #: whether measuring again may give a clean run, and is worth it: speed is what was asked for, and the reason passes
    worth_repeating: bool = False
    #: what else the machine did meanwhile; None where nobody watched
    surroundings: Surroundings | None = None
