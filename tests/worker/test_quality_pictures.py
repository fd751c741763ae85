from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bench.catalog import ModelEntry
from bench.errors import InputError
from bench.pictures import Picture, draw
from bench.spec import JobSpec
from bench.workloads import Item
from tests.worker.fakes import FakeClock, FakeDevice
from tests.worker.tiny_vision import build_vision
from worker.adapters.text import Generated
from worker.adapters.vision import VisionAdapter
from worker.conversation import Message
from worker.device import CpuDevice
from worker.judging import judged
from worker.measure import Outcome
from worker.protocol import Order, Progress, Prompt
from worker.quality import measure_quality
from worker.sampling import Decoding, generation_seed

PICTURES = draw("shapes", items=6)


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every picture under the SHA-256 that its item names."""
    monkeypatch.chdir(tmp_path)
    for picture in PICTURES:
        Path(picture.sha256).write_bytes(picture.png)


class FakeLooker:
    """A model that answers with the prompt's number of words; looking at a picture and asking both take time."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.batches: list[tuple[int, Decoding, list[int], str]] = []
        self.waiting = self.most_waiting = 0

    def encode(self, messages: Sequence[Message], image: Image.Image) -> Any:
        assert image.mode == "RGB"
        self.clock.pass_(50.0)
        self.waiting += 1
        self.most_waiting = max(self.waiting, self.most_waiting)
        return messages[0]["content"]

    def generate_batch(
        self, questions: Sequence[Any], decoding: Decoding, seeds: Sequence[int], cache: str
    ) -> list[Generated]:
        self.batches.append((len(questions), decoding, list(seeds), cache))
        self.waiting = 0
        self.clock.pass_(2.0 if decoding.max_new_tokens > 1 else 0.25)
        return [Generated(f"It is {question}.", 10, 3, "stop") for question in questions]


def order(pictures: Sequence[Picture] = PICTURES, score: str | None = "contains", **fields: Any) -> Order:
    return Order(
        job_id=1,
        attempt=1,
        spec=JobSpec.model_validate({"model": "m", "workload": "w", "batch_size": 4, "max_new_tokens": 9, **fields}),
        model=ModelEntry(name="m", task="vision", source="file:m", precision="float32", memory_gib={"float32": 1.0}),
        score=score,
        prompts=tuple(
            Prompt(
                item=Item(id=one.id, prompt=one.prompt, answer=one.answer, level=one.level, image=one.sha256),
                messages=({"role": "user", "content": one.answer[0] if one.level < 3 else "nothing"},),
            )
            for one in pictures
        ),
    )


def measure(given: Order, looker: FakeLooker | None = None, told: Any = None, device: Any = None) -> Outcome:
    looker = looker or FakeLooker(FakeClock())
    report = told.append if told is not None else lambda progress: None
    measured = measure_quality(looker, given, device or FakeDevice(), report, Path, looker.clock)
    return judged(given, measured, lambda passages: [None] * len(passages))


def test_answers_come_in_the_order_of_the_items_with_their_scores() -> None:
    outcome = measure(order())
    assert [answer.item_id for answer in outcome.answers] == [picture.id for picture in PICTURES]
    assert [answer.score for answer in outcome.answers] == [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]
    assert outcome.figures.accuracy == pytest.approx(4 / 6)
    assert [(each.by, each.value, each.accuracy) for each in outcome.breakdowns] == [
        ("level", "1", 1.0),
        ("level", "2", 1.0),
        ("level", "3", 0.0),
    ]
    assert outcome.decoding == Decoding(max_new_tokens=9)._asdict()


def test_latency_is_the_model_s_own_and_the_first_call_is_apart() -> None:
    looker = FakeLooker(FakeClock())
    figures = measure(order(), looker).figures
    assert [(size, decoding.max_new_tokens) for size, decoding, _, _ in looker.batches] == [(1, 1), (4, 9), (2, 9)]
    assert figures.first_call_seconds == pytest.approx(0.25)
    # Two calls of two seconds, six pictures; what reading them took is in neither.
    assert figures.latency_seconds == pytest.approx(4 / 6)
    assert figures.items == 6


def test_no_more_than_a_batch_of_pictures_is_held() -> None:
    looker = FakeLooker(FakeClock())
    measure(order(batch_size=2), looker)
    assert looker.most_waiting == 2


def test_samples_have_seeds_of_their_own() -> None:
    looker = FakeLooker(FakeClock())
    outcome = measure(order(samples=2, temperature=0.5, seed=3, cache="static"), looker)
    assert [(answer.item_id, answer.sample) for answer in outcome.answers[:3]] == [
        (PICTURES[0].id, 0),
        (PICTURES[0].id, 1),
        (PICTURES[1].id, 0),
    ]
    seeds = [seed for _, decoding, seeds, _ in looker.batches if decoding.max_new_tokens > 1 for seed in seeds]
    assert seeds == [generation_seed(3, picture.id, sample) for picture in PICTURES for sample in range(2)]
    assert {cache for _, _, _, cache in looker.batches} == {"static"}
    assert outcome.figures.consistency == 1.0


def test_progress_and_synchronisation() -> None:
    told: list[Progress] = []
    device = FakeDevice(fallbacks=("aten::odd",))
    outcome = measure(order(), told=told, device=device)
    assert [(each.phase, each.done, each.total) for each in told] == [
        ("warming up", 0, 6),
        ("measuring", 4, 6),
        ("measuring", 6, 6),
    ]
    assert device.synchronized == 2 * 3
    assert outcome.fallbacks == ("aten::odd",)
    assert [(each.iteration, each.batch_size, each.prompt_tokens, each.new_tokens) for each in outcome.samples] == [
        (0, 4, 10, 12),
        (1, 2, 10, 6),
    ]


def test_a_job_without_items_is_refused() -> None:
    with pytest.raises(InputError, match="no items of workload 'w'"):
        measure(order([]))


def test_a_picture_that_is_none_is_named_with_its_item() -> None:
    looker = FakeLooker(FakeClock())
    for picture in PICTURES:
        Path(picture.sha256).write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"^item 'shapes-\d+' of workload 'w': image: this is no picture"):
        measure(order(), looker)


def test_a_picture_that_is_gone_is_named_with_its_item() -> None:
    for picture in PICTURES:
        Path(picture.sha256).unlink()
    with pytest.raises(InputError, match=r"^item 'shapes-\d+' of workload 'w': image: the picture can't be read"):
        measure(order())


def test_the_real_thing_end_to_end(tmp_path: Path) -> None:
    model = VisionAdapter.load(build_vision(tmp_path, "blip2"), "float32", "sdpa", False, CpuDevice())
    given = order(max_new_tokens=5)
    asked = given.model_copy(
        update={
            "prompts": tuple(
                each.model_copy(update={"messages": ({"role": "user", "content": each.item.prompt},)})
                for each in given.prompts
            )
        }
    )
    measured = measure_quality(model, asked, CpuDevice(), lambda progress: None, Path)
    outcome = judged(asked, measured, lambda passages: [None] * len(passages))
    figures = outcome.figures
    assert len(outcome.answers) == 6
    assert figures.accuracy is not None
    assert figures.latency_seconds is not None
    assert figures.latency_seconds > 0
    assert figures.first_call_seconds is not None
    assert {answer.finish for answer in outcome.answers} <= {"stop", "length"}
