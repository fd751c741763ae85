"""What DeepSeek-VL2-Small needs, computed from its architecture without its weights."""

import json

import pytest
import torch

from bench.catalog import builtin_models
from bench.spec import Precision
from tests.worker import vl2
from worker.adapters.deepseek_vl2 import LEFT
from worker.deepseek_vl2.configuration import DeepseekVL2Config
from worker.deepseek_vl2.modeling import DeepseekVL2ForConditionalGeneration
from worker.packed import PackedModule, replace
from worker.packing import Packing

#: what the hub's config.json says where it differs from the tiny one's
VISION = {"layers": 27, "width": 1152, "heads": 16, "image_size": 384}
PROJECTOR = {"n_embed": 2048, "input_dim": 1152}
LANGUAGE = {
    "hidden_size": 2048,
    "intermediate_size": 10944,
    "moe_intermediate_size": 1408,
    "kv_lora_rank": 512,
    "n_routed_experts": 64,
    "num_experts_per_tok": 6,
    "n_shared_experts": 2,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "num_hidden_layers": 27,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "vocab_size": 102400,
}
GIB = 2**30
#: bytes of a weight where none is packed
WHOLE: dict[Precision, int] = {"float32": 4, "float16": 2, "bfloat16": 2}


def small() -> DeepseekVL2ForConditionalGeneration:
    told = json.loads((vl2.DATA / "config.json").read_text())
    config = DeepseekVL2Config(
        vision_config=told["vision_config"] | VISION,
        projector_config=told["projector_config"] | PROJECTOR,
        language_config=told["language_config"] | LANGUAGE,
    )
    with torch.device("meta"):
        return DeepseekVL2ForConditionalGeneration(config)


def weights_gib(precision: Precision) -> float:
    model = small()
    if precision in WHOLE:
        return float(sum(each.numel() * WHOLE[precision] for each in model.parameters()) / GIB)
    packing = Packing(8 if precision == "int8" else 4, 64)
    replace(model, packing, ("language.lm_head", *LEFT))
    packed, names = 0, set()
    for path, module in model.named_modules():
        for name, shape in module.shapes.items() if isinstance(module, PackedModule) else ():
            names.add(f"{path}.{name}")
            parts = packing.empty(shape, torch.device("meta"))
            packed += sum(part.numel() * part.element_size() for part in parts if part is not None)
    whole = (each for name, each in model.named_parameters() if not any(name.startswith(one) for one in names))
    return float((packed + sum(each.numel() * 2 for each in whole)) / GIB)


def test_it_has_as_many_parameters_as_the_catalog_says() -> None:
    assert sum(each.numel() for each in small().parameters()) == builtin_models()["deepseek-vl2-small"].parameters


@pytest.mark.parametrize(
    ("precision", "gib"),
    [("float32", 60.10), ("float16", 30.05), ("bfloat16", 30.05), ("int8", 16.26), ("int4", 9.59)],
)
def test_the_catalog_s_memory_is_the_weights_and_room_to_work(precision: Precision, gib: float) -> None:
    found = weights_gib(precision)
    assert found == pytest.approx(gib, abs=0.01)
    assert 1.0 < builtin_models()["deepseek-vl2-small"].memory_gib[precision] - found < 2.0


def test_a_mac_of_16_gib_holds_it_in_int4_alone() -> None:
    memory = builtin_models()["deepseek-vl2-small"].memory_gib
    # What such a Mac gives its GPU.
    assert [each for each, gib in memory.items() if gib <= 11.5] == ["int4"]
