"""One night of the synthetic year, job by job."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Connection

from bench.results import Resolved
from bench.series import series_definition
from bench.spec import JobSpec
from bench.statistics import median
from bench.workloads import Workload
from db.runs import environment_id, series_id
from db.submissions import NewJob
from db.tables import answer, attempt, breakdown, change, job, run, sample, witness
from tests.report.bulk import Bulk, Row
from tests.report.synthetic_figures import Measured, measure_quality, measure_speed
from tests.report.synthetic_plan import BROKEN, SHIFTS, Shift, environment_at

MACHINE = "synthetic-mac-mini"
DEVICE_NAME = "Apple M4 (synthetic)"
SCHEDULE = "synthetic-nightly"
#: nights whose samples were not pruned yet
_DETAILED_NIGHTS = 30
WORKER = "synthetic-worker"
#: measured to confirm a change
_RERUNS = 3
_GATED = "meta-llama/Llama-3.2-3B-Instruct is gated: accept the licence at the model's page and set HF_TOKEN"
_DISTURBED = (
    ("other processes used 2.4 of 10 cores for 41 s (mds_stores)", {"others_max_cores": 2.4}),
    ("other processes used up to 38% of the GPU for 25 s (WindowServer)", {"gpu_others_max": 0.38}),
    ("the machine was too hot (thermal pressure moderate)", {"thermal": "moderate"}),
)


class Stored(NamedTuple):
    """A run that was written."""

    run_id: int
    job_id: int
    series: int
    latency_seconds: float
    finished_at: float


@dataclass
class Shared:
    """What the nights of a year share."""

    connection: Connection
    bulk: Bulk
    nights: int
    random: np.random.Generator
    series: dict[JobSpec, int] = field(default_factory=dict)
    workloads: dict[str, Workload] = field(default_factory=dict)
    #: runs that were due and clean, by series
    history: dict[int, list[Stored]] = field(default_factory=dict)
    judged: set[tuple[Shift, int]] = field(default_factory=set)

    def places(self, parts: Iterable[float]) -> set[int]:
        """Return the numbers of the nights at these parts of the year."""
        return {int(part * self.nights) for part in parts}


class Night:
    """The jobs of one night, one after the other."""

    def __init__(self, year: Shared, batch_id: int, number: int, started_at: float) -> None:
        self._year = year
        self._bulk = year.bulk
        self._random = year.random
        self._batch_id = batch_id
        self._number = number
        self._part = number / year.nights
        self._clock = started_at
        self._queued_at = started_at - 18
        self._is_detailed = number >= year.nights - _DETAILED_NIGHTS
        self._environment = environment_id(year.connection, environment_at(self._part))
        self._position = 0
        self._loaded = ""
        #: how the machine is tonight
        self._mood = float(np.exp(self._random.normal(0, 0.006)))

    def run(self, jobs: Iterable[NewJob]) -> None:
        """Run jobs, grouped by the model that they need loaded."""
        for new in sorted(jobs, key=lambda each: each.session_key):
            if new.spec.model == "llama-3.2-3b":
                self._fail(new, _GATED)
            elif self._is_night((BROKEN,)):
                self._fail(new, "the session ended by itself (SIGKILL) in each of 3 attempts", attempts=3)
            else:
                self._measure(new)

    def _fail(self, new: NewJob, error: str, *, attempts: int = 1) -> None:
        began = self._clock
        self._clock += 2.0 * attempts
        job_id = self._add_job(new, began, {"state": "failed", "error": error, "attempt": attempts})
        for n in range(1, attempts + 1):
            self._add_attempt(job_id, n, began + 2.0 * (n - 1), began + 2.0 * n, "failed", error)

    def _measure(self, new: NewJob) -> None:
        shift = self._shift(new.spec)
        disturbance = self._disturbance(new.spec)
        stored = self._store(new, shift, disturbance, {})
        if disturbance is not None and new.spec.is_speed:
            # Measured again, the machine is quiet.
            self._store(new, shift, None, {"repeat_of": stored.job_id, "reason": "contaminated"})
        elif new.spec.is_speed:
            self._judge(new, stored)

    def _store(self, new: NewJob, shift: float, disturbance: Any, why: Row) -> Stored:
        factor = shift * self._mood * float(np.exp(self._random.normal(0, 0.011)))
        measured = self._figures(new, factor * (1.3 if disturbance else 1.0))
        load = self._load(new)
        began = self._clock
        self._clock += measured.seconds + load
        lost = not why and self._random.random() < 0.004
        job_id = self._add_job(new, began, {"state": "done", "error": None, "attempt": 1 + lost} | why)
        if lost:
            self._add_attempt(job_id, 1, began - 130, began - 10, "lost", "its worker was not heard of for 120 s")
        self._add_attempt(job_id, 1 + lost, began, self._clock, "done", None)
        row = self._run_row(new, job_id, measured, began) | {"load_seconds": load or None}
        reason, seen = disturbance or (None, {})
        run_id = self._bulk.add_counted(run, row | {"contaminated": reason is not None, "contamination": reason})
        self._add_details(run_id, measured)
        quiet = {"others_mean_cores": 0.06, "others_max_cores": 0.21, "greediest": None, "thermal": "nominal"}
        watched = {"watched_seconds": measured.seconds, "readings": int(measured.seconds) + 2, "judged": True}
        power = {"power_source": "mains", "low_power": False, "cores": 10, "swapped_bytes": 0, "gpu_others_max": 0.02}
        self._bulk.add(witness, {"run_id": run_id} | watched | quiet | power | seen)
        return Stored(run_id, job_id, row["series_id"], measured.figures.latency_seconds or 0.0, self._clock)

    def _figures(self, new: NewJob, factor: float) -> Measured:
        if new.spec.is_speed:
            return measure_speed(new.spec, factor, self._random, detailed=self._is_detailed)
        return measure_quality(new.spec, self._year.workloads[new.workload_hash], factor, self._random)

    def _load(self, new: NewJob) -> float:
        """Return the seconds that loading takes, 0 where the job before left the model loaded."""
        self._position += 1
        if self._loaded == new.session_key:
            return 0.0
        self._loaded, self._position = new.session_key, 1
        return 1.2 + new.memory_mib / 1024 * float(self._random.uniform(0.9, 1.2))

    def _shift(self, spec: JobSpec) -> float:
        past = (each.ratio for each in SHIFTS if each.is_real and self._part >= each.at and each.concerns(spec))
        tonight = (
            each.ratio for each in SHIFTS if not each.is_real and self._is_night((each.at,)) and each.concerns(spec)
        )
        return float(np.prod([*past, *tonight]))

    def _disturbance(self, spec: JobSpec) -> tuple[str, Row] | None:
        if self._random.random() >= (0.012 if spec.is_speed else 0.004):
            return None
        text, seen = _DISTURBED[int(self._random.integers(len(_DISTURBED)))]
        return text, dict(seen)

    def _judge(self, new: NewJob, first: Stored) -> None:
        """Suspect a change where one was planned, and measure again."""
        history = self._year.history.setdefault(first.series, [])
        for shift in SHIFTS:
            is_due = self._part >= shift.at if shift.is_real else self._is_night((shift.at,))
            if history and is_due and shift.concerns(new.spec) and (shift, first.series) not in self._year.judged:
                self._year.judged.add((shift, first.series))
                self._confirm(new, shift, first, history)
        history.append(first)

    def _confirm(self, new: NewJob, shift: Shift, first: Stored, history: list[Stored]) -> None:
        level = self._shift(new.spec) / (1.0 if shift.is_real else shift.ratio)
        again, job_id = [first], first.job_id
        for _ in range(_RERUNS):
            again.append(self._store(new, level, None, {"repeat_of": job_id, "reason": "confirmation"}))
            job_id = again[-1].job_id
        before = median([each.latency_seconds for each in history[-8:]])
        after = median([each.latency_seconds for each in again]) if shift.is_real else first.latency_seconds
        ratio = after / before
        places = {"series_id": first.series, "run_id": first.run_id, "first_run_id": first.run_id}
        size = {"last_run_id": history[-1].run_id, "level_before": before, "level_after": after, "ratio": ratio}
        interval = {"ratio_low": ratio * 0.986, "ratio_high": ratio * 1.014, "extra_runs": _RERUNS}
        state = {"state": "confirmed" if shift.is_real else "refuted", "kind": "step", "metric": "latency_seconds"}
        times = {"suspected_at": first.finished_at, "decided_at": self._clock}
        evidence = {"log_evidence": 14.2 if shift.is_real else 0.1}
        self._bulk.add_counted(change, places | state | size | interval | times | evidence)

    def _is_night(self, parts: Iterable[float]) -> bool:
        return self._number in self._year.places(parts)

    def _add_job(self, new: NewJob, began: float, ended: Row) -> int:
        spec = new.spec
        asked = ("model", "workload", "strategy", "temperature", "precision", "prompt_tokens", "new_tokens", "device")
        row: Row = {name: getattr(spec, name) for name in (*asked, "machine")}
        row |= {name: getattr(new, name) for name in ("model_hash", "workload_hash", "strategy_hash", "queue")}
        row |= {"batch_id": self._batch_id, "spec": spec.canonical(), "session_key": new.session_key, "priority": 5}
        times = {"queued_at": self._queued_at, "started_at": began, "finished_at": self._clock}
        failures = ended["attempt"] - (ended["state"] == "done")
        own = {"memory_mib": new.memory_mib, "failures": failures, "cancel_requested": False, "worker_id": None}
        return self._bulk.add_counted(job, row | times | own | ended)

    def _add_attempt(
        self, job_id: int, number: int, began: float, ended: float, outcome: str, error: str | None
    ) -> None:
        times = {"started_at": began, "finished_at": ended, "worker_id": WORKER}
        self._bulk.add(attempt, {"job_id": job_id, "attempt": number, "outcome": outcome, "error": error} | times)

    def _run_row(self, new: NewJob, job_id: int, measured: Measured, began: float) -> Row:
        spec = new.spec
        task = self._year.workloads[new.workload_hash].task
        resolved = _resolved(new, is_chat=task == "text" and not spec.is_speed)
        if spec not in self._year.series:
            definition = series_definition(spec, resolved, workload_hash=new.workload_hash, machine=MACHINE)
            self._year.series[spec] = series_id(self._year.connection, definition)
        asked = ("model", "workload", "strategy", "precision", "attention", "compile", "cache", "isolation", "seed")
        row: Row = {name: getattr(spec, name) for name in (*asked, "batch_size", "prompt_tokens", "new_tokens")}
        row |= resolved.model_dump(exclude={"strategy_hash", "chat_template_hash", "attention"})
        row |= measured.figures.model_dump()
        row |= {"job_id": job_id, "batch_id": self._batch_id, "series_id": self._year.series[spec], "task": task}
        row |= {"environment_id": self._environment, "machine_id": MACHINE, "workload_hash": new.workload_hash}
        row |= {"schedule": SCHEDULE, "source": "benchbeat", "started_at": began, "finished_at": self._clock}
        row |= {"session": f"synthetic-{self._number}-{new.session_key[:8]}", "session_position": self._position}
        pruned = None if self._is_detailed else began + (_DETAILED_NIGHTS + 1) * 86_400.0
        samples = None if spec.is_speed else spec.samples
        return row | {"processes": 1, "samples": samples, "samples_pruned_at": pruned}

    def _add_details(self, run_id: int, measured: Measured) -> None:
        key = {"run_id": run_id}
        for each in measured.samples if self._is_detailed else ():
            gaps = ",".join(f"{gap:.6f}" for gap in each.inter_token_seconds)
            row = each.model_dump(exclude={"inter_token_seconds"})
            self._bulk.add(sample, key | row | {"inter_token_seconds": f"[{gaps}]" if gaps else None})
        self._bulk.add(answer, *(key | each.__dict__ for each in measured.answers))
        self._bulk.add(breakdown, *(key | each.__dict__ for each in measured.breakdowns))


def _resolved(new: NewJob, *, is_chat: bool) -> Resolved:
    spec = new.spec
    return Resolved(
        device="mps",
        device_name=DEVICE_NAME,
        revision=f"synthetic-{new.model_hash[:12]}",
        quantiser="benchbeat" if spec.precision in ("int8", "int4") else None,
        temperature=spec.temperature,
        top_p=spec.top_p,
        top_k=spec.top_k,
        repetition_penalty=spec.repetition_penalty,
        max_new_tokens=spec.max_new_tokens,
        strategy_hash=new.strategy_hash,
        chat_template=("catalog" if "deepseek" in spec.model else "model") if is_chat else None,
    )
