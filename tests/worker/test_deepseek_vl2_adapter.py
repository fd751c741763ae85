"""DeepSeek-VL2 as the queue asks it: questions in, answers out."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from bench.catalog import builtin_models
from bench.errors import InputError, ModelError
from bench.spec import Precision
from tests.worker import vl2
from tests.worker.tiny import entry_of
from worker.adapters import Loading, load
from worker.adapters.deepseek_vl2 import DeepSeekVl2Adapter
from worker.device import CpuDevice
from worker.sampling import Decoding

PICTURES = [vl2.picture(60, 40), vl2.picture(40, 90), vl2.picture(30, 30)]
TEXTS = ["What is it?", "How many lines are there, and which is the longest of them all?", "Why?"]


def adapter(precision: Precision = "float32", folder: Path | None = None) -> DeepSeekVl2Adapter:
    return DeepSeekVl2Adapter.load(folder or vl2.folder(), precision, "sdpa", False, CpuDevice())


def asked(model: DeepSeekVl2Adapter, text: str, picture: Any) -> Any:
    return model.encode([{"role": "user", "content": text}], picture)


def test_the_entry_says_what_it_is() -> None:
    entry = entry_of("vision", architecture="deepseek-vl2")
    model = load(entry, vl2.folder(), Loading("float32", "eager", False), CpuDevice())
    assert isinstance(model, DeepSeekVl2Adapter)
    assert (model.attention, model.quantiser) == ("eager", None)


def test_a_question_holds_a_place_for_each_token_of_its_picture() -> None:
    model = adapter()
    question = asked(model, TEXTS[0], PICTURES[0])
    processor = vl2.loaded()[1]
    wanted = processor(f"<image>\n{TEXTS[0]}", [PICTURES[0]])
    assert list(question.ids) == wanted["input_ids"][0].tolist()
    assert torch.equal(question.pixels, wanted["pixel_values"])
    assert torch.equal(question.grid, wanted["images_spatial_crop"])
    several = asked(model, TEXTS[0], PICTURES)
    assert len(several.grid) == 3
    assert several.ids.count(processor.image_token_id) > question.ids.count(processor.image_token_id)


def test_an_answer_is_what_greedy_decoding_gives_and_does_not_depend_on_its_batch() -> None:
    model = adapter()
    questions = [asked(model, text, picture) for text, picture in zip(TEXTS, PICTURES, strict=True)]
    decoding = Decoding(max_new_tokens=6)
    together = model.generate_batch(questions, decoding, [0, 0, 0])
    alone = [model.generate_batch([question], decoding, [0])[0] for question in questions]
    assert together == alone
    plain, processor = vl2.loaded()
    for text, picture, answer in zip(TEXTS, PICTURES, alone, strict=True):
        row = vl2.greedy(plain, processor(f"<image>\n{text}", [picture]), 6)[0]
        assert answer == model._generated(asked(model, text, picture), row)


def test_the_same_seed_gives_the_same_answer() -> None:
    model = adapter()
    question = asked(model, TEXTS[0], PICTURES[0])
    decoding = Decoding(temperature=1.5, max_new_tokens=8)
    first, second, third = (model.generate_batch([question], decoding, [seed])[0].text for seed in (7, 7, 8))
    assert first == second != third


@pytest.mark.parametrize("precision", builtin_models()["deepseek-vl2-small"].memory_gib)
def test_it_answers_in_every_precision_of_the_entry(precision: Precision) -> None:
    model = adapter(precision)
    answer = model.generate_batch([asked(model, TEXTS[0], PICTURES[0])], Decoding(max_new_tokens=3), [0])[0]
    assert 1 <= answer.new_tokens <= 3
    assert (model.quantiser is not None) == (precision in ("int8", "int4"))


def test_weights_take_less_in_a_smaller_precision() -> None:
    sizes = [adapter(precision).weights_bytes for precision in ("float32", "bfloat16")]
    packed = [adapter(precision).weights_bytes for precision in ("int8", "int4")]
    # All but the tables of positions, which stay in float32.
    assert sizes[0] == pytest.approx(2 * sizes[1], rel=1e-3)
    # On the CPU the tower and the tables stay in float32.
    assert sizes[0] > packed[0] > packed[1]


def test_what_does_not_fit_is_refused() -> None:
    model = adapter()
    with pytest.raises(InputError, match=r"more than the \d+ that the model can take"):
        model.generate_batch([asked(model, TEXTS[0], PICTURES[0])], Decoding(max_new_tokens=100_000), [0])
    with pytest.raises(InputError, match="times <image>"):
        asked(model, "Is <image> a tag?", PICTURES[0])
    with pytest.raises(InputError, match="needs a question"):
        model.encode([{"role": "system", "content": "Be brief."}], Image.new("RGB", (9, 9)))


def test_a_folder_without_such_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"processor_config\.json"):
        adapter(folder=tmp_path)
