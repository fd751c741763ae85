"""Adapters: how a model of each task is loaded and asked, behind one shape."""

from pathlib import Path
from typing import NamedTuple

from bench.errors import ModelError
from bench.spec import Attention, JobSpec, Precision
from worker.adapters.text import TextAdapter
from worker.device import Device


class Loading(NamedTuple):
    """How weights are loaded; two jobs that agree in it and in the weights share a loaded model."""

    precision: Precision
    attention: Attention
    compile: bool

    @classmethod
    def of(cls, spec: JobSpec) -> "Loading":
        """Return how a job wants its model loaded."""
        return cls(spec.precision, spec.attention, spec.compile)


def load(task: str, path: Path, loading: Loading, device: Device, *, chat_template: str | None = None) -> TextAdapter:
    """Return the model in `path`, on the device; `chat_template` is the catalog's, where it has one.

    Raises ModelError where it can't be loaded so.
    """
    if task != "text":
        raise ModelError(f"a {task} model can't be run by this version; it runs text models")
    return TextAdapter.load(path, *loading, device, chat_template=chat_template)
