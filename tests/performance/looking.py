"""Looking: answers about a picture through our adapters beside a bare `generate`, in one process."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from bench.spec import JobSpec
from tests.performance.decoding import locked
from tests.performance.results import NotSlower, RatioAtMost, Result, alternate
from tests.performance.world import World, without_progress_bars

_TOKENS = 32
_ASKED = "How many circles are there?"


class Reading(NamedTuple):
    """Cost of one answer, in milliseconds."""

    cpu: float
    wall: float


def measured(write: Callable[[], str], count: int) -> Reading:
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(count):
        write()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Reading(cpu * 1000 / count, wall * 1000 / count)


class _Looker(ABC):
    """One question about one picture, answered by the adapter and by the same checkpoint without it."""

    #: what it is, for the table
    name: str

    def asked(self, tokens: int) -> str:
        """Return what the adapter makes of the picture."""
        from worker.sampling import Decoding

        text: str = self.adapter.generate_batch([self.question], Decoding(max_new_tokens=tokens), [0])[0].text
        return text

    @abstractmethod
    def bare(self, tokens: int) -> str:
        """Return what `generate` makes of it, called as a user would."""

    def __init__(self, world: World) -> None:
        from PIL import Image

        self.picture = Image.effect_mandelbrot((64, 64), (-2, -1.5, 1, 1.5), 30).convert("RGB")
        self.adapter: Any = self._load(world)
        self.question: Any = self.adapter.encode([{"role": "user", "content": self._text()}], self.picture)

    @abstractmethod
    def _load(self, world: World) -> Any:
        """Load the model twice: return the adapter, and keep the bare one."""

    def _text(self) -> str:
        return _ASKED

    def _written(self, row: Any) -> str:
        return str(self.adapter.tokenizer.decode(row, skip_special_tokens=True)).strip()


def _loading() -> Any:
    """Return how an adapter is loaded here: in float32 with plain attention, on the CPU."""
    from worker.adapters import Loading
    from worker.device import pick

    device = pick("cpu")
    device.prepare()
    return *Loading.of(JobSpec(model="m", workload="w", attention="eager")), device


class _Blip(_Looker):
    name = "BLIP"

    def _load(self, world: World) -> Any:
        from transformers import BlipForConditionalGeneration

        from tests.worker.tiny_vision import build_vision
        from worker.adapters.vision import VisionAdapter

        folder = build_vision(world.folder / "blip", "blip")
        self._model = BlipForConditionalGeneration.from_pretrained(folder, attn_implementation="eager").eval()
        return VisionAdapter.load(folder, *_loading())

    def _text(self) -> str:
        return "Describe it."

    def bare(self, tokens: int) -> str:
        return self._written(self._model.generate(self.question.pixels[None], max_new_tokens=tokens)[0])


class _Blip2(_Looker):
    name = "BLIP-2"

    def _load(self, world: World) -> Any:
        from transformers import Blip2ForConditionalGeneration

        from tests.worker.tiny_vision import build_vision
        from worker.adapters.vision import VisionAdapter

        folder = build_vision(world.folder / "blip2", "blip2")
        self._model = Blip2ForConditionalGeneration.from_pretrained(folder, attn_implementation="eager").eval()
        return VisionAdapter.load(folder, *_loading())

    def bare(self, tokens: int) -> str:
        import torch

        ids = torch.tensor([self.question.ids])
        made = self._model.generate(
            self.question.pixels[None], input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens
        )
        return self._written(made[0, ids.shape[1] :])


class _DeepSeekVl2(_Looker):
    name = "DeepSeek-VL2"

    def _load(self, world: World) -> Any:
        from tests.worker import vl2
        from worker.adapters.deepseek_vl2 import DeepSeekVl2Adapter
        from worker.deepseek_vl2 import load

        self._model, self._processor = load(vl2.folder(), attention="eager")
        return DeepSeekVl2Adapter.load(vl2.folder(), *_loading())

    def bare(self, tokens: int) -> str:
        inputs = self._inputs = getattr(self, "_inputs", None) or self._processor(f"<image>\n{_ASKED}", [self.picture])
        made = self._model.generate(**inputs, max_new_tokens=tokens, do_sample=False)
        return self._written(made[0, inputs["input_ids"].shape[1] :])


LOOKERS: dict[str, type[_Looker]] = {"picture": _Blip, "picture-blip2": _Blip2, "picture-vl2": _DeepSeekVl2}


def picture_rows(world: World, row: str) -> Iterator[Result]:
    """CPU and wall time of an answer, and of its first token; the texts are equal, or there is no figure."""
    without_progress_bars()
    looker = LOOKERS[row](world)
    for tokens, what in ((1, "first token"), (_TOKENS, f"a picture, {_TOKENS} tokens")):
        assert looker.asked(tokens) == looker.bare(tokens), "the adapter writes other texts than a bare generate"
        # Many a reading: a tiny model writes one in less time than can be compared.
        count = world.sizes.questions
        ours = locked(partial(measured, partial(looker.asked, tokens), count), world)
        bare = locked(partial(measured, partial(looker.bare, tokens), count), world)
        pairs = alternate(ours, bare, world.sizes.generations)
        for field, goal in (("cpu", RatioAtMost(1.02)), ("wall", NotSlower())):
            yield Result(
                row=row,
                what=f"a tiny {looker.name}, {field} time, {what}",
                unit="ms",
                ours=tuple(getattr(reading, field) for reading, _ in pairs),
                goal=goal,
                beside="a bare generate and decode",
                theirs=tuple(getattr(reading, field) for _, reading in pairs),
            )
