from typing import Any

import pytest
import torch

from bench.errors import UnavailableError
from worker import selfcheck
from worker.device import CpuDevice


class Wrapped:
    """The tiny model on a device that computes something else: `spoil` changes logits, as said by (half?, tokens)."""

    def __init__(self, model: Any, spoil: Any) -> None:
        self._model, self._spoil = model, spoil
        self._moved = self._half = False

    def to(self, device: torch.device) -> "Wrapped":
        self._moved = True
        return self

    def half(self) -> "Wrapped":
        self._half = True
        return self

    def __call__(self, tokens: torch.Tensor) -> Any:
        output = self._model(tokens)
        if self._moved:
            output.logits = self._spoil(output.logits, self._half, tokens)
        return output


def _check_with(monkeypatch: pytest.MonkeyPatch, spoil: Any) -> None:
    model, tokens = selfcheck.tiny_model()
    monkeypatch.setattr(selfcheck, "tiny_model", lambda: (Wrapped(model, spoil), tokens))
    selfcheck.check(CpuDevice())


def test_the_cpu_agrees_with_itself() -> None:
    selfcheck.check(CpuDevice())


def test_rounding_is_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    _check_with(monkeypatch, lambda logits, half, tokens: logits + 1e-5)


def test_other_logits_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnavailableError, match=r"is not measured on, since its logits differ from the CPU's by 0\.01"):
        _check_with(monkeypatch, lambda logits, half, tokens: logits + 0.01)


def test_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnavailableError, match="differ from the CPU's by nan"):
        _check_with(monkeypatch, lambda logits, half, tokens: logits * float("nan"))


def test_attention_that_reads_future_tokens_in_half_precision_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def leak(logits: torch.Tensor, half: bool, tokens: torch.Tensor) -> torch.Tensor:
        return logits + tokens[:, -1:, None] * 0.1 if half else logits

    with pytest.raises(UnavailableError, match="in float16 reads future tokens"):
        _check_with(monkeypatch, leak)
