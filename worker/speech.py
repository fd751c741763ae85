"""Measuring speech: every clip transcribed, on the clock; what the transcripts are worth comes later.

Processing is what Whisper does with samples in memory: the spectrogram, the language where it is not given, encoding
and decoding. Reading a file and bringing it to 16 kHz is no part of it.
"""

import time
from collections.abc import Mapping
from importlib.metadata import version
from math import fsum
from pathlib import Path
from typing import NamedTuple, Protocol

from bench.errors import InputError
from bench.results import Answer, Figures, Sample
from bench.spec import JobSpec
from bench.workloads import Item
from worker.adapters.speech import Transcript, language_code
from worker.audio import SAMPLE_RATE, Samples, decode
from worker.device import Device
from worker.energy import Meter
from worker.measure import Clock, Media, Outcome, Report, measuring
from worker.protocol import Order, Progress
from worker.sampling import generation_seed

#: what stands for a token of the prompt in a sample: the encoder gives the decoder one position for each 20 ms
POSITIONS_PER_SECOND = 50

#: settings of generation that Whisper's decoding does not have
_UNUSED = ("top_p", "top_k", "repetition_penalty", "prompt_tokens", "new_tokens")


class Adapter(Protocol):
    """What the protocol asks of a loaded model."""

    is_multilingual: bool
    max_new_tokens: int

    def transcribe(
        self,
        samples: Samples,
        *,
        language: str | None = None,
        word_timestamps: bool = False,
        temperature: float = 0.0,
        max_new_tokens: int | None = None,
        seed: int = 0,
    ) -> Transcript:
        """Return what is said."""


class _Clip(NamedTuple):
    """One item's sound, which is decoded anew for each call: a workload's whole may not fit into memory."""

    item: Item
    path: Path
    seconds: float
    #: None where it is to be detected
    language: str | None

    def samples(self) -> Samples:
        return decode(self.path, _name(self.item))


def measure_speech(
    adapter: Adapter,
    order: Order,
    device: Device,
    report: Report,
    media: Media,
    clock: Clock = time.perf_counter,
    meter: Meter | None = None,
) -> Outcome:
    """Transcribe every clip as often as the job says, one at a time; answers come in the order of the items.

    They are not judged. All clips are read before the first is transcribed, so that a bad one is found at once. Raises
    InputError for a sound that can't be read, and for a job that asks for what Whisper does not do.
    """
    _check(order)
    clips = [_clip(adapter, prompt.item, media, order.spec) for prompt in order.prompts]
    total = len(clips) * order.spec.samples
    report(Progress(phase="warming up", total=total))
    decoding = _decoding(adapter, order.spec)
    listener = _Listener(adapter, order.spec, decoding, device, clock)
    with device.watch() as fallbacks:
        # The shortest: every window is padded to 30 s, so that shapes are the same.
        _, first_call = listener.hear(min(clips, key=lambda clip: clip.seconds), 0)
    meter = meter or Meter()
    samples: list[Sample] = []
    answers: list[Answer] = []
    began_joules = ended_joules = meter.read()
    for clip in clips:
        for sample in range(order.spec.samples):
            heard, seconds = listener.hear(clip, sample)
            ended_joules = meter.read()
            samples.append(_sample(len(samples), clip, heard, seconds))
            answers.append(_unjudged(clip, sample, heard))
            report(measuring([each.latency_seconds for each in samples], done=len(samples), total=total))
    audio_seconds = fsum(clip.seconds for clip in clips) * order.spec.samples
    processing = fsum(sample.latency_seconds for sample in samples)
    return Outcome(
        Figures(iterations=1, first_call_seconds=first_call, real_time_factor=processing / audio_seconds),
        tuple(samples),
        tuple(answers),
        decoding,
        tuple(fallbacks),
        libraries={"openai-whisper": version("openai-whisper")},
        energy=meter.figures(began_joules, ended_joules, sum(sample.new_tokens for sample in samples)),
    )


def _check(order: Order) -> None:
    """Raise InputError where the job asks for what Whisper does not do."""
    spec = order.spec
    if not order.prompts:
        raise InputError(f"the job has no items of workload {spec.workload!r} to transcribe")
    if spec.batch_size != 1:
        raise InputError(f"batch_size = {spec.batch_size}: Whisper transcribes one clip at a time; leave it at 1")
    unused = [name for name in _UNUSED if getattr(spec, name) is not None]
    if unused:
        raise InputError(f"{unused[0]}: Whisper's decoding has no such setting; leave it out")


def _decoding(adapter: Adapter, spec: JobSpec) -> dict[str, float | int]:
    """Return the settings in force; `max_new_tokens` is for each window of 30 s."""
    most = min(spec.max_new_tokens or adapter.max_new_tokens, adapter.max_new_tokens)
    return {"temperature": spec.temperature or 0.0, "max_new_tokens": most}


def _clip(adapter: Adapter, item: Item, media: Media, spec: JobSpec) -> _Clip:
    """Return an item's clip, read once to see that it can be."""
    if item.audio is None:
        raise InputError(f"item {item.id!r} has no sound to be transcribed")
    path = media(item.audio)
    seconds = len(decode(path, _name(item))) / SAMPLE_RATE
    language = None if item.language is None else _language(item, item.language)
    if not adapter.is_multilingual:
        if language not in (None, "en"):
            raise InputError(f"{_name(item)} is in {item.language!r}, and this model knows English alone")
        language = "en"
    return _Clip(item, path, seconds, None if spec.detect_language and adapter.is_multilingual else language)


def _language(item: Item, language: str) -> str:
    try:
        return language_code(language)
    except InputError as error:
        raise InputError(f"{_name(item)}: {error.message}") from error


def _name(item: Item) -> str:
    return f"the sound of item {item.id!r}"


class _Listener(NamedTuple):
    """Puts clips to a model, on the clock."""

    adapter: Adapter
    spec: JobSpec
    decoding: Mapping[str, float | int]
    device: Device
    clock: Clock

    def hear(self, clip: _Clip, sample: int) -> tuple[Transcript, float]:
        """Return the transcript and the wall time in seconds."""
        samples = clip.samples()
        self.device.synchronize()
        started = self.clock()
        heard = self.adapter.transcribe(
            samples,
            language=clip.language,
            word_timestamps=self.spec.word_timestamps,
            temperature=self.decoding["temperature"],
            max_new_tokens=int(self.decoding["max_new_tokens"]),
            seed=generation_seed(self.spec.seed, clip.item.id, sample),
        )
        self.device.synchronize()
        return heard, self.clock() - started


def _unjudged(clip: _Clip, sample: int, heard: Transcript) -> Answer:
    """Return the `sample`-th transcript of a clip, without a score."""
    return Answer(
        item_id=clip.item.id,
        sample=sample,
        text=heard.text,
        extracted=None,
        score=None,
        prompt_tokens=_positions(clip),
        new_tokens=heard.new_tokens,
        finish=heard.finish,
        language=heard.language,
    )


def _positions(clip: _Clip) -> int:
    return round(clip.seconds * POSITIONS_PER_SECOND)


def _sample(iteration: int, clip: _Clip, heard: Transcript, seconds: float) -> Sample:
    return Sample(
        iteration=iteration,
        batch_size=1,
        prompt_tokens=_positions(clip),
        new_tokens=heard.new_tokens,
        latency_seconds=seconds,
        decode_tokens_per_second=heard.new_tokens / seconds if seconds > 0 else None,
    )
