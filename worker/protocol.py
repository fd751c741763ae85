"""What the worker's main process and the session process say to each other.

Orders go to the session's standard input, one JSON object a line, and for a gated one its `Go`; end of file ends the
session. Events come back over a descriptor of their own (`--events FD`), one JSON object a line, so that a library's
print breaks nothing.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from bench.catalog import ModelEntry
from bench.results import Measurement
from bench.spec import JobSpec
from bench.workloads import Item


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Prompt(_Frozen):
    """An item with the messages that put it to the model ({"role", "content"} each; none for a speech model)."""

    item: Item
    messages: tuple[dict[str, str], ...]


class HarnessTask(_Frozen):
    """A task of lm-eval."""

    #: as lm-eval names it
    name: str
    #: the files of a user's own task, by their path in its folder
    files: dict[str, str] | None = None


class Order(_Frozen):
    """Measure one job."""

    job_id: int
    attempt: int
    spec: JobSpec
    model: ModelEntry
    #: name of the scorer (quality workloads)
    score: str | None = None
    #: hash of the strategy's template (quality workloads)
    strategy_hash: str | None = None
    #: regular expression that finds the answer in what the model wrote, where the strategy has one
    output_pattern: str | None = None
    #: whether readability counts as quality (quality workloads)
    prose: bool = False
    #: the foreign harness's task (harness workloads)
    harness: HarnessTask | None = None
    #: what is asked, in order (quality workloads)
    prompts: tuple[Prompt, ...] = ()
    #: files of the items' pictures or clips on this machine, by their SHA-256
    media: dict[str, Path] = {}
    #: whether it begins only when it is told `Go`, once it holds the device
    gated: bool = False


class Go(_Frozen):
    """The machine is quiet, or does not get quiet: a gated job may begin."""

    go: int


class Locked(_Frozen):
    """The device is ours: the job's time begins, of a gated one with its `Go`."""

    event: Literal["locked"] = "locked"
    waited_seconds: float


class Progress(_Frozen):
    """How far the job has come. `total` is None where the stop rule decides."""

    event: Literal["progress"] = "progress"
    #: `fetching`, `waiting for the device`, `waiting for a quiet machine`, `loading`, `warming up`, `measuring`
    phase: str
    done: int = 0
    total: int | None = None
    #: current median of the latency (speed) or of the seconds per answer (quality), with its 95 % interval
    median_seconds: float | None = None
    low_seconds: float | None = None
    high_seconds: float | None = None
    #: 1, 2 ... where the job's iterations are spread over several processes
    process: int | None = None
    #: why it waits
    reason: str | None = None


class Released(_Frozen):
    """The device is others' again; answers may still be judged."""

    event: Literal["released"] = "released"


class Finished(_Frozen):
    """The job was measured."""

    event: Literal["finished"] = "finished"
    job_id: int
    attempt: int
    measurement: Measurement


class Failed(_Frozen):
    """The job can't be measured; the session lives on."""

    event: Literal["failed"] = "failed"
    job_id: int
    attempt: int
    #: `model` and `input` are not retried, `memory` raises the job's need, `error` is retried
    kind: Literal["model", "input", "memory", "error"]
    #: one sentence
    message: str
    #: traceback, for --verbose and the log
    details: str = ""


Event = Locked | Progress | Released | Finished | Failed
