"""Weights in int8 or int4: how a tensor of numbers becomes bytes, scales and zeros, and numbers again.

Each row is cut into groups of neighbouring columns, and each group has a scale of its own (round to nearest; nothing
is calibrated, so nothing but the weights decides what comes out):

    int8, symmetric:   weight = scale * q           with q in -127..127, a byte each
    int4, asymmetric:  weight = scale * (q - 8) + zero   with q in 0..15, two to a byte

Four bits are too few to waste half a level on a group that lies to one side of zero; eight are not. Scales and zeros
are bfloat16: it has float32's range, its rounding is made good by rounding the weights to the scale as stored, and
it is what torch's own int4 kernels take.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch

#: elements that are packed at once, so that packing needs a few MiB beside the tensor however large that is
_AT_ONCE = 2**18
_INT8_LEVELS = 127
_INT4_LEVELS = 15
#: the code in the middle, which stands for `zero`
INT4_MIDDLE = 8


class Packed(NamedTuple):
    """A packed tensor of shape (..., rows, columns)."""

    #: (..., rows, bytes): int8, or uint8 with two codes to a byte
    values: torch.Tensor
    #: (..., rows, groups), bfloat16
    scales: torch.Tensor
    #: (..., rows, groups), bfloat16; None where the packing is symmetric
    zeros: torch.Tensor | None

    def at(self, *index: int | slice) -> "Packed":
        """Return the part at an index of the first dimensions, which shares memory with the whole."""
        return Packed(self.values[index], self.scales[index], None if self.zeros is None else self.zeros[index])


class Packing(NamedTuple):
    """How weights are packed: `bits` a weight, and the columns that share a scale, an even number."""

    bits: Literal[4, 8]
    group: int = 64

    def shapes(self, shape: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the shapes of the values, and of scales and zeros, for a tensor of `shape`.

        A row that ends within a group is filled up to its end.
        """
        *outer, columns = shape
        groups = -(-columns // self.group)
        return (*outer, groups * self.group * self.bits // 8), (*outer, groups)

    def empty(self, shape: Sequence[int], device: torch.device | str) -> Packed:
        """Return room for a tensor of `shape`."""
        values, scales = self.shapes(shape)
        return Packed(
            torch.empty(values, dtype=torch.int8 if self.bits == 8 else torch.uint8, device=device),
            torch.empty(scales, dtype=torch.bfloat16, device=device),
            None if self.bits == 8 else torch.empty(scales, dtype=torch.bfloat16, device=device),
        )

    def pack(self, tensor: torch.Tensor) -> Packed:
        """Return a tensor of floating point numbers, packed on its device."""
        packed = self.empty(tensor.shape, tensor.device)
        self.pack_into(packed, tensor)
        return packed

    def pack_into(self, packed: Packed, tensor: torch.Tensor) -> None:
        """Pack a tensor of shape (..., rows, columns) into room for its shape, some rows at a time."""
        columns = tensor.shape[-1]
        values, scales = (part.view(-1, part.shape[-1]) for part in packed[:2])
        zeros = None if packed.zeros is None else packed.zeros.view(-1, packed.zeros.shape[-1])
        rows = tensor.reshape(-1, columns)
        step = max(1, _AT_ONCE // columns)
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            grouped = self._grouped(rows[part])
            if zeros is None:
                values[part], scales[part] = _int8(grouped)
            else:
                values[part], scales[part], zeros[part] = _int4(grouped)

    def unpack(self, packed: Packed, columns: int, dtype: torch.dtype) -> torch.Tensor:
        """Return the numbers that a packed tensor stands for, (..., rows, columns) in `dtype`."""
        outer, groups = packed.scales.shape[:-1], packed.scales.shape[-1]
        scales = packed.scales.to(dtype).unsqueeze(-1)
        values = packed.values.view(*outer, groups, -1)
        if packed.zeros is None:
            numbers = values.to(dtype).mul_(scales)
        else:
            half = self.group // 2
            numbers = torch.empty(*outer, groups, self.group, dtype=dtype, device=values.device)
            numbers[..., :half] = values & 15
            numbers[..., half:] = values >> 4
            numbers.sub_(INT4_MIDDLE).mul_(scales).add_(packed.zeros.to(dtype).unsqueeze(-1))
        return numbers.view(*outer, groups * self.group)[..., :columns]

    def _grouped(self, rows: torch.Tensor) -> torch.Tensor:
        """Return rows as float32 in (rows, groups, group), filled up with their last column, which widens no range."""
        missing = -rows.shape[-1] % self.group
        if missing:
            rows = torch.cat((rows, rows[:, -1:].expand(-1, missing)), dim=-1)
        return rows.float().view(len(rows), -1, self.group)


def _int8(grouped: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (rows, bytes) and the scales (rows, groups) of symmetric codes."""
    scales = (grouped.abs().amax(dim=-1) / _INT8_LEVELS).bfloat16()
    codes = (grouped / _divisor(scales)).round_().clamp_(-_INT8_LEVELS, _INT8_LEVELS)
    return codes.to(torch.int8).flatten(1), scales


def _int4(grouped: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return (rows, bytes), scales and zeros; a byte's low half is from the group's first half of columns."""
    low, high = grouped.amin(dim=-1), grouped.amax(dim=-1)
    scales = ((high - low) / _INT4_LEVELS).bfloat16()
    # The levels reach from 8 below to 7 above: centred, they lie half a level above the middle of the group.
    zeros = ((low + high) / 2 + scales.float() / 2).bfloat16()
    codes = (grouped - zeros.float().unsqueeze(-1)).div_(_divisor(scales)).round_().add_(INT4_MIDDLE)
    first, second = codes.clamp_(0, _INT4_LEVELS).to(torch.uint8).chunk(2, dim=-1)
    return (first | (second << 4)).flatten(1), scales, zeros


def _divisor(scales: torch.Tensor) -> torch.Tensor:
    """Return scales to divide by: a group of equal weights has the scale 0."""
    wide = scales.float().unsqueeze(-1)
    return torch.where(wide == 0, 1.0, wide)
