"""torch's int4 product, by that of its CPU: no accelerator is at hand."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import worker.quantise
from tests.worker import tiny
from worker.int4_kernel import Int4Kernel, is_right, kernel_for
from worker.packed import PackedLinear
from worker.packing import Packing
from worker.quantise import packing, quantiser_of

CPU = torch.device("cpu")


def _convert(pairs: torch.Tensor, tiles: int) -> torch.Tensor:
    """Stand in for an accelerator's function, whose codes come two to a byte; the CPU's come one to a number."""
    assert pairs.dtype == torch.uint8
    assert pairs.shape[1] * 2 % (tiles * 16) == 0
    codes = torch.stack((pairs >> 4, pairs & 15), dim=-1).flatten(1)
    weights: torch.Tensor = torch.ops.aten._convert_weight_to_int4pack_for_cpu(codes.int(), tiles)
    return weights


def _multiply(inputs: torch.Tensor, weights: torch.Tensor, group: int, both: torch.Tensor) -> torch.Tensor:
    assert inputs.dtype == both.dtype == torch.bfloat16
    products: torch.Tensor = torch.ops.aten._weight_int4pack_mm_for_cpu(inputs, weights, group, both)
    return products


STAND_IN = Int4Kernel("stand-in", _convert, _multiply)


def _missing(*_: Any) -> torch.Tensor:
    raise NotImplementedError("no such kernel")


def test_a_kernel_is_used_only_where_it_computes_the_same() -> None:
    assert is_right(STAND_IN, CPU)
    assert not is_right(STAND_IN._replace(multiply=_missing), CPU)
    assert not is_right(STAND_IN._replace(convert=_missing), CPU)
    assert not is_right(STAND_IN._replace(multiply=lambda *given: _multiply(*given) * 1.05), CPU)
    # The order of the two in a byte, taken the other way round.
    swapped = STAND_IN._replace(convert=lambda pairs, tiles: _convert((pairs << 4) | (pairs >> 4), tiles))
    assert not is_right(swapped, CPU)
    assert not is_right(STAND_IN._replace(multiply=lambda *given: _multiply(*given)[:, :-1]), CPU)
    assert not is_right(STAND_IN._replace(multiply=lambda *given: _multiply(*given) * float("nan")), CPU)


def test_the_cpu_has_none_and_neither_has_another_format() -> None:
    assert kernel_for(CPU, torch.bfloat16) is None
    assert kernel_for(torch.device("cuda"), torch.float32) is None
    assert kernel_for(torch.device("mps"), torch.float16) is None


@pytest.mark.parametrize("group", [32, 64, 128])
@pytest.mark.parametrize("columns", [64, 100, 256])
@pytest.mark.parametrize("bias", [False, True])
def test_a_linear_computes_the_same_by_a_kernel(group: int, columns: int, bias: bool) -> None:
    module, inputs = _linear(columns, 48, Packing(4, group), bias)
    expected = module(inputs)
    stored = _bytes(module)
    assert module.use(STAND_IN)
    found = module(inputs)
    assert found.shape == expected.shape == (2, 3, 48)
    assert (found - expected).abs().max() < 0.02 * expected.abs().max()
    assert _bytes(module) == stored
    assert "weight_zeros" not in dict(module.named_parameters())


@pytest.mark.parametrize(
    ("rows", "how"), [(40, Packing(4, 64)), (48, Packing(8, 64)), (48, Packing(4, 16))], ids=["rows", "int8", "group"]
)
def test_what_a_kernel_can_t_take_is_left(rows: int, how: Packing) -> None:
    module, inputs = _linear(64, rows, how, bias=True)
    expected = module(inputs)
    assert not module.use(STAND_IN)
    assert torch.equal(module(inputs), expected)


def _linear(columns: int, rows: int, how: Packing, bias: bool) -> tuple[PackedLinear, torch.Tensor]:
    """Return a packed Linear in bfloat16, and inputs for it."""
    generator = torch.Generator().manual_seed(columns)
    linear = nn.Linear(columns, rows, bias=bias, dtype=torch.bfloat16)
    module = PackedLinear(linear, how)
    packed = how.pack(torch.randn(rows, columns, generator=generator))
    module.weight, module.weight_scales = (nn.Parameter(part, requires_grad=False) for part in packed[:2])
    if packed.zeros is not None:
        module.weight_zeros = nn.Parameter(packed.zeros, requires_grad=False)
    return module.requires_grad_(False), torch.randn(2, 3, columns, generator=generator).bfloat16()


def _bytes(module: nn.Module) -> int:
    return sum(value.numel() * value.element_size() for value in module.parameters())


def test_a_model_is_loaded_with_it_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoModelForCausalLM

    tiny.build(tmp_path, "llama")
    ids = torch.arange(5, 45)[None]

    def loaded(precision: Any) -> Any:
        settings = {"dtype": torch.bfloat16, "quantization_config": packing(precision)}
        return AutoModelForCausalLM.from_pretrained(tmp_path, **settings).eval()

    plain = loaded("int4")
    monkeypatch.setattr(worker.quantise, "kernel_for", lambda device, dtype: STAND_IN)
    by_kernel = loaded("int4")
    names = [quantiser_of(model) for model in (plain, by_kernel, loaded("int8"))]
    assert names == ["benchbeat int4 g64 v1", "benchbeat int4 g64 v1, stand-in", "benchbeat int8 g64 v1"]
    assert _bytes(by_kernel) == _bytes(plain)
    with torch.no_grad():
        expected, found = plain(ids).logits, by_kernel(ids).logits
    assert (found - expected).norm() < 0.05 * expected.norm()
