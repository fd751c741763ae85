"""A history of three nights, two machines and three models, for questions whose answers are known."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert

from bench.results import Answer, Breakdown, Figures, Measurement, Metric, Sample
from bench.spec import JobSpec
from bench.workloads import Item, Workload
from db.engine import Database
from db.jobs import Claimant, fail_job
from db.runs import store_measurement
from db.schedules import insert_firing, insert_schedule
from db.tables import alert
from tests.db.builders import (
    ENVIRONMENT,
    MODEL,
    MODEL_HASH,
    RESOLVED,
    STRATEGY_HASH,
    SURROUNDINGS,
    add_jobs,
    add_worker,
    change,
    claimed_by,
    empty,
    new_job,
    suspect,
)

#: a Saturday, a Monday, a Tuesday; torch is newer from the Monday on
NIGHTS = tuple(datetime(2026, 5, day, 2, tzinfo=UTC).timestamp() for day in (2, 4, 5))
MODELS = ("qwen2.5-1.5b", "smollm2-135m")
THINKER = "deepseek-r1-distill-qwen-1.5b"
MACHINES = {"lab-a": "cuda", "lab-b": "cpu"}
STRATEGIES = ("direct", "few_shot", "chain_of_thought")

_ITEMS = 6
_GIB = 2**30


def _workload(name: str, *, prose: bool = False, languages: tuple[str | None, ...] = (None,)) -> Workload:
    items = tuple(
        Item(
            id=f"{name}-{n}",
            prompt=f"{name} {n}?",
            answer=str(n),
            level=1 + n % 3,
            language=languages[n % len(languages)],
        )
        for n in range(_ITEMS)
    )
    return Workload(name=name, task="text", kind="quality", score="contains", items=items, prose=prose)


WORKLOADS = {
    "arithmetic-hash": _workload("arithmetic"),
    "multilingual-hash": _workload("multilingual", languages=("en", "de", "ja")),
    "writing-hash": _workload("writing", prose=True),
    "speed-hash": Workload(name="speed", task="text", kind="speed"),
    "harness-hash": Workload(name="lm_eval:arc_easy", task="text", kind="harness"),
}
_HASHES = {workload.name: key for key, workload in WORKLOADS.items()}


@contextmanager
def built(*databases: Database) -> Iterator[None]:
    """Have the history in databases that others use too, and leave them empty."""
    for database in databases:
        empty(database)
        build(database)
    yield
    for database in databases:
        empty(database)


def build(database: Database) -> None:
    """Fill an empty database: 51 runs, of them one contaminated, two failed jobs and a queued one."""
    workers = {
        machine: add_worker(database, f"worker-{machine}", machine_id=machine, device=device)
        for machine, device in MACHINES.items()
    }
    for number, night in enumerate(NIGHTS):
        _Night(database, workers, number, night).measure_all()
    for model in MODELS:
        _add(database, _spec("speed", model, prompt_tokens=512, new_tokens=64), {})
        job = claimed_by(database, workers["lab-a"])
        fail_job(database, job.id, job.attempt, error="The model's weights can't be had", max_attempts=1)
    _add(database, _spec("arithmetic", "smollm2-135m"), {})
    _schedule(database)


def _schedule(database: Database) -> None:
    timing = {"cron": "0 2 * * *", "anchor_at": 0.0, "timezone": "UTC", "paused": False, "next_due_at": NIGHTS[-1]}
    policy = {"misfire": "latest", "grace_seconds": 21_600.0, "overlap": "skip"}
    with database.write() as connection:
        insert_schedule(connection, {"name": "nightly", "batch": "{}", "jobs": "[]", "job_count": 0} | timing | policy)
        for night in NIGHTS:
            insert_firing(connection, 1, night, "missed", "the machine slept")
        suspect(connection)
        connection.execute(insert(alert).values(batch_id=1, state="sent", title="benchbeat nightly: 1 slower", tries=1))


class _Night:
    """The runs of one night, a minute after the other."""

    def __init__(self, database: Database, workers: Mapping[str, Claimant], number: int, started_at: float) -> None:
        self._database = database
        self._workers = workers
        self._number = number
        self._clock = started_at
        self._position = 0

    def measure_all(self) -> None:
        """Measure every workload."""
        for better, model in enumerate(reversed(MODELS)):
            for steps, strategy in enumerate(STRATEGIES):
                right = 1 + steps + better + (1 if self._number == 2 and strategy == "direct" else 0)
                self._quality(_spec("arithmetic", model, strategy=strategy), right=right)
                self._quality(_spec("writing", model, strategy=strategy), right=3, readability=40.0 + 10 * steps)
            self._quality(_spec("multilingual", model), right=2 + better)
        thinking = _spec("arithmetic", THINKER, strategy="direct", max_new_tokens=2048)
        self._quality(thinking, right=3, thinking_tokens=600)
        speed = _spec("speed", MODELS[0], prompt_tokens=128, new_tokens=64)
        # each night the one process comes to it a job later
        self._speed(speed, position=self._number + 1)
        two = {"precision": "float16", "processes": 2, "isolation": "process"}
        self._speed(speed.model_copy(update=two), position=1)
        if self._number == 2:
            self._speed(speed, position=1, contamination=("Throttled",))
            self._harness(_spec("lm_eval:arc_easy", MODELS[0]))

    def _quality(
        self, spec: JobSpec, *, right: int, readability: float | None = None, thinking_tokens: int | None = None
    ) -> None:
        items = next(each for each in WORKLOADS.values() if each.name == spec.workload).items
        answers = tuple(
            Answer(
                item_id=item.id,
                sample=0,
                text=f"It is {n}.",
                extracted=str(n),
                score=float(n < right),
                prompt_tokens=20,
                new_tokens=30 + (thinking_tokens or 0),
                finish="thinking" if thinking_tokens and n == _ITEMS - 1 else "stop",
                thinking_tokens=thinking_tokens,
                readability=readability,
            )
            for n, item in enumerate(items)
        )
        parts: dict[tuple[Any, str], list[float]] = {}
        for item, given in zip(items, answers, strict=True):
            by = ("language", item.language) if item.language else ("level", str(item.level))
            parts.setdefault(by, []).append(given.score or 0.0)
        breakdowns = tuple(
            Breakdown(by=by, value=value, items=len(scores), accuracy=sum(scores) / len(scores), accuracy_stderr=0.2)
            for (by, value), scores in parts.items()
        )
        tokens = sum(each.new_tokens for each in answers)
        figures = {
            "items": _ITEMS,
            "accuracy": right / _ITEMS,
            "accuracy_stderr": 0.15,
            "readability": readability,
            "quality": 7.0 * right / _ITEMS + 1,
            "quality_formula": 1,
            "completed": 1.0,
            "tokens_per_correct_answer": tokens / right,
            "seconds_per_correct_answer": 12 / right,
        }
        self._store(spec, figures, seconds=12.0, answers=answers, breakdowns=breakdowns)

    def _speed(self, spec: JobSpec, **fields: Any) -> None:
        """Measure a speed; `cron` runs beside it, and ffmpeg where it is disturbed."""
        others = (0.8, "ffmpeg") if fields.get("contamination") else (0.05, "cron")
        seen = {"others_mean_cores": others[0], "others_max_cores": 2 * others[0], "greediest": others[1]}
        fields["surroundings"] = SURROUNDINGS.model_copy(update=seen)
        fast = 2.0 if spec.precision == "float16" else 1.0
        latency = 2.0 / fast + 0.1 * self._number
        samples = tuple(
            Sample(iteration=n, batch_size=1, prompt_tokens=128, new_tokens=64, latency_seconds=latency)
            for n in range(5)
        )
        disturbed = "contamination" in fields
        figures = {
            "decode_tokens_per_second": 64 / latency,
            "latency_seconds": latency,
            "energy_joules": 5 * latency * 40,
            "energy_joules_per_token": latency * 40 / 65,
            "energy_source": "nvml",
            "warmup_iterations": 30 if disturbed else 1,
            "warm": not disturbed,
        }
        if spec.processes > 1:
            # the second process has fewer iterations, which take a tenth longer
            late = {"process": 2, "latency_seconds": latency * 1.1}
            samples = (*samples[:3], *(each.model_copy(update=late) for each in samples[3:]))
            figures |= {"process_latency_low_seconds": latency, "process_latency_high_seconds": latency * 1.1}
        self._store(spec, figures, seconds=5 * latency, samples=samples, **fields)

    def _harness(self, spec: JobSpec) -> None:
        metrics = (
            Metric(task="arc_easy", name="acc", filter="none", value=0.61, stderr=0.01),
            Metric(task="arc_easy", name="acc_norm", filter="none", value=0.58, stderr=0.01),
        )
        self._store(spec, {"items": 2376, "accuracy": 0.61, "accuracy_stderr": 0.01}, seconds=90.0, metrics=metrics)

    def _store(
        self, spec: JobSpec, figures: Mapping[str, Any], *, seconds: float, position: int | None = None, **fields: Any
    ) -> None:
        self._position = position or self._position + 1
        is_first = self._position == 1
        machine = "lab-b" if spec.model == "smollm2-135m" else "lab-a"
        device = MACHINES[machine]
        common = {
            "iterations": 5 if spec.is_speed else 1,
            "load_seconds": 4.0 if is_first else None,
            "first_call_seconds": 1.5 if is_first else 0.3,
            "peak_process_memory_bytes": (1 if machine == "lab-b" else 6) * _GIB,
            "weights_bytes": (3 if spec.precision == "float16" else 6) * _GIB,
        }
        measured = Measurement(
            resolved=RESOLVED.model_copy(
                update={
                    "device": device,
                    "strategy_hash": f"{spec.strategy}-hash" if spec.strategy else None,
                    "temperature": None if spec.is_speed else 0.0,
                    "max_new_tokens": spec.max_new_tokens,
                }
            ),
            environment=ENVIRONMENT.model_copy(update={"torch_version": "2.12.0" if self._number == 0 else "2.13.0"}),
            figures=Figures(**(common | dict(figures))),
            session=f"session-{self._number}",
            session_position=self._position,
            started_at=self._clock,
            finished_at=self._clock + seconds,
            **fields,
        )
        (job_id,) = _add(self._database, spec, {"purpose": "nightly", "who": "lab"})
        job = claimed_by(self._database, self._workers[machine])
        assert job.id == job_id
        assert store_measurement(self._database, job.id, job.attempt, machine, measured) is not None
        waited = {"queued_at": self._clock - 600 - self._position, "started_at": self._clock}
        change(self._database, job.id, finished_at=self._clock + seconds, **waited)
        self._clock += 60


def _spec(workload: str, model: str, **fields: Any) -> JobSpec:
    is_timed = "new_tokens" in fields or workload.startswith("lm_eval")
    quality = {} if is_timed else {"strategy": "direct", "temperature": 0.0, "max_new_tokens": 64}
    return JobSpec(**({"model": model, "workload": workload} | quality | fields))


def _add(database: Database, spec: JobSpec, labels: Mapping[str, str]) -> list[int]:
    model_hash = f"{MODEL_HASH}-{spec.model}"
    strategy_hash = f"{STRATEGY_HASH}-{spec.strategy}" if spec.strategy else None
    job = new_job(spec, model_hash=model_hash, workload_hash=_HASHES[spec.workload], strategy_hash=strategy_hash)
    return add_jobs(
        database,
        [job],
        labels=labels,
        models={model_hash: MODEL.model_copy(update={"name": spec.model})},
        workloads=WORKLOADS,
        strategies={strategy_hash: (spec.strategy, "[]")} if strategy_hash else {},
    )
