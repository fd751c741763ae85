"""Hearing: a clip through our adapter beside a bare `whisper.transcribe`, in one process, from samples to text."""

from collections.abc import Iterator

from tests.performance.decoding import locked
from tests.performance.looking import measured
from tests.performance.results import NotSlower, RatioAtMost, Result, alternate
from tests.performance.world import World

_TOKENS = 32


def clip_rows(world: World) -> Iterator[Result]:
    """CPU and wall time a clip of a tiny Whisper; the texts are equal, or there is no figure."""
    clip = _Clip(world)
    assert clip.asked() == clip.bare(), "the adapter hears other words than a bare transcribe"
    ours = locked(lambda: measured(clip.asked, world.sizes.questions), world)
    bare = locked(lambda: measured(clip.bare, world.sizes.questions), world)
    pairs = alternate(ours, bare, world.sizes.generations)
    for field, goal in (("cpu", RatioAtMost(1.02)), ("wall", NotSlower())):
        yield Result(
            row="clip",
            what=f"a tiny Whisper, {field} time a clip of dictation, {_TOKENS} tokens",
            unit="ms",
            ours=tuple(getattr(reading, field) for reading, _ in pairs),
            goal=goal,
            beside="a bare whisper.transcribe",
            theirs=tuple(getattr(reading, field) for _, reading in pairs),
        )


class _Clip:
    """One clip, heard by the adapter and by the same checkpoint without it."""

    def __init__(self, world: World) -> None:
        import whisper

        from tests.worker import tiny_whisper
        from worker.adapters.speech import SpeechAdapter
        from worker.audio import decode
        from worker.device import pick

        path = tiny_whisper.build(world.folder / "whisper.pt")
        device = pick("cpu")
        device.prepare()
        dictation = world.library.workloads["dictation"]
        self._samples = decode(dictation.media[dictation.items[0].audio or ""], "the clip")
        self._adapter = SpeechAdapter.load(path, "float32", "sdpa", False, device)
        self._model = whisper.load_model(str(path), device="cpu")

    def asked(self) -> str:
        """Return what the adapter hears."""
        return self._adapter.transcribe(self._samples, language="en", max_new_tokens=_TOKENS).text

    def bare(self) -> str:
        """Return what `transcribe` hears, asked as a user would with the same settings."""
        found = self._model.transcribe(
            self._samples,
            fp16=False,
            temperature=0.0,
            language="en",
            condition_on_previous_text=False,
            sample_len=_TOKENS,
        )
        return str(found["text"]).strip()
