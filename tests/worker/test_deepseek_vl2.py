"""DeepSeek-VL2 against what its original code gives, and against itself: saved, sharded, batched, cached."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.commands import ROOT
from tests.worker import vl2
from tests.worker.vl2 import greedy, logits, picture
from worker.deepseek_vl2 import DeepseekVL2ForConditionalGeneration, load
from worker.deepseek_vl2.configuration import DeepseekVL2Config

EXPECTED: dict[str, dict[str, Any]] = json.loads((vl2.DATA / "expected.json").read_text())
QUESTION = "<image>\nWhat is in the picture?"


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("case", EXPECTED)
def test_it_gives_what_the_original_gives(case: str, attention: str) -> None:
    told = EXPECTED[case]
    model, processor = load(vl2.folder(), attention=attention)
    parts = (model.config, model.vision.config, model.language.config)
    assert {part._attn_implementation for part in parts} == {attention}
    inputs = processor(told["messages"], [picture(*size) for size in told["pictures"]])
    assert inputs["input_ids"].tolist() == [told["input_ids"]]
    if told["pictures"]:
        assert inputs["images_spatial_crop"].tolist() == told["images_spatial_crop"]
        assert len(inputs["pixel_values"]) == told["tiles"]
        assert hashlib.sha256(inputs["pixel_values"].numpy().tobytes()).hexdigest() == told["pixel_values_sha256"]
    else:
        assert inputs.keys() == {"input_ids", "attention_mask"}
    assert (logits(model, inputs)[0, -1] - torch.tensor(told["logits"])).abs().max() < 1e-5
    assert greedy(model, inputs) == [told["greedy_token_ids"]]


@pytest.mark.parametrize("case", ["text-only", "two-pictures"])
def test_it_gives_that_also_after_saving_and_from_shards_in_bfloat16(case: str, tmp_path: Path) -> None:
    told = EXPECTED[case]
    model, processor = vl2.loaded()
    model.save_pretrained(tmp_path / "whole")
    rounded, _ = load(vl2.folder(), torch.bfloat16)
    rounded.save_pretrained(tmp_path / "shards", max_shard_size="300KB")
    processor.save_pretrained(tmp_path / "whole")
    processor.save_pretrained(tmp_path / "shards")
    inputs = processor(told["messages"], [picture(*size) for size in told["pictures"]])
    assert greedy(load(tmp_path / "whole")[0], inputs) == [told["greedy_token_ids"]]
    low, _ = load(tmp_path / "shards", torch.float32)
    off = (logits(low, inputs)[0, -1] - torch.tensor(told["logits"])).abs()
    # Weights of eight bits' precision: the same ones, and nothing but their rounding.
    assert off.max() < 0.1


def test_it_is_the_same_after_saving_and_loading(tmp_path: Path) -> None:
    model, processor = vl2.loaded()
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    again, second = load(tmp_path)
    inputs, same = processor(QUESTION, [picture(90, 200)]), second(QUESTION, [picture(90, 200)])
    assert inputs.keys() == same.keys()
    assert all(torch.equal(inputs[name], same[name]) for name in inputs)
    assert torch.equal(logits(model, inputs), logits(again, inputs))
    # In the hub's layout, so that the original code reads it too.
    ours, theirs = load_file(tmp_path / "model.safetensors"), load_file(vl2.folder() / "model.safetensors")
    assert theirs.keys() - ours.keys() == {name for name in theirs if name.startswith("vision.attn_pool.")}
    assert all(torch.equal(theirs[name], tensor) for name, tensor in ours.items())


def test_a_model_made_from_its_configuration_is_saved_in_the_hub_s_layout_too(tmp_path: Path) -> None:
    made = DeepseekVL2ForConditionalGeneration(DeepseekVL2Config.from_pretrained(vl2.folder()))
    made.save_pretrained(tmp_path)
    again, report = DeepseekVL2ForConditionalGeneration.from_pretrained(
        vl2.folder(), dtype=torch.float32, output_loading_info=True
    )
    assert not any(report.values())
    assert again.config.name_or_path == str(vl2.folder())
    assert load_file(tmp_path / "model.safetensors").keys() < load_file(vl2.folder() / "model.safetensors").keys()
    assert {name: tensor.shape for name, tensor in made.state_dict().items()} == {
        name: tensor.shape for name, tensor in again.state_dict().items()
    }


def test_shards_in_bfloat16_give_what_the_rounded_model_gives(tmp_path: Path) -> None:
    rounded, processor = load(vl2.folder(), torch.bfloat16)
    rounded.save_pretrained(tmp_path, max_shard_size="300KB")
    for name in vl2.PROCESSOR_FILES:
        (tmp_path / name).write_bytes((vl2.folder() / name).read_bytes())
    assert len(list(tmp_path.glob("*.safetensors"))) > 3
    inputs = processor(QUESTION, [picture(90, 200)])
    low, _ = load(tmp_path, torch.bfloat16)
    assert {tensor.dtype for tensor in low.parameters()} == {torch.bfloat16}
    assert torch.equal(logits(low, inputs), logits(rounded, inputs))
    high, _ = load(tmp_path, torch.float32)
    assert {tensor.dtype for tensor in high.parameters()} == {torch.float32}
    exact = {name: tensor.to(torch.bfloat16).float() for name, tensor in vl2.loaded()[0].state_dict().items()}
    assert all(torch.equal(tensor, exact[name]) for name, tensor in high.state_dict().items())


@pytest.mark.parametrize(("dtype", "off"), [(torch.float16, 0.003), (torch.bfloat16, 0.03)])
def test_it_answers_in_half_precision(dtype: torch.dtype, off: float) -> None:
    (model, processor), (half, _) = vl2.loaded(), load(vl2.folder(), dtype)
    inputs = processor(QUESTION, [picture(90, 200)])
    # By the mean: where two experts are nearly as good, rounding may choose the other.
    assert (logits(half, inputs) - logits(model, inputs)).abs().mean() < off
    assert len(greedy(half, inputs)[0]) == 8


def test_a_row_does_not_depend_on_the_rows_beside_it() -> None:
    model, processor = vl2.loaded()
    prompts = [QUESTION, "<image> and <image>: which is larger?", "Hello", "<image><image><image> three"]
    pictures = [
        [picture(200, 90)],
        [picture(90, 300), picture(300, 40)],
        [],
        [picture(200, 90), picture(20, 20), picture(9, 300)],
    ]
    together = processor.batch(prompts, pictures)
    assert together["images_spatial_crop"].tolist() == [[3, 1], [1, 3], [3, 1], [1, 1], [1, 1], [1, 1]]
    rows, scores = greedy(model, together), logits(model, together)
    for place, (prompt, given) in enumerate(zip(prompts, pictures, strict=True)):
        alone = processor(prompt, given)
        length = alone["input_ids"].shape[1]
        assert together["input_ids"][place, -length:].tolist() == alone["input_ids"][0].tolist()
        assert together["attention_mask"][place].sum() == length
        assert (scores[place, -length:] - logits(model, alone)[0]).abs().max() < 1e-5
        assert [rows[place]] == greedy(model, alone)


@pytest.mark.parametrize(
    "settings", [{"use_cache": False}, {"cache_implementation": "static", "disable_compile": True}]
)
def test_the_cache_changes_nothing(settings: dict[str, Any]) -> None:
    model, processor = vl2.loaded()
    inputs = processor("<image> <image>", [picture(90, 200), picture(150, 150)])
    assert greedy(model, inputs) == greedy(model, inputs, **settings)


def test_an_answer_ends_at_its_last_token() -> None:
    model, processor = vl2.loaded()
    assert model.generation_config.eos_token_id == processor.tokenizer.eos_token_id == 1014
    inputs = processor("Hello")
    first = greedy(model, inputs, 1)[0][0]
    assert model.generate(**inputs, max_new_tokens=8, do_sample=False, eos_token_id=first).shape[1] == (
        inputs["input_ids"].shape[1] + 1
    )


@pytest.mark.parametrize(("columns", "rows"), [(1, 1), (2, 1), (1, 2), (2, 2), (3, 2), (2, 3)])
def test_a_picture_s_tokens_lie_as_the_picture_does(columns: int, rows: int) -> None:
    model, processor = vl2.loaded()
    side = processor.tokens_a_side
    pixels = torch.randn(1 + rows * columns, 3, 74, 74, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        tiles = model.projector(model.vision(pixels).last_hidden_state)
        found = model.picture_tokens(pixels, torch.tensor([[columns, rows]]))
    wanted = []
    for down in range(side):
        wanted += [*tiles[0, down], model.image_newline]
    wanted.append(model.view_seperator)
    for down in range(rows * side):
        for across in range(columns * side):
            tile = 1 + (down // side) * columns + across // side
            wanted.append(tiles[tile, down % side, across % side])
        wanted.append(model.image_newline)
    assert torch.equal(found, torch.stack(wanted))


def test_patches_are_merged_by_squares_channel_by_channel() -> None:
    model, _ = vl2.loaded()
    seen: list[torch.Tensor] = []
    patches = torch.randn(1, 25, 72, generator=torch.Generator().manual_seed(0))
    hook = model.projector.layers.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        model.projector(patches)
    hook.remove()
    grid = torch.zeros(6, 6, 72)
    grid[:5, :5] = patches[0].reshape(5, 5, 72)
    for down in range(3):
        for across in range(3):
            square = grid[2 * down : 2 * down + 2, 2 * across : 2 * across + 2]
            assert torch.equal(seen[0][0, 3 * down + across], square.permute(2, 0, 1).flatten())


def test_places_and_pictures_must_agree() -> None:
    model, processor = vl2.loaded()
    inputs = processor(QUESTION, [picture(90, 200)])
    with pytest.raises(ValueError, match="the pictures have 25 tokens, and the prompt 49 places"):
        model(**{**inputs, "pixel_values": inputs["pixel_values"][:2], "images_spatial_crop": torch.tensor([[1, 1]])})
    with pytest.raises(ValueError, match="the pictures' grids ask for 3 tiles, and there are 2"):
        model(**{**inputs, "pixel_values": inputs["pixel_values"][:2], "images_spatial_crop": torch.tensor([[1, 2]])})


MEASURE = """
import sys, threading
from pathlib import Path
import torch
from worker.deepseek_vl2 import load

def resident():
    text = Path("/proc/self/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) * 1024

load(Path(sys.argv[1]))
before, peak, ended = resident(), [0], threading.Event()
def watch():
    while not ended.wait(0.001):
        peak[0] = max(peak[0], resident())
watcher = threading.Thread(target=watch, daemon=True)
watcher.start()
model, _ = load(Path(sys.argv[2]), torch.bfloat16)
ended.set()
watcher.join()
print(sum(tensor.numel() * tensor.element_size() for tensor in model.parameters()), peak[0] - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_loading_never_holds_two_copies(tmp_path: Path) -> None:
    config = DeepseekVL2Config.from_pretrained(vl2.folder())
    language = config.language_config
    language.hidden_size = config.projector_config.n_embed = 256
    language.n_routed_experts, language.num_hidden_layers, language.moe_intermediate_size = 32, 13, 512
    with torch.device("meta"):
        empty = DeepseekVL2ForConditionalGeneration(config).to(torch.bfloat16)
    empty.to_empty(device="cpu").save_pretrained(tmp_path, max_shard_size="100MB")
    for name in vl2.PROCESSOR_FILES:
        (tmp_path / name).write_bytes((vl2.folder() / name).read_bytes())
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(vl2.folder()), str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    weights, peak = map(int, done.stdout.split())
    assert weights > 300e6
    # One copy, and what merging one layer's experts takes.
    assert peak < 1.6 * weights
