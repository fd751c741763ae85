import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from bench.catalog import ModelEntry
from bench.errors import InputError
from bench.spec import JobSpec
from bench.workloads import Item
from tests.worker import tiny_whisper
from tests.worker.fakes import FakeClock, FakeCounter, FakeDevice
from worker.adapters.speech import SpeechAdapter, Transcript
from worker.audio import SAMPLE_RATE, Samples
from worker.device import CpuDevice
from worker.energy import Meter
from worker.measure import Outcome
from worker.protocol import Order, Progress, Prompt
from worker.sampling import generation_seed
from worker.speech import measure_speech
from worker.transcripts import judged_transcripts

#: seconds of each clip, what is said in it, and what the fake model hears
CLIPS = {
    "a": (2.0, "the cat sat on the mat", "The cat sat on a mat."),
    "b": (0.5, "yes", "Yes!"),
    "c": (4.0, "we need twenty-one new chairs", "We need 21 chairs"),
}


def sound(seconds: float) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(round(seconds * SAMPLE_RATE), np.float32), SAMPLE_RATE, format="FLAC")
    return file.getvalue()


class FakeWhisper:
    """Hears what `CLIPS` says, in a tenth of the time that it takes to say it; its first call takes a second more."""

    max_new_tokens = 224

    def __init__(self, clock: FakeClock, *, is_multilingual: bool = True, detects: str = "en") -> None:
        self.clock = clock
        self.is_multilingual = is_multilingual
        self.detects = detects
        self.calls: list[tuple[float, Mapping[str, Any]]] = []

    def transcribe(self, samples: Samples, **options: Any) -> Transcript:
        seconds = len(samples) / SAMPLE_RATE
        self.clock.pass_(seconds / 10 + (0.0 if self.calls else 1.0))
        self.calls.append((seconds, options))
        text = next(heard for length, _, heard in CLIPS.values() if length == seconds)
        return Transcript(text, options["language"] or self.detects, len(text.split()), "stop")


@pytest.fixture(autouse=True)
def _files_are_read() -> None:
    tiny_whisper.read_own_files()


def order(score: str | None = "wer", languages: Sequence[str | None] = ("en", "en", "en"), **fields: Any) -> Order:
    items = [
        Item(id=name, audio=digest(name), answer=said, level=level, language=language)
        for level, ((name, (_, said, _)), language) in enumerate(zip(CLIPS.items(), languages, strict=True), start=1)
    ]
    return Order(
        job_id=1,
        attempt=1,
        spec=JobSpec.model_validate({"model": "m", "workload": "clips", **fields}),
        model=ModelEntry(name="m", task="speech", source="file:m", precision="float32", memory_gib={"float32": 1.0}),
        score=score,
        prompts=tuple(Prompt(item=item, messages=()) for item in items),
    )


@pytest.fixture(autouse=True)
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the clips, each under the SHA-256 that its item names."""
    for name, (seconds, _, _) in CLIPS.items():
        (tmp_path / digest(name)).write_bytes(sound(seconds))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def digest(name: str) -> str:
    return name * 64


def media(sha256: str) -> Path:
    return Path(sha256)


def measure(
    given: Order,
    adapter: FakeWhisper | None = None,
    device: FakeDevice | None = None,
    told: list[Progress] | None = None,
) -> Outcome:
    adapter = adapter or FakeWhisper(FakeClock())
    report = told.append if told is not None else lambda progress: None
    outcome = measure_speech(adapter, given, device or FakeDevice(), report, media, adapter.clock)
    return judged_transcripts(given, outcome)


def test_each_clip_is_heard_once_after_a_first_call_with_the_shortest() -> None:
    adapter = FakeWhisper(FakeClock())
    outcome = measure(order(), adapter)
    assert [seconds for seconds, _ in adapter.calls] == [0.5, 2.0, 0.5, 4.0]
    assert outcome.figures.first_call_seconds == pytest.approx(1.05)
    assert [answer.item_id for answer in outcome.answers] == ["a", "b", "c"]


def test_energy_is_that_of_the_clips_without_the_first_call() -> None:
    adapter = FakeWhisper(FakeClock())
    counter = FakeCounter(adapter.clock, watts=10)
    meter = Meter(lambda: counter)
    outcome = measure_speech(adapter, order(), FakeDevice(), lambda progress: None, media, adapter.clock, meter)
    assert outcome.energy["energy_joules"] == pytest.approx(6.5)
    tokens = sum(answer.new_tokens for answer in outcome.answers)
    assert outcome.energy["energy_joules_per_token"] == pytest.approx(6.5 / tokens)


def test_the_real_time_factor_is_processing_over_sound() -> None:
    figures = measure(order()).figures
    assert figures.real_time_factor == pytest.approx(0.1)
    assert figures.latency_seconds == pytest.approx(0.65 / 3)
    assert figures.iterations == 1
    assert (figures.ttft_seconds, figures.latency_low_seconds, figures.prefill_tokens_per_second) == (None, None, None)


def test_words_are_counted_over_the_corpus_and_scores_by_clip() -> None:
    outcome = measure(order())
    # one of six, none of one, one of five: "twenty-one" is "21"
    assert [answer.score for answer in outcome.answers] == pytest.approx([5 / 6, 1.0, 4 / 5])
    assert outcome.figures.word_error_rate == pytest.approx(2 / 12)
    assert outcome.figures.accuracy == pytest.approx((5 / 6 + 1 + 4 / 5) / 3)
    assert [answer.extracted for answer in outcome.answers] == ["the cat sat on a mat", "yes", "we need 21 chairs"]
    assert outcome.answers[0].text == "The cat sat on a mat."
    assert {(metric.task, metric.name): metric.value for metric in outcome.metrics} == {
        ("clips", "words"): 12,
        ("clips", "substitutions"): 1,
        ("clips", "deletions"): 1,
        ("clips", "insertions"): 0,
    }
    assert [(each.by, each.value, each.accuracy) for each in outcome.breakdowns] == [
        ("level", "1", pytest.approx(5 / 6)),
        ("level", "2", 1.0),
        ("level", "3", pytest.approx(4 / 5)),
        ("language", "en", pytest.approx((5 / 6 + 1 + 4 / 5) / 3)),
    ]


def test_a_sample_is_a_clip_with_its_length_in_the_encoders_positions() -> None:
    outcome = measure(order())
    assert [sample.prompt_tokens for sample in outcome.samples] == [100, 25, 200]
    assert [answer.prompt_tokens for answer in outcome.answers] == [100, 25, 200]
    assert [sample.latency_seconds for sample in outcome.samples] == pytest.approx([0.2, 0.05, 0.4])
    assert [sample.new_tokens for sample in outcome.samples] == [6, 1, 4]
    assert outcome.samples[0].decode_tokens_per_second == pytest.approx(30.0)


def test_the_versions_that_decide_are_given() -> None:
    assert sorted(measure(order()).libraries or {}) == ["jiwer", "openai-whisper"]
    assert sorted(measure(order("none")).libraries or {}) == ["openai-whisper"]


@pytest.mark.parametrize("score", [None, "none"])
def test_without_a_score_time_alone_is_measured(score: str | None) -> None:
    outcome = measure(order(score))
    assert {answer.score for answer in outcome.answers} == {None}
    assert (outcome.figures.word_error_rate, outcome.figures.accuracy, outcome.metrics) == (None, None, ())
    assert outcome.figures.real_time_factor == pytest.approx(0.1)


def test_another_scorer_judges_the_text() -> None:
    outcome = measure(order("contains"))
    assert [answer.score for answer in outcome.answers] == [0.0, 1.0, 0.0]
    assert outcome.figures.word_error_rate is None


def test_clips_are_heard_as_often_as_the_job_says_with_seeds_of_their_own() -> None:
    adapter = FakeWhisper(FakeClock())
    outcome = measure(order(samples=2, temperature=0.4, seed=5), adapter)
    assert [(answer.item_id, answer.sample) for answer in outcome.answers] == [
        (name, sample) for name in "abc" for sample in range(2)
    ]
    assert [options["seed"] for _, options in adapter.calls[1:]] == [
        generation_seed(5, name, sample) for name in "abc" for sample in range(2)
    ]
    assert {options["temperature"] for _, options in adapter.calls} == {0.4}
    assert outcome.figures.consistency == 1.0
    assert outcome.figures.items == 3
    assert outcome.figures.real_time_factor == pytest.approx(0.1)
    assert outcome.figures.word_error_rate == pytest.approx(2 / 12)


def test_the_settings_in_force_are_given() -> None:
    assert measure(order()).decoding == {"temperature": 0.0, "max_new_tokens": 224}
    assert measure(order(temperature=0.2, max_new_tokens=9)).decoding == {"temperature": 0.2, "max_new_tokens": 9}
    assert measure(order(max_new_tokens=999)).decoding == {"temperature": 0.0, "max_new_tokens": 224}


def test_spans_are_synchronised_and_fallbacks_passed_on() -> None:
    device = FakeDevice(fallbacks=("aten::odd",))
    assert measure(order(), device=device).fallbacks == ("aten::odd",)
    assert device.synchronized == 2 * 4


def test_progress_counts_clips() -> None:
    told: list[Progress] = []
    measure(order(), told=told)
    assert [(progress.phase, progress.done, progress.total) for progress in told] == [
        ("warming up", 0, 3),
        ("measuring", 1, 3),
        ("measuring", 2, 3),
        ("measuring", 3, 3),
    ]
    assert told[-1].median_seconds == pytest.approx(0.2)


# ---- languages


def test_a_language_that_an_item_names_is_given_and_else_detected() -> None:
    adapter = FakeWhisper(FakeClock())
    measure(order(languages=("en-GB", None, "english")), adapter)
    assert [options["language"] for _, options in adapter.calls[1:]] == ["en", None, "en"]


def test_detecting_is_measured_against_what_is_known() -> None:
    adapter = FakeWhisper(FakeClock(), detects="en")
    outcome = measure(order(languages=("en", "de", None), detect_language=True), adapter)
    assert {options["language"] for _, options in adapter.calls} == {None}
    assert {metric.name: metric.value for metric in outcome.metrics}["language_accuracy"] == 0.5


def test_a_wrongly_detected_language_does_not_choose_the_rules() -> None:
    adapter = FakeWhisper(FakeClock(), detects="de")
    outcome = measure(order(detect_language=True), adapter)
    assert outcome.answers[2].extracted == "we need 21 chairs"
    assert measure(order(languages=("en", "en", None)), adapter).figures.word_error_rate == pytest.approx(4 / 13)


def test_a_model_that_knows_english_alone_is_given_english_and_nothing_else() -> None:
    adapter = FakeWhisper(FakeClock(), is_multilingual=False)
    measure(order(languages=("en", None, "en"), detect_language=True), adapter)
    assert {options["language"] for _, options in adapter.calls} == {"en"}
    with pytest.raises(InputError, match="the sound of item 'b' is in 'de', and this model knows English alone"):
        measure(order(languages=("en", "de", "en")), adapter)


def test_word_timestamps_are_asked_for() -> None:
    adapter = FakeWhisper(FakeClock())
    measure(order(word_timestamps=True), adapter)
    assert {options["word_timestamps"] for _, options in adapter.calls} == {True}


# ---- bad input


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"batch_size": 4}, "batch_size = 4: Whisper transcribes one clip at a time; leave it at 1"),
        ({"top_p": 0.9}, "top_p: Whisper's decoding has no such setting; leave it out"),
        ({"prompt_tokens": 8, "new_tokens": 8}, "prompt_tokens: Whisper's decoding has no such setting; leave it out"),
    ],
)
def test_what_whisper_does_not_do_is_refused_by_name(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        measure(order(**fields))
    assert str(caught.value) == message


def test_a_job_without_items_is_refused() -> None:
    with pytest.raises(InputError, match="the job has no items of workload 'clips' to transcribe"):
        measure(order().model_copy(update={"prompts": ()}))


def test_an_unknown_language_is_refused_with_its_item() -> None:
    with pytest.raises(InputError, match="the sound of item 'c': Whisper knows no language 'klingon'"):
        measure(order(languages=("en", "en", "klingon")))


def test_a_bad_clip_is_found_before_any_is_heard(clips: Path) -> None:
    adapter = FakeWhisper(FakeClock())
    (clips / digest("c")).write_bytes(b"no sound")
    with pytest.raises(InputError, match="the sound of item 'c' is no sound file that can be read"):
        measure(order(), adapter)
    assert adapter.calls == []


# ---- a real model of tiny size


def test_a_tiny_whisper_fills_every_figure_of_speech(tmp_path: Path) -> None:
    path = tiny_whisper.build(tmp_path / "tiny.pt")
    adapter = SpeechAdapter.load(path, "float32", "sdpa", False, CpuDevice())
    clip = tmp_path / "clip.flac"
    clip.write_bytes(sound(2.0))
    given = order(max_new_tokens=8)
    outcome = measure_speech(adapter, given, CpuDevice(), lambda progress: None, lambda sha256: clip)
    outcome = judged_transcripts(given, outcome)
    figures = outcome.figures
    assert figures.items == 3
    for name in ("first_call_seconds", "latency_seconds", "real_time_factor", "word_error_rate", "accuracy", "quality"):
        assert getattr(figures, name) is not None, name
    assert figures.real_time_factor == pytest.approx(sum(sample.latency_seconds for sample in outcome.samples) / 6.0)
    # Random weights do not end by themselves.
    assert {answer.finish for answer in outcome.answers} == {"length"}
    assert figures.completed == 0.0
