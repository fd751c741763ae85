"""Checkpoints of DeepSeek-VL2 that are not whole, or not of this model, are refused in a sentence."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import SiglipVisionConfig, SiglipVisionModel

from bench.errors import ModelError
from tests.worker import vl2
from tests.worker.vl2 import Weights
from worker.deepseek_vl2 import load

EXPERT = "language.model.layers.2.mlp.experts.3.up_proj.weight"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w.pop("vision.pos_embed"), r"1 missing \(vision.pos_embed\)"),
        (lambda w: w.pop(EXPERT), rf"1 missing \({EXPERT}\)"),
        (lambda w: (w.pop("image_newline"), w.pop("view_seperator")), r"2 missing \(image_newline ...\)"),
        (lambda w: w.update({EXPERT.replace("3", "8"): w[EXPERT].clone()}), r"1 unexpected \(language.*experts.8"),
        (lambda w: w.update({"vision.blocks.2.norm1.bias": torch.zeros(72)}), r"1 unexpected \(vision.blocks.2"),
        (lambda w: w.update({EXPERT: torch.zeros(40, 64)}), rf"1 of another shape \({EXPERT}\)"),
        (
            lambda w: w.update({"projector.layers.0.wight": w.pop("projector.layers.0.weight")}),
            r"1 missing \(projector.layers.0.weight\), 1 unexpected \(projector.layers.0.wight\)",
        ),
    ],
)
def test_tensors_must_be_those_of_the_configuration(
    change: Callable[[Weights], Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=rf"the weights in .* are not those of its config.json: {said}"):
        load(vl2.copy(tmp_path / "copy", change))


def test_the_pooling_head_may_be_there_or_not(tmp_path: Path) -> None:
    def drop(weights: Weights) -> None:
        for name in [name for name in weights if name.startswith("vision.attn_pool.")]:
            del weights[name]

    inputs = vl2.loaded()[1]("<image>", [vl2.picture(90, 200)])
    model, _ = load(vl2.copy(tmp_path / "copy", drop))
    assert torch.equal(vl2.logits(model, inputs), vl2.logits(vl2.loaded()[0], inputs))


def test_weights_that_are_not_all_there(tmp_path: Path) -> None:
    folder = vl2.copy(tmp_path / "copy")
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-1000])
    with pytest.raises(ModelError, match=r"model.safetensors can't be read, or was cut off"):
        load(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"there are no weights in .*: neither model.safetensors nor"):
        load(folder)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "one", "b": "two"}}))
    with pytest.raises(ModelError, match=r"2 of 2 files of weights are missing in .* \(one\)"):
        load(folder)
    (folder / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(ModelError, match="is no index of weights"):
        load(folder)
    with pytest.raises(ModelError, match=r"there is no processor_config.json in"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("tile_tag", "1D", "tile_tag = '1D' is not supported, only '2D'"),
        ("global_view_pos", "tail", "global_view_pos = 'tail' is not supported"),
        ("vision_config.model_name", "vit_sam_base", "'vit_sam_base' is no SigLIP"),
        ("projector_config.projector_type", "linear", "projector_config.projector_type = 'linear' is not supported"),
        ("projector_config.n_embed", 32, "tokens of 32 numbers, and the language model takes 64"),
        ("projector_config.input_dim", 80, "patches of 72 numbers, and the projector takes 80"),
        ("language_config.use_mla", False, "language_config.use_mla = False is not supported"),
        ("language_config.topk_method", "noaux_tc", "language_config.topk_method = 'noaux_tc' is not supported"),
        ("language_config.scoring_func", "sigmoid", "language_config.scoring_func = 'sigmoid' is not supported"),
        ("language_config.norm_topk_prob", True, "language_config.norm_topk_prob = True is not supported"),
        ("vision_config.image_size", 88, "1 of another shape"),
    ],
)
def test_other_members_of_the_family_are_refused(field: str, value: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=said):
        load(vl2.copy(tmp_path / "copy", **{field: value}))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"candidate_resolutions": [[60, 60], [60, 120]]},
            "sees tiles of 74 pixels, and its processor cuts tiles of 60",
        ),
        ({"candidate_resolutions": [[74, 74], [74, 100]]}, "must be made of tiles like the first, 74 x 74"),
        ({"candidate_resolutions": []}, "is none of DeepSeek-VL2: IndexError"),
        ({"patch_size": None}, "is none of DeepSeek-VL2: TypeError"),
    ],
)
def test_the_processor_must_be_the_model_s(settings: dict[str, Any], said: str, tmp_path: Path) -> None:
    folder = vl2.copy(tmp_path / "copy")
    file = folder / "processor_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **settings}))
    with pytest.raises(ModelError, match=said):
        load(folder)


def test_other_siglip_models_keep_their_names() -> None:
    plain = SiglipVisionConfig(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=1)
    saved = SiglipVisionModel(plain).state_dict()
    assert "encoder.layers.0.self_attn.q_proj.weight" in saved
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    assert not any("pos_embed" in str(each) for each in get_checkpoint_conversion_mapping("SiglipVisionModel"))


@pytest.mark.parametrize("before", [None, "0"])
def test_loading_leaves_the_environment_as_it_was(before: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if before is None:
        monkeypatch.delenv("HF_DEACTIVATE_ASYNC_LOAD", raising=False)
    else:
        monkeypatch.setenv("HF_DEACTIVATE_ASYNC_LOAD", before)
    load(vl2.folder())
    assert os.environ.get("HF_DEACTIVATE_ASYNC_LOAD") == before
