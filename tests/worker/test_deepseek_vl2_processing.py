"""How DeepSeek-VL2's prompts become token ids, and its pictures tiles."""

import json
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bench.errors import InputError
from tests.worker import vl2
from tests.worker.vl2 import picture
from worker.deepseek_vl2.processing import DeepseekVL2Processor
from worker.deepseek_vl2.tiling import Pixels, best_resolution, views
from worker.deepseek_vl2.tokens import load_tokenizer

CANDIDATES = [(74, 74), (74, 148), (148, 74), (74, 222), (222, 74), (148, 148)]
#: those of the model on the hub
LARGE = [(384 * across, 384 * down) for across in range(1, 10) for down in range(1, 10) if across * down <= 9]
BOS, EOS, IMAGE, USER, ASSISTANT = 1013, 1014, 1016, 1022, 1023


@pytest.fixture
def processor() -> DeepseekVL2Processor:
    return vl2.loaded()[1]


def ids(processor: DeepseekVL2Processor, prompt: Any, pictures: list[Image.Image] | None = None) -> list[int]:
    found: list[int] = processor(prompt, pictures or [])["input_ids"][0].tolist()
    return found


# ---- tiles


@pytest.mark.parametrize(
    ("size", "best"),
    [
        # Small ones lose nothing anywhere: the least waste decides.
        ((20, 20), (74, 74)),
        ((74, 74), (74, 74)),
        # A pixel more than a tile is lost in one tile; two hold it, whichever way: the first of equals is taken.
        ((75, 74), (148, 74)),
        ((74, 75), (74, 148)),
        ((75, 75), (148, 148)),
        ((120, 50), (148, 74)),
        ((500, 500), (148, 148)),
        ((1000, 100), (222, 74)),
        ((100, 1000), (74, 222)),
        ((300, 200), (148, 148)),
        ((250, 100), (222, 74)),
    ],
)
def test_the_grid_shows_most_of_the_picture_and_wastes_least(size: tuple[int, int], best: tuple[int, int]) -> None:
    assert best_resolution(size, CANDIDATES) == best


@given(size=st.tuples(st.integers(1, 4000), st.integers(1, 4000)), candidates=st.sampled_from([CANDIDATES, LARGE]))
def test_no_grid_is_better_than_the_best(size: tuple[int, int], candidates: list[tuple[int, int]]) -> None:
    width, height = size
    ranked = []
    for place, (wide, high) in enumerate(candidates):
        scale = min(wide / width, high / height)
        effective = min(int(width * scale) * int(height * scale), width * height)
        ranked.append((-effective, wide * high - effective, place))
    if min(ranked)[0] == 0:
        with pytest.raises(InputError, match="too thin"):
            best_resolution(size, candidates)
    else:
        assert best_resolution(size, candidates) == candidates[min(ranked)[2]]


def test_a_picture_is_cut_row_by_row_after_its_whole() -> None:
    shown = picture(148, 222)
    whole, *tiles = views(shown, (148, 222), 74, (127, 127, 127))
    assert whole.size == (74, 74)
    assert [tile.size for tile in tiles] == [(74, 74)] * 6
    corners = [(left, top) for top in (0, 74, 148) for left in (0, 74)]
    for tile, (left, top) in zip(tiles, corners, strict=True):
        assert np.array_equal(np.array(tile), np.array(shown)[top : top + 74, left : left + 74])


def test_a_picture_is_centred_on_the_mean_colour(processor: DeepseekVL2Processor) -> None:
    pixels = processor("<image>", [Image.new("RGB", (148, 74), "white")])["pixel_values"]
    assert pixels.shape == (3, 3, 74, 74)
    whole = pixels[0, 0]
    background = (127 / 255 - 0.5) / 0.5
    assert torch.allclose(whole[:18], torch.tensor(background))
    assert torch.allclose(whole[-18:], torch.tensor(background))
    assert torch.equal(whole[19:55], torch.ones(36, 74))
    # The tiles need no background: the picture fills them.
    assert torch.equal(pixels[1:], torch.ones(2, 3, 74, 74))


def test_pixels_are_normalised_by_the_processor_s_mean_and_deviation() -> None:
    one = Image.new("RGB", (1, 1), (0, 51, 255))
    assert Pixels().tensor(one).flatten().tolist() == pytest.approx([-1, -0.6, 1])
    assert Pixels((0.0, 0.2, 0.5), (1.0, 0.1, 0.25)).tensor(one).flatten().tolist() == pytest.approx(
        [0, 0, 2], abs=1e-6
    )
    assert Pixels(normalize=False).tensor(one).flatten().tolist() == pytest.approx([0, 0.2, 1])
    assert Pixels((0.48, 0.46, 0.41)).background == (122, 117, 104)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_a_picture_of_any_mode_is_seen_in_rgb(processor: DeepseekVL2Processor, mode: str) -> None:
    shown = picture(90, 60, mode)
    found = processor("<image>", [shown])["pixel_values"]
    assert torch.equal(found, processor("<image>", [shown.convert("RGB")])["pixel_values"])


@pytest.mark.parametrize(("count", "grid"), [(1, [3, 1]), (2, [3, 1]), (3, [1, 1]), (5, [1, 1])])
def test_more_than_two_pictures_are_not_cut(processor: DeepseekVL2Processor, count: int, grid: list[int]) -> None:
    inputs = processor("<image>" * count, [picture(300, 40)] * count)
    assert inputs["images_spatial_crop"].tolist() == [grid] * count
    assert len(inputs["pixel_values"]) == count * (1 + grid[0])
    places = 3 * 4 + 1 + 3 * grid[1] * (3 * grid[0] + 1)
    assert (inputs["input_ids"] == IMAGE).sum() == count * places


def test_pictures_of_all_turns_count_together(processor: DeepseekVL2Processor) -> None:
    turns = [
        {"role": "user", "content": "<image> first"},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": "<image><image> more"},
    ]
    grids = processor(turns, [picture(300, 40)] * 3)["images_spatial_crop"].tolist()
    assert grids == [[1, 1]] * 3


@pytest.mark.parametrize("size", [(3, 1000), (2000, 9)])
def test_a_picture_that_is_too_thin_is_refused(processor: DeepseekVL2Processor, size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"a picture of {size[0]} x {size[1]} pixels is too thin to be looked at"):
        processor("<image>", [Image.new("RGB", size)])


# ---- prompts


def test_a_question_is_a_turn_of_its_own(processor: DeepseekVL2Processor) -> None:
    assert processor.render("  Hello there\n") == "<|User|>: Hello there\n\n<|Assistant|>:"
    found = ids(processor, "Hello there")
    assert (found[:2], found[-2], EOS in found) == ([BOS, USER], ASSISTANT, False)
    assert found == ids(processor, [{"role": "user", "content": "Hello there"}])
    assert found == ids(
        processor, [{"role": "<|User|>", "content": "Hello there"}, {"role": "assistant", "content": ""}]
    )
    assert ids(processor, " ") == [
        BOS,
        *processor.tokenizer.encode("<|User|>:<|Assistant|>:", add_special_tokens=False),
    ]


def test_each_answer_ends_and_the_last_is_left_open(processor: DeepseekVL2Processor) -> None:
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": " 1 "},
        {"role": "user", "content": "Two?"},
        {"role": "assistant", "content": "It is"},
    ]
    parts = ["Be brief.", "<|User|>: One?\n\n<|Assistant|>:", "1", "<|User|>: Two?\n\n<|Assistant|>:", "It is"]
    encoded = [processor.tokenizer.encode(part, add_special_tokens=False) for part in parts]
    encoded[2].append(EOS)
    assert ids(processor, turns) == [BOS, *chain.from_iterable(encoded)]
    assert processor.render(turns) == "".join([*parts[:3], "<｜end▁of▁sentence｜>", *parts[3:]])


def test_text_around_a_picture_is_tokenised_apart(processor: DeepseekVL2Processor) -> None:
    found = ids(processor, "before <image> after", [picture(20, 20)])
    before, after = (
        processor.tokenizer.encode(text, add_special_tokens=False)
        for text in ("<|User|>: before ", " after\n\n<|Assistant|>:")
    )
    assert found == [BOS, *before, *[IMAGE] * 25, *after]


@pytest.mark.parametrize(("prompt", "count"), [("none", 1), ("<image>", 0), ("<image> <image>", 1), ("<image>", 2)])
def test_marks_and_pictures_must_agree(processor: DeepseekVL2Processor, prompt: str, count: int) -> None:
    with pytest.raises(InputError, match=f"the prompt has {prompt.count('<image>')} times <image>.* {count} pictures"):
        processor(prompt, [picture(20, 20)] * count)


@pytest.mark.parametrize(
    ("turns", "said"),
    [
        ([], "a conversation needs a message"),
        ([{"role": "tool", "content": "x"}], "a message of role 'tool' can't stand there"),
        ([{"role": "user", "content": "x"}, {"role": "system", "content": "y"}], "of role 'system' can't stand there"),
        (
            [{"role": "user", "content": "x"}, {"role": "assistant", "content": "<image>"}],
            "an answer can't hold <image>",
        ),
    ],
)
def test_conversations_that_make_no_sense(
    processor: DeepseekVL2Processor, turns: list[dict[str, str]], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        processor(turns, [])


def test_a_shorter_prompt_is_padded_on_the_left(processor: DeepseekVL2Processor) -> None:
    batch = processor.batch(["Hello", "Hello, what is a function?"], [[], []])
    pad = processor.tokenizer.pad_token_id
    assert pad == 1015
    shorter, longer = ids(processor, "Hello"), ids(processor, "Hello, what is a function?")
    missing = len(longer) - len(shorter)
    assert batch["input_ids"].tolist() == [[pad] * missing + shorter, longer]
    assert batch["attention_mask"].tolist() == [[0] * missing + [1] * len(shorter), [1] * len(longer)]
    assert batch.keys() == {"input_ids", "attention_mask"}


def test_marks_that_a_tokenizer_lacks_are_added(tmp_path: Path) -> None:
    folder = vl2.copy(tmp_path / "copy")
    file = folder / "tokenizer.json"
    told = json.loads(file.read_text())
    told["added_tokens"] = [token for token in told["added_tokens"] if token["id"] < IMAGE]
    file.write_text(json.dumps(told))
    # They come after what is there, in the order in which the original code adds them.
    assert ids(DeepseekVL2Processor.from_pretrained(folder), "<image>", [picture(20, 20)]) == ids(
        vl2.loaded()[1], "<image>", [picture(20, 20)]
    )
    assert load_tokenizer(folder).convert_tokens_to_ids(["<|/det|>", "<|Assistant|>"]) == [1020, ASSISTANT]


def test_a_tokenizer_without_a_pad_token_gets_one(tmp_path: Path) -> None:
    folder = vl2.copy(tmp_path / "copy")
    file = folder / "tokenizer_config.json"
    told = json.loads(file.read_text())
    del told["pad_token"]
    file.write_text(json.dumps(told))
    assert load_tokenizer(folder).pad_token_id == 1015


def test_an_answer_s_text_is_without_special_tokens(processor: DeepseekVL2Processor) -> None:
    words = processor.tokenizer.encode("a circle", add_special_tokens=False)
    assert processor.decode([*words, EOS]) == "a circle"
