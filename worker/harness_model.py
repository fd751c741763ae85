"""Our loaded model as lm-eval sees one: its own Hugging Face model class, with a clock. Imports lm-eval."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from lm_eval.api.model import CacheHook
from lm_eval.models.huggingface import HFLM

from bench.results import Sample
from worker.adapters.text import TextAdapter
from worker.device import Device
from worker.energy import Meter
from worker.measure import Clock

#: told the number of requests that are answered, and of all
Told = Callable[[int, int], None]


class Written(NamedTuple):
    """What was generated for a prompt."""

    prompt_tokens: int
    new_tokens: int
    #: `stop` or `length`
    finish: str


class TimedModel(HFLM):  # type: ignore[misc]
    """lm-eval's own model class around a loaded model: what it computes is unchanged, its calls are timed."""

    def __init__(
        self, adapter: TextAdapter, batch_size: int, device: Device, clock: Clock, told: Told, meter: Meter
    ) -> None:
        # A copy of the tokenizer, since lm-eval gives it a pad token where it has none.
        super().__init__(pretrained=adapter.model, tokenizer=copy.deepcopy(adapter.tokenizer), batch_size=batch_size)
        self._timed = (device, clock)
        self._meter = meter
        #: what the meter read before the first call of the model, and after the last one
        self.began_joules: float | None = None
        self.ended_joules: float | None = None
        self._told = told
        self._done = self._total = 0
        self._rows: list[Written] = []
        #: the calls of the model
        self.samples: list[Sample] = []
        #: what was generated, by prompt
        self.written: dict[str, Written] = {}
        #: whether an exception came out of the model
        self.failed = False
        self.set_cache_hook(_Listener(self._answered))

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> Any:
        """Return lm-eval's answers to requests of that kind."""
        self._total += len(requests)
        return super().loglikelihood(requests, disable_tqdm=True)

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> Any:
        """Return lm-eval's answers to requests of that kind."""
        self._total += len(requests)
        return super().loglikelihood_rolling(requests, disable_tqdm=True)

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> Any:
        """Return lm-eval's answers to requests of that kind."""
        self._total += len(requests)
        return super().generate_until(requests, disable_tqdm=True)

    def _model_call(self, inps: torch.Tensor, attn_mask: Any = None, labels: Any = None) -> Any:
        with self._timing(inps) as call:
            logits = super()._model_call(inps, attn_mask=attn_mask, labels=labels)
        self._keep(call, new_tokens=0)
        return logits

    def _model_generate(self, context: torch.Tensor, max_length: int, stop: list[str], **settings: Any) -> Any:
        with self._timing(context) as call:
            tokens = super()._model_generate(context=context, max_length=max_length, stop=stop, **settings)
        mask = settings.get("attention_mask")
        lengths = mask.sum(dim=1).tolist() if mask is not None else [context.shape[1]] * context.shape[0]
        rows = tokens[:, context.shape[1] :].tolist()
        cut = tokens.shape[1] >= max_length
        self._rows = [self._row(length, row, stop, cut) for length, row in zip(lengths, rows, strict=True)]
        self._keep(call, new_tokens=sum(row.new_tokens for row in self._rows))
        return tokens

    def _row(self, prompt_tokens: int, row: list[int], stop: Sequence[str], cut: bool) -> Written:
        ends = {self.eot_token_id, self.tokenizer.pad_token_id}
        end = next((place for place, token in enumerate(row) if token in ends), None)
        kept = row if end is None else row[: end + 1]
        stopped = end is not None or any(word in self.tokenizer.decode(kept) for word in stop)
        return Written(prompt_tokens, len(kept), "length" if cut and not stopped else "stop")

    @contextmanager
    def _timing(self, tokens: torch.Tensor) -> Iterator[dict[str, Any]]:
        device, clock = self._timed
        call: dict[str, Any] = {"batch_size": tokens.shape[0], "prompt_tokens": tokens.shape[1]}
        if not self.samples:
            self.began_joules = self._meter.read()
        device.synchronize()
        started = clock()
        try:
            yield call
            device.synchronize()
        except BaseException:
            self.failed = True
            raise
        call["latency_seconds"] = clock() - started
        self.ended_joules = self._meter.read()

    def _keep(self, call: dict[str, Any], new_tokens: int) -> None:
        seconds = call["latency_seconds"]
        rate = new_tokens / seconds if new_tokens and seconds > 0 else None
        sample = Sample(iteration=len(self.samples), new_tokens=new_tokens, decode_tokens_per_second=rate, **call)
        self.samples.append(sample)

    def _answered(self, kind: str, request: Any) -> None:
        if kind == "generate_until" and self._rows:
            self.written[request[0]] = self._rows.pop(0)
        self._done += 1
        self._told(self._done, self._total)


class _Listener(CacheHook):  # type: ignore[misc]
    """Hears of each answer as it comes, in the place of lm-eval's cache of answers."""

    def __init__(self, answered: Callable[[str, Any], None]) -> None:
        super().__init__(None)
        self._answered = answered

    def add_partial(self, attr: str, req: Any, res: Any) -> None:
        """Take note of an answer."""
        self._answered(attr, req)


@contextmanager
def own_settings(adapter: TextAdapter) -> Iterator[None]:
    """Let the model generate by the checkpoint's own settings, as it does for lm-eval alone."""
    ours = adapter.model.generation_config
    adapter.model.generation_config = copy.deepcopy(adapter.checkpoint_settings)
    try:
        yield
    finally:
        adapter.model.generation_config = ours
