import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from bench.catalog import builtin_models
from bench.errors import InputError, ModelError
from bench.images import decode
from bench.pictures import draw
from bench.spec import Attention, Precision
from tests.worker.tiny_vision import QUERIES, SIDE, build_vision
from worker.adapters.checkpoint import DTYPES
from worker.adapters.text import Generated
from worker.adapters.vision import Question, VisionAdapter
from worker.device import CpuDevice
from worker.sampling import Decoding

ASKED = "How many circles are there?"
TOLD = "Describe this picture in one sentence."


@pytest.fixture(scope="module")
def blip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_vision(tmp_path_factory.mktemp("blip"), "blip")


@pytest.fixture(scope="module")
def blip2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_vision(tmp_path_factory.mktemp("blip2"), "blip2")


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    return [decode(picture.png) for picture in draw("captions", items=3)]


def adapter(folder: Path, precision: Precision = "float32", attention: Attention = "sdpa") -> VisionAdapter:
    return VisionAdapter.load(folder, precision, attention, False, CpuDevice())


@pytest.fixture(scope="module")
def blip(blip_folder: Path) -> VisionAdapter:
    return adapter(blip_folder)


@pytest.fixture(scope="module")
def blip2(blip2_folder: Path) -> VisionAdapter:
    return adapter(blip2_folder)


def ask(model: VisionAdapter, texts: list[str], pictures: list[Image.Image]) -> list[Question]:
    return [
        model.encode([{"role": "user", "content": text}], picture)
        for text, picture in zip(texts, pictures, strict=True)
    ]


def _change(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data))


# ---- prompts


def test_blip_begins_with_nothing_or_with_the_first_words(blip: VisionAdapter, pictures: list[Image.Image]) -> None:
    told, begun = ask(blip, [TOLD, "a picture of"], pictures[:2])
    first = blip.model.config.text_config.bos_token_id
    assert told.ids == (first,)
    assert begun.ids == (first, *blip.tokenizer("a picture of", add_special_tokens=False)["input_ids"])


def test_blip_refuses_a_question(blip: VisionAdapter, pictures: list[Image.Image]) -> None:
    with pytest.raises(InputError, match="can't answer a question; ask BLIP-2"):
        ask(blip, [ASKED], pictures[:1])


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        (ASKED, f"Question: {ASKED} Answer:"),
        (f"Question: {ASKED} Answer:", f"Question: {ASKED} Answer:"),
        (f"{ASKED}\n\nAnswer briefly.", f"Question: {ASKED}\n\nAnswer briefly. Answer:"),
        (TOLD, ""),
        ("", ""),
        ("a photo of", "a photo of"),
    ],
)
def test_blip2_is_asked_as_its_paper_does(
    blip2: VisionAdapter, pictures: list[Image.Image], text: str, rendered: str
) -> None:
    (question,) = ask(blip2, [text], pictures[:1])
    image = blip2.model.config.image_token_index
    assert question.ids[:QUERIES] == (image,) * QUERIES
    assert list(question.ids[QUERIES:]) == blip2.tokenizer(rendered)["input_ids"]
    assert question.ids[QUERIES] == blip2.tokenizer.bos_token_id
    assert question.pixels.shape == (3, SIDE, SIDE)
    assert question.pixels.dtype == torch.float32


def test_the_processor_s_own_prompt_is_ours(blip2: VisionAdapter, pictures: list[Image.Image]) -> None:
    from transformers import Blip2Processor

    processor = Blip2Processor(blip2._processor, blip2.tokenizer, num_query_tokens=QUERIES)
    prompt = f"Question: {ASKED} Answer:"
    expected = processor(images=pictures[0], text=prompt, return_tensors="pt")
    (question,) = ask(blip2, [ASKED], pictures[:1])
    assert expected["input_ids"][0].tolist() == list(question.ids)
    assert torch.equal(expected["pixel_values"][0], question.pixels)


# ---- answers


def test_blip_writes_what_a_bare_generate_writes(
    blip: VisionAdapter, blip_folder: Path, pictures: list[Image.Image]
) -> None:
    from transformers import BlipForConditionalGeneration

    bare = BlipForConditionalGeneration.from_pretrained(blip_folder)
    told, begun = ask(blip, [TOLD, "a picture of"], pictures[:2])
    tokens = bare.generate(told.pixels[None], max_new_tokens=10, do_sample=False)
    assert tokens[0, 0] == told.ids[0]
    text = blip.tokenizer.decode(tokens[0, 1:], skip_special_tokens=True).strip()
    ids = blip.tokenizer("a picture of", return_tensors="pt")["input_ids"]
    continued = bare.generate(begun.pixels[None], input_ids=ids, max_new_tokens=10, do_sample=False)
    rest = blip.tokenizer.decode(continued[0, len(begun.ids) :], skip_special_tokens=True).strip()
    answers = blip.generate_batch([told, begun], Decoding(max_new_tokens=10), [0, 0])
    assert [answer.text for answer in answers] == [text, rest]
    assert [answer.prompt_tokens for answer in answers] == [1, len(begun.ids)]


def test_blip2_writes_what_a_bare_generate_writes(
    blip2: VisionAdapter, blip2_folder: Path, pictures: list[Image.Image]
) -> None:
    from transformers import Blip2ForConditionalGeneration

    bare = Blip2ForConditionalGeneration.from_pretrained(blip2_folder)
    told, asked = ask(blip2, [TOLD, ASKED], pictures[:2])
    settings = {"max_new_tokens": 10, "do_sample": False}
    captions = bare.generate(told.pixels[None], **settings)
    ids = torch.tensor([asked.ids])
    answers = bare.generate(asked.pixels[None], input_ids=ids, attention_mask=torch.ones_like(ids), **settings)
    expected = [captions[0, len(told.ids) :], answers[0, len(asked.ids) :]]
    texts = [blip2.tokenizer.decode(row, skip_special_tokens=True).strip() for row in expected]
    written = blip2.generate_batch([told, asked], Decoding(max_new_tokens=10), [0, 0])
    assert [answer.text for answer in written] == texts
    assert len(set(texts)) == 2


@pytest.mark.parametrize("family", ["blip", "blip2"])
@pytest.mark.parametrize(
    "decoding",
    [Decoding(max_new_tokens=12), Decoding(temperature=0.9, top_p=0.9, repetition_penalty=1.2, max_new_tokens=12)],
    ids=["greedy", "everything"],
)
def test_an_answer_does_not_depend_on_its_batch(
    request: pytest.FixtureRequest, pictures: list[Image.Image], family: str, decoding: Decoding
) -> None:
    model: VisionAdapter = request.getfixturevalue(family)
    questions = ask(model, [TOLD, "a picture of", TOLD if family == "blip" else ASKED], pictures)
    seeds = [11, 12, 13]
    alone = [model.generate_batch([one], decoding, [seed])[0] for one, seed in zip(questions, seeds, strict=True)]
    assert model.generate_batch(questions, decoding, seeds) == alone
    assert model.generate_batch(questions[::-1], decoding, seeds[::-1]) == alone[::-1]


@pytest.mark.parametrize("family", ["blip", "blip2"])
def test_the_picture_is_looked_at(request: pytest.FixtureRequest, pictures: list[Image.Image], family: str) -> None:
    model: VisionAdapter = request.getfixturevalue(family)
    white, black = (Image.new("RGB", (50, 40), colour) for colour in ("white", "black"))
    answers = model.generate_batch(ask(model, [TOLD] * 2, [white, black]), Decoding(max_new_tokens=12), [0, 0])
    assert answers[0].text != answers[1].text


@pytest.mark.parametrize("family", ["blip", "blip2"])
def test_an_answer_ends_at_a_stop_token(
    request: pytest.FixtureRequest, pictures: list[Image.Image], family: str
) -> None:
    model: VisionAdapter = request.getfixturevalue(family)
    (question,) = ask(model, [TOLD], pictures[:1])
    stop = model._stop_ids[0]
    answer = model._generated(question, [5, 6, stop, 7])
    assert (answer.new_tokens, answer.finish) == (3, "stop")
    cut = model.generate_batch([question], Decoding(max_new_tokens=4), [0])[0]
    assert (cut.new_tokens, cut.finish) == (4, "length")
    assert model._generated(question, [5, 6]).text == model.tokenizer.decode([5, 6]).strip()


def test_generation_stops_where_the_model_does(
    blip_folder: Path, blip: VisionAdapter, pictures: list[Image.Image], tmp_path: Path
) -> None:
    (question,) = ask(blip, [TOLD], pictures[:1])
    ids = blip._rows([question], Decoding(max_new_tokens=3), [0], "dynamic")[0]
    copy = Path(shutil.copytree(blip_folder, tmp_path / "copy"))
    _change(copy / "config.json", lambda config: config["text_config"].update(sep_token_id=ids[1]))
    stopping = adapter(copy).generate_batch([question], Decoding(max_new_tokens=12), [0])[0]
    wanted = 1 if ids[0] == ids[1] else 2
    assert (stopping.new_tokens, stopping.finish) == (wanted, "stop")


def test_nothing_that_a_checkpoint_suggests_leaks_into_the_settings(
    blip2_folder: Path, blip2: VisionAdapter, pictures: list[Image.Image], tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(blip2_folder, tmp_path / "copy"))
    suggested = {"do_sample": True, "temperature": 0.1, "num_beams": 1, "repetition_penalty": 5.0, "max_length": 3}
    _change(copy / "generation_config.json", lambda config: config.update(suggested))
    questions = ask(blip2, [TOLD, ASKED], pictures[:2])
    expected = blip2.generate_batch(questions, Decoding(max_new_tokens=8), [0, 0])
    assert adapter(copy).generate_batch(questions, Decoding(max_new_tokens=8), [0, 0]) == expected


def test_attention_and_cache(
    blip2_folder: Path, blip2: VisionAdapter, blip: VisionAdapter, pictures: list[Image.Image]
) -> None:
    questions, decoding = ask(blip2, [TOLD, ASKED], pictures[:2]), Decoding(max_new_tokens=8)
    expected = blip2.generate_batch(questions, decoding, [0, 0])
    eager = adapter(blip2_folder, attention="eager")
    assert (blip2.attention, eager.attention, blip.attention) == ("sdpa", "eager", "eager")
    assert eager.generate_batch(questions, decoding, [0, 0]) == expected
    assert blip2.generate_batch(questions, decoding, [0, 0], cache="static") == expected
    with pytest.raises(InputError, match="no static cache"):
        blip.generate_batch(ask(blip, [TOLD], pictures[:1]), decoding, [0], cache="static")


def test_more_tokens_than_the_model_has_places_for_are_refused(
    blip: VisionAdapter, pictures: list[Image.Image]
) -> None:
    questions = ask(blip, [TOLD], pictures[:1])
    with pytest.raises(InputError, match="more than the 64 that the model can take"):
        blip.generate_batch(questions, Decoding(max_new_tokens=64), [0])
    assert blip.generate_batch(questions, Decoding(max_new_tokens=63), [0])[0].new_tokens <= 63


# ---- loading


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_half_precision(
    blip_folder: Path, blip2_folder: Path, blip2: VisionAdapter, pictures: list[Image.Image], precision: Precision
) -> None:
    dtype = getattr(torch, precision)
    first, second = adapter(blip_folder, precision), adapter(blip2_folder, precision)
    assert {each.dtype for each in first.model.parameters()} == {dtype}
    former = {each.dtype for each in (*second.model.qformer.parameters(), second.model.query_tokens)}
    assert former == {torch.float32 if precision == "float16" else torch.bfloat16}
    assert {each.dtype for each in second.model.language_model.parameters()} == {dtype}
    assert second.weights_bytes < blip2.weights_bytes
    answers = second.generate_batch(ask(second, [TOLD, ASKED], pictures[:2]), Decoding(max_new_tokens=4), [0, 0])
    assert [type(answer) for answer in answers] == [Generated] * 2
    assert first.generate_batch(ask(first, [TOLD], pictures[:1]), Decoding(max_new_tokens=4), [0])[0].new_tokens


@pytest.mark.parametrize("name", ["blip-base", "blip2-2.7b"])
def test_the_catalog_offers_what_the_family_can_do(name: str) -> None:
    assert tuple(builtin_models()[name].memory_gib) == tuple(DTYPES)


def test_weights_are_counted_once(blip: VisionAdapter) -> None:
    head, table = blip.model.text_decoder.get_output_embeddings(), blip.model.get_input_embeddings()
    assert head.weight.data_ptr() == table.weight.data_ptr()
    assert blip.weights_bytes > 0
    assert blip.weights_bytes >= 4 * sum(each.numel() for each in blip.model.parameters())


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_a_precision_that_can_t_be_done_names_those_that_can(blip_folder: Path, precision: Precision) -> None:
    with pytest.raises(ModelError, match=f"can't be run in {precision} by this version; it can in float32, float16"):
        adapter(blip_folder, precision)


def _reweigh(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> Path:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, {"format": "pt"})
    return folder


@pytest.mark.parametrize("family", ["blip", "blip2"])
def test_missing_and_unexpected_weights_are_refused_by_name(
    request: pytest.FixtureRequest, tmp_path: Path, family: str
) -> None:
    source: Path = request.getfixturevalue(f"{family}_folder")
    name = "vision_model.post_layernorm.weight"
    less = _reweigh(Path(shutil.copytree(source, tmp_path / "less")), lambda tensors: tensors.pop(name))
    with pytest.raises(ModelError, match=rf"incomplete: 1 are missing \({name}"):
        adapter(less)
    more = Path(shutil.copytree(source, tmp_path / "more"))
    _reweigh(more, lambda tensors: tensors.update({"vision_model.odd.weight": torch.ones(2)}))
    with pytest.raises(ModelError, match=r"1 have no place \(vision_model.odd.weight"):
        adapter(more)
    other = Path(shutil.copytree(source, tmp_path / "other"))
    _reweigh(other, lambda tensors: tensors.update({name: torch.ones(3)}))
    with pytest.raises(ModelError):
        adapter(other)


def test_buffers_of_older_versions_are_no_fault(blip_folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(blip_folder, tmp_path / "copy"))
    old = {"text_decoder.bert.embeddings.position_ids": torch.arange(64)[None]}
    assert adapter(_reweigh(copy, lambda tensors: tensors.update(old))).weights_bytes > 0


def test_another_kind_of_model_is_refused(tiny_qwen: Path, blip_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="of type 'qwen2'; vision models here are blip, blip-2"):
        adapter(tiny_qwen)
    copy = Path(shutil.copytree(blip_folder, tmp_path / "copy"))
    _change(copy / "config.json", lambda config: config.update(architectures=["BlipForQuestionAnswering"]))
    with pytest.raises(ModelError, match="is a BlipForQuestionAnswering, and only a BlipForConditionalGeneration"):
        adapter(copy)
    for text in ("", "[]", "{"):
        (copy / "config.json").write_text(text)
        with pytest.raises(ModelError, match=r"config\.json"):
            adapter(copy)
    (copy / "config.json").unlink()
    with pytest.raises(ModelError, match=r"config\.json"):
        adapter(copy)


def test_a_folder_without_an_image_processor_is_refused(blip_folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(blip_folder, tmp_path / "copy"))
    (copy / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match="can't be loaded"):
        adapter(copy)


def test_a_blip2_of_an_older_format_is_refused(blip2_folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(blip2_folder, tmp_path / "copy"))
    _change(copy / "config.json", lambda config: config.update(image_token_index=None))
    with pytest.raises(ModelError, match="names no image_token_index"):
        adapter(copy)


def test_compiling_wraps_both_parts(blip_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrapped: list[Any] = []

    def compile_(function: Any) -> Any:
        wrapped.append(function)
        return function

    monkeypatch.setattr(torch, "compile", compile_)
    VisionAdapter.load(blip_folder, "float32", "eager", True, CpuDevice())
    assert len(wrapped) == 2
