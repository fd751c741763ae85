"""What int8 and int4 do to a real model."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from bench.spec import Precision
from worker.adapters.text import TextAdapter
from worker.device import CpuDevice

#: tokens of the text that is read
LENGTH = 384


@pytest.fixture(scope="module")
def words() -> str:
    from pydoc_data.topics import topics

    return str(topics["compound"])


def _read(model: TextAdapter, words: str) -> tuple[float, torch.Tensor]:
    """Return the perplexity of a text, and the token that the model thinks comes next at each place."""
    ids = torch.tensor([model.encode_text(words)[:LENGTH]])
    with torch.inference_mode():
        logits = model.model(ids).logits.float()
    return float(functional.cross_entropy(logits[0, :-1], ids[0, 1:]).exp()), logits.argmax(-1)


@pytest.mark.model
def test_smollm2_gets_smaller_and_stays_itself(smollm: Path, words: str) -> None:
    sizes, perplexities, agreements = [], [], []
    base: torch.Tensor | None = None
    precisions: tuple[Precision, ...] = ("float32", "bfloat16", "int8", "int4")
    for precision in precisions:
        model = TextAdapter.load(smollm, precision, "sdpa", False, CpuDevice())
        perplexity, chosen = _read(model, words)
        base = chosen if base is None else base
        sizes.append(model.weights_bytes)
        perplexities.append(perplexity)
        agreements.append(float((chosen == base).float().mean()))
        if precision == "int4":
            paris = model.generate_fixed(torch.tensor([model.encode_text("The capital of France is")]), 4)
            assert "Paris" in model.tokenizer.decode(paris[0])
        del model
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 4
    # The embedding, which is the head as well, stays in float32 on the CPU: 113 of these MB.
    assert [round(size / 1e6) for size in sizes] == [538, 269, 223, 173]
    assert agreements[2] > 0.95
    assert agreements[3] > 0.6
    assert perplexities[2] == pytest.approx(perplexities[0], rel=0.02)
    assert perplexities[0] < perplexities[3] < 1.6 * perplexities[0]
