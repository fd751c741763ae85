from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from worker.packed import PackedExperts, PackedLinear, replace
from worker.packing import Packing

Bits = Literal[8, 4]
BITS: tuple[Bits, ...] = (8, 4)
BOTH = pytest.mark.parametrize("bits", BITS)


def _numbers(*shape: int, seed: int = 0, scale: float = 0.1, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale + shift


def _back(packing: Packing, tensor: torch.Tensor) -> torch.Tensor:
    return packing.unpack(packing.pack(tensor), tensor.shape[-1], torch.float32)


# ---- the law of rounding


@settings(max_examples=60, deadline=None)
@given(
    bits=st.sampled_from(BITS),
    group=st.sampled_from([2, 8, 32, 64]),
    rows=st.integers(1, 5),
    columns=st.integers(1, 150),
    exponent=st.integers(-12, 4),
    shift=st.floats(-3, 3),
    seed=st.integers(0, 2**16),
)
def test_a_weight_comes_back_within_half_a_level(
    bits: Bits, group: int, rows: int, columns: int, exponent: int, shift: float, seed: int
) -> None:
    packing = Packing(bits, group)
    tensor = _numbers(rows, columns, seed=seed, shift=shift) * 10.0**exponent
    packed = packing.pack(tensor)
    wrong = (packing.unpack(packed, columns, torch.float32) - tensor).abs()
    level = packed.scales.float().repeat_interleave(group, dim=-1)[:, :columns]
    # A scale or a zero is off by up to 1/256 of itself, which the ends of the range may feel.
    largest = tensor.abs().amax()
    assert (wrong <= level * 0.501 + largest / 200).all()


@BOTH
def test_what_lies_on_the_levels_comes_back_as_it_was(bits: Bits) -> None:
    packing = Packing(bits, 64)
    low, high = (-127, 127) if bits == 8 else (-8, 7)
    levels = (torch.arange(40 * 64) % (high - low + 1) + low).float().view(40, 64)
    # Each group has both ends of the range.
    levels[:, :2] = torch.tensor([low, high])
    assert torch.equal(_back(packing, levels / 64), levels / 64)


@BOTH
def test_groups_of_equal_weights_keep_their_value(bits: Bits) -> None:
    tensor = torch.tensor([[0.0] * 64 + [0.5] * 64 + [-0.25] * 6])
    assert torch.allclose(_back(Packing(bits), tensor), tensor, rtol=1 / 128, atol=0)


@BOTH
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_number_does_not_turn_into_one(bits: Bits, bad: float) -> None:
    tensor = _numbers(2, 64)
    tensor[1, 3] = bad
    back = _back(Packing(bits), tensor)
    assert torch.isfinite(back[0]).all()
    assert not torch.isfinite(back[1]).any()


# ---- layout


def test_bytes_are_one_a_weight_or_one_for_two() -> None:
    byte, half = (Packing(bits).pack(_numbers(3, 100)) for bits in BITS)
    assert (byte.values.dtype, tuple(byte.values.shape), byte.zeros) == (torch.int8, (3, 128), None)
    assert (half.values.dtype, tuple(half.values.shape)) == (torch.uint8, (3, 64))
    assert half.zeros is not None
    assert {tuple(each.shape) for each in (byte.scales, half.scales, half.zeros)} == {(3, 2)}


@BOTH
def test_rows_are_packed_alike_alone_and_together(bits: Bits) -> None:
    packing = Packing(bits)
    # More than are packed at once, and a last part that is not whole.
    tensor = _numbers(7, 100, 1000).bfloat16()
    whole = packing.pack(tensor)
    for index in (0, 6):
        alone, part = packing.pack(tensor[index]), whole.at(index)
        assert torch.equal(alone.values, part.values)
        assert torch.equal(alone.scales, part.scales)
        assert (alone.zeros is None, part.zeros is None) == (bits == 8, bits == 8)
        if alone.zeros is not None and part.zeros is not None:
            assert torch.equal(alone.zeros, part.zeros)
    assert torch.equal(_back(packing, tensor)[3], _back(packing, tensor[3]))


def test_int4_is_centred_on_each_group() -> None:
    tensor = _numbers(16, 256, shift=1.0, scale=0.01)
    assert (_back(Packing(4), tensor) - tensor).abs().max() < 0.006
    assert (_back(Packing(8), tensor) - tensor).abs().max() < 0.006


# ---- modules


@BOTH
@pytest.mark.parametrize("columns", [64, 100])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_packed_linear_computes_with_the_rounded_weights(bits: Bits, columns: int, dtype: torch.dtype) -> None:
    packing = Packing(bits)
    linear = nn.Linear(columns, 24, dtype=dtype)
    packed = PackedLinear(linear, packing)
    _fill(packed, "weight", linear.weight)
    inputs = _numbers(2, 5, columns, scale=1.0).to(dtype)
    expected = nn.functional.linear(inputs, packed.unpacked("weight", dtype), linear.bias)
    assert torch.equal(packed(inputs), expected)
    assert packed(inputs).dtype == dtype
    assert f"{columns}, 24, bits={bits}, group=64" in repr(packed)


def _fill(module: PackedLinear | PackedExperts, name: str, tensor: torch.Tensor) -> None:
    packed = module.packing.pack(tensor.detach())
    for ending, part in zip(("", "_scales", "_zeros"), packed, strict=True):
        if part is not None:
            setattr(module, name + ending, nn.Parameter(part, requires_grad=False))


def test_only_plain_linears_outside_what_is_left_are_replaced() -> None:
    class Own(nn.Linear):
        pass

    model = nn.ModuleDict(
        {
            "body": nn.Sequential(nn.Linear(8, 8), Own(8, 8), nn.LayerNorm(8)),
            "head": nn.Linear(8, 8),
            "headless": nn.Linear(8, 8),
            "tower": nn.Sequential(nn.Linear(8, 8), nn.MultiheadAttention(8, 2)),
        }
    )
    assert replace(model, Packing(4), ["head", "tower"]) == 2
    replaced = [name for name, module in model.named_modules() if isinstance(module, PackedLinear)]
    assert replaced == ["body.0", "headless"]
