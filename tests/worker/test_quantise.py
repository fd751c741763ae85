"""int8 and int4: what is loaded, how much memory it takes, and that it computes with the rounded weights."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from bench.errors import ModelError
from bench.spec import Precision
from tests.worker import tiny
from worker.adapters.text import TextAdapter
from worker.device import CpuDevice
from worker.packed import PackedExperts, PackedLinear, PackedModule
from worker.packing import Packing
from worker.quantise import compute_dtype, is_packed, packing, quantiser_of
from worker.sampling import Decoding

PACKED: tuple[Precision, ...] = ("int8", "int4")
EACH = pytest.mark.parametrize("precision", PACKED)
IDS = torch.arange(5, 45)[None]


def _deepseek(**changes: Any) -> Any:
    """Return a tiny DeepSeek-V2: a dense layer, then mixtures; no width is a multiple of 64."""
    from transformers import DeepseekV2Config, DeepseekV2ForCausalLM

    sizes = {
        "vocab_size": 600,
        "hidden_size": 80,
        "intermediate_size": 96,
        "moe_intermediate_size": 72,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "n_routed_experts": 8,
        "n_shared_experts": 2,
        "num_experts_per_tok": 3,
        "first_k_dense_replace": 1,
        "kv_lora_rank": 32,
        "q_lora_rank": None,
        "qk_nope_head_dim": 16,
        "qk_rope_head_dim": 8,
        "v_head_dim": 16,
        "max_position_embeddings": 256,
        "initializer_range": 0.2,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return DeepseekV2ForCausalLM(DeepseekV2Config(**{**sizes, **changes})).eval()


@pytest.fixture(scope="module", params=["qwen2", "llama", "deepseek", "deepseek-sharded"])
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Give a checkpoint of each architecture, and the model that was saved in it."""
    folder = tmp_path_factory.mktemp("checkpoints") / request.param
    model = _deepseek() if request.param.startswith("deepseek") else tiny.model(request.param)
    model.save_pretrained(folder, max_shard_size="150KB" if request.param.endswith("sharded") else "1GB")
    return folder, model


def _load(folder: Path, precision: Precision, **settings: Any) -> Any:
    from transformers import AutoModelForCausalLM

    config = packing(precision, **settings)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, quantization_config=config).eval()


def _packed_modules(model: Any) -> Iterator[tuple[str, PackedModule]]:
    yield from ((name, module) for name, module in model.named_modules() if isinstance(module, PackedModule))


def _rounded(model: Any, packed: Any) -> Any:
    """Return a copy of a model with the weights that a packed one stands for."""
    made = copy.deepcopy(model)
    for path, module in _packed_modules(packed):
        for name in module.shapes:
            getattr(made.get_submodule(path), name).data = module.unpacked(name, torch.float32).contiguous()
    return made


def _bytes(model: Any) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in (*model.parameters(), *model.buffers()))


# ---- what it computes


@EACH
def test_logits_and_answers_are_those_of_the_same_weights_rounded(
    family: tuple[Path, Any], precision: Precision
) -> None:
    folder, model = family
    packed = _load(folder, precision)
    rounded = _rounded(model, packed)
    with torch.no_grad():
        expected, found = rounded(IDS).logits, packed(IDS).logits
        assert (found - expected).abs().max() < 1e-5 * max(1.0, float(expected.abs().max()))
        # Of batches too, in which the experts' tokens come from several rows.
        pair = torch.cat((IDS, IDS.flip(1)))
        assert (packed(pair).logits - rounded(pair).logits).abs().max() < 1e-4
        settings: dict[str, Any] = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
        assert torch.equal(packed.generate(IDS, **settings), rounded.generate(IDS, **settings))
        assert not torch.equal(found, model(IDS).logits), "something was rounded"


@EACH
def test_int8_is_near_and_int4_is_not_far(family: tuple[Path, Any], precision: Precision) -> None:
    folder, model = family
    for path, module in _packed_modules(_load(folder, precision)):
        for name in module.shapes:
            true = getattr(model.get_submodule(path), name).detach()
            wrong = (module.unpacked(name, torch.float32) - true).norm() / true.norm()
            assert wrong < (0.01 if precision == "int8" else 0.12), (path, name)


@EACH
def test_experts_are_packed_and_routers_heads_embeddings_and_norms_are_not(
    family: tuple[Path, Any], precision: Precision
) -> None:
    from transformers.models.deepseek_v2.modeling_deepseek_v2 import DeepseekV2Experts

    folder, model = family
    packed = _load(folder, precision)
    modules = dict(packed.named_modules())
    linears = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    experts = {name for name, module in model.named_modules() if isinstance(module, DeepseekV2Experts)}
    assert len(experts) == (2 if folder.name.startswith("deepseek") else 0)
    for name in experts:
        assert isinstance(modules[name], PackedExperts)
    for name in linears:
        assert isinstance(modules[name], PackedLinear) == (name != "lm_head")
    expected = {name for name, _ in model.named_parameters() if name.rpartition(".")[0] not in linears | experts}
    kept = {name: value for name, value in packed.named_parameters() if value.is_floating_point()}
    for name in expected:
        assert torch.equal(kept[name], model.get_parameter(name)), name
    assert (packed.lm_head.weight is packed.model.embed_tokens.weight) == model.config.tie_word_embeddings


def test_modules_that_are_to_be_left_are(tmp_path: Path) -> None:
    _deepseek().save_pretrained(tmp_path)
    packed = _load(tmp_path, "int4", left=["model.layers.0", "model.layers.1.mlp.experts"], group=32)
    assert (quantiser_of(packed), quantiser_of(_deepseek())) == ("benchbeat int4 g32 v1", None)
    names = [name for name, _ in _packed_modules(packed)]
    assert not any(name.startswith("model.layers.0") for name in names)
    # Experts that are left are merged by transformers, as always.
    assert "model.layers.1.mlp.experts" not in names
    assert packed.model.layers[1].mlp.experts.gate_up_proj.dtype == torch.float32
    assert packed.model.layers[2].mlp.experts.packing.group == 32
    with torch.no_grad():
        found = packed(IDS).logits
        assert (found - _rounded(_deepseek(), packed)(IDS).logits).abs().max() < 1e-4


def test_a_checkpoint_of_merged_experts_is_packed_too(tmp_path: Path) -> None:
    model = _deepseek()
    model.save_pretrained(tmp_path)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, tmp_path / "model.safetensors")
    packed = _load(tmp_path, "int4")
    with torch.no_grad():
        assert (packed(IDS).logits - _rounded(model, packed)(IDS).logits).abs().max() < 1e-4


def test_experts_of_a_model_within_a_model_come_one_by_one_too() -> None:
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.quantizers.auto import AutoHfQuantizer

    model = _deepseek()
    quantiser = AutoHfQuantizer.from_config(packing("int4"), pre_quantized=False)
    merging = get_model_conversion_mapping(model, add_legacy=False)
    for each in merging:
        # As transformers does it for a part called so.
        each.scope_prefix, each.base_model_prefix = "language", ""
    streaming = quantiser.update_weight_conversions(merging, model)
    assert len(streaming) == len(merging) == 2
    key = "language.model.layers.1.mlp.experts.3.up_proj.weight"
    for before, after in zip(merging, streaming, strict=True):
        assert type(after) is not type(before)
        assert after.rename_source_key(key) == before.rename_source_key(key)
        assert after.rename_source_key(key.removeprefix("language."))[1] is None
    assert streaming[0].rename_source_key(key)[0] == "language.model.layers.1.mlp.experts.gate_up_proj"


# ---- memory


def test_which_precisions_are_packed_and_what_they_compute_in() -> None:
    assert [is_packed(each) for each in ("float32", "float16", "bfloat16", *PACKED)] == [False] * 3 + [True] * 2
    assert [compute_dtype(each) for each in ("cpu", "mps", "cuda")] == [torch.float32, torch.bfloat16, torch.bfloat16]


@EACH
def test_weights_bytes_are_those_of_the_tensors(tmp_path: Path, precision: Precision) -> None:
    sizes = {"hidden_size": 128, "moe_intermediate_size": 64, "intermediate_size": 128}
    model = _deepseek(**sizes)
    model.save_pretrained(tmp_path)
    packed = _load(tmp_path, precision)
    linears = [module for _, module in _packed_modules(packed)]
    # Groups of 64: a scale of 2 bytes each, and in int4 a zero.
    per_weight = (1 + 2 / 64) if precision == "int8" else (0.5 + 4 / 64)
    weights = [shape for module in linears for shape in module.shapes.values() if shape[-1] % 64 == 0]
    assert len(weights) >= 10
    for module in linears:
        for name, shape in module.shapes.items():
            if shape[-1] % 64 == 0:
                parts = [part for part in module.packed(name) if part is not None]
                stored = sum(part.numel() * part.element_size() for part in parts)
                assert stored == torch.Size(shape).numel() * per_weight
    assert _bytes(packed) < _bytes(model) * 0.6


def _peak_bytes(work: Any, folder: Path) -> tuple[Any, int]:
    """Return what `work` returns, and the most bytes that torch had allocated meanwhile.

    Maps of the folder's files are left out: they are pages of the system's cache, and read only where touched.
    """
    maps = {each.stat().st_size for each in folder.glob("*.safetensors")}
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        result = work()
    events = [each for each in profile.profiler.kineto_results.events() if each.name() == "[memory]"]
    assert maps <= {each.nbytes() for each in events}
    peak = now = 0
    for event in sorted(events, key=lambda each: int(each.start_ns())):
        now += 0 if abs(event.nbytes()) in maps else event.nbytes()
        peak = max(peak, now)
    return result, peak


@EACH
def test_the_peak_while_loading_is_the_packed_size_and_twice_the_largest_tensor(
    tmp_path: Path, precision: Precision
) -> None:
    wide = {"hidden_size": 1024, "moe_intermediate_size": 1024, "intermediate_size": 512}
    model = _deepseek(**wide, num_hidden_layers=2, n_routed_experts=6, n_shared_experts=1)
    model.bfloat16().save_pretrained(tmp_path, max_shard_size="20MB")
    assert (tmp_path / "model.safetensors.index.json").exists()
    # As computed with: one expert's matrix, where a layer's experts together have twelve and six of them.
    largest = max(value.numel() for file in tmp_path.glob("*.safetensors") for value in load_file(file).values()) * 4
    assert largest == 1024 * 1024 * 4
    packed, peak = _peak_bytes(lambda: _load(tmp_path, precision), tmp_path)
    assert peak > _bytes(packed), "something was counted"
    assert peak < _bytes(packed) + 2 * largest


# ---- what may be wrong with a checkpoint


def _changed(folder: Path, change: Any) -> Path:
    """Change the tensors of a tiny DeepSeek-V2 with a tokenizer, by name, and return its folder."""
    tiny.tokenizer("llama").save_pretrained(folder)
    _deepseek().save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


def _adapter(folder: Path, precision: Precision) -> TextAdapter:
    return TextAdapter.load(folder, precision, "sdpa", False, CpuDevice())


@EACH
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("experts.3.up_proj", "experts.gate_up_proj needs 8 matrices of a kind, and the checkpoint has 7"),
        ("experts.7.down_proj", "experts.down_proj needs 8 matrices of a kind, and the checkpoint has 7"),
        ("shared_experts.up_proj", r"incomplete: 1 are missing \(model.layers.1.mlp.shared_experts.up_proj.weight"),
    ],
)
def test_a_missing_matrix_is_never_made_up(tmp_path: Path, precision: Precision, name: str, message: str) -> None:
    folder = _changed(tmp_path, lambda tensors: tensors.pop(f"model.layers.1.mlp.{name}.weight"))
    with pytest.raises(ModelError, match=message):
        _adapter(folder, precision)


@EACH
@pytest.mark.parametrize("name", ["mlp.experts.3.up_proj", "mlp.shared_experts.up_proj", "self_attn.o_proj"])
def test_a_matrix_of_another_shape_is_refused(tmp_path: Path, precision: Precision, name: str) -> None:
    key = f"model.layers.1.{name}.weight"
    folder = _changed(tmp_path, lambda tensors: tensors.update({key: tensors[key][:-8].clone()}))
    with pytest.raises(ModelError, match=r"can't be loaded: .*model.layers.1.* is \(\d+, \d+\), not \(\d+, \d+\)"):
        _adapter(folder, precision)


@pytest.mark.parametrize("method", ["pack", "pack_into"])
def test_want_of_memory_while_packing_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    folder = _changed(tmp_path, lambda tensors: None)

    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(Packing, method, full)
    with pytest.raises(torch.OutOfMemoryError):
        _adapter(folder, "int4")


@EACH
def test_a_checkpoint_that_is_quantised_otherwise_is_refused(tmp_path: Path, precision: Precision) -> None:
    folder = tiny.build(tmp_path, "llama")
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "awq", "bits": 4, "group_size": 64}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="can't be loaded: "):
        _adapter(folder, precision)


# ---- as an adapter


@EACH
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_text_model_answers_in_it(tiny_llama: Path, precision: Precision, attention: Any) -> None:
    whole = TextAdapter.load(tiny_llama, "float32", "sdpa", False, CpuDevice())
    model = TextAdapter.load(tiny_llama, precision, attention, False, CpuDevice())
    assert (whole.quantiser, model.quantiser) == (None, f"benchbeat {precision} g64 v1")
    assert model.weights_bytes == _bytes(model.model) < whole.weights_bytes
    # Llama's own table of words is not read in a step, its head is.
    assert model.weights_bytes - model.bytes_per_step == whole.weights_bytes - whole.bytes_per_step
    prompts = [model.encode([{"role": "user", "content": text}]) for text in ("import", "What is a class?")]
    answers = model.generate_batch(prompts, Decoding(max_new_tokens=8), [0, 1])
    assert [answer.new_tokens for answer in answers] == [8, 8] or {answer.finish for answer in answers} >= {"stop"}
    assert model.generate_fixed(torch.tensor([prompts[0]]), 4, cache="static").shape == (1, len(prompts[0]) + 4)
