"""Adapters: how a model of each task is loaded and asked, behind one shape."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.catalog import ModelEntry
from bench.spec import Attention, JobSpec, Precision
from worker.device import Device

if TYPE_CHECKING:
    from worker.adapters.deepseek_vl2 import DeepSeekVl2Adapter
    from worker.adapters.speech import SpeechAdapter
    from worker.adapters.text import TextAdapter
    from worker.adapters.vision import VisionAdapter

    Adapter = TextAdapter | VisionAdapter | DeepSeekVl2Adapter | SpeechAdapter


class Loading(NamedTuple):
    """How weights are loaded; two jobs that agree in it and in the weights share a loaded model."""

    precision: Precision
    attention: Attention
    compile: bool

    @classmethod
    def of(cls, spec: JobSpec) -> "Loading":
        """Return how a job wants its model loaded."""
        return cls(spec.precision, spec.attention, spec.compile)


def load(entry: ModelEntry, path: Path, loading: Loading, device: Device, *, sha256: str | None = None) -> "Adapter":
    """Return the model of an entry, whose weights are at `path`, on the device.

    `sha256` is that of weights that are one file. Raises ModelError where it can't be loaded so, InputError for a
    precision that the device can't do.
    """
    device.check_precision(loading.precision)
    # Each task's libraries load with the first model of it.
    if entry.task == "speech":
        from worker.adapters.speech import SpeechAdapter

        return SpeechAdapter.load(path, *loading, device, sha256=sha256)
    if entry.architecture == "deepseek-vl2":
        from worker.adapters.deepseek_vl2 import DeepSeekVl2Adapter

        return DeepSeekVl2Adapter.load(path, *loading, device)
    if entry.task == "vision":
        from worker.adapters.vision import VisionAdapter

        return VisionAdapter.load(path, *loading, device)
    from worker.adapters.text import TextAdapter

    return TextAdapter.load(path, *loading, device, chat_template=entry.chat_template)
