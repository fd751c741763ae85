"""torch's own int4 matrix product ("tinygemm"), on the accelerators that have one.

It reads packed weights where we would unpack them first, which on an accelerator moves several times the bytes of a
whole bfloat16 matrix. It takes bfloat16 and keeps the codes, scales and zeros of `worker.packing` in an order of its
own. Neither CUDA nor MPS was at hand to see it run: before it is used, its product is held against ours on a small
matrix, and where it is missing, fails or differs, weights are unpacked as everywhere else.

On the CPU it is not used: in float32 it takes twice the time of unpacking and multiplying, and for a prompt of 64
tokens eighty times as long (torch 2.13).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.nn import functional

from worker.packing import Packed, Packing

#: columns to a scale that it can do
_GROUPS = (32, 64, 128, 256)
_DEVICES = ("cuda", "mps")
#: largest difference to be put down to bfloat16's rounding, of the largest product
_TOLERANCE = 0.02


class Int4Kernel(NamedTuple):
    """The two functions of a device, with torch's signatures."""

    name: str
    #: (codes two to a byte, the first in the high half; tiles) -> weights in the kernel's order
    convert: Callable[[torch.Tensor, int], torch.Tensor]
    #: (inputs, weights, group, scales and zeros) -> products
    multiply: Callable[[torch.Tensor, torch.Tensor, int, torch.Tensor], torch.Tensor]

    def fits(self, rows: int, packing: Packing) -> bool:
        """Return whether weights of so many rows, packed so, can be given to it."""
        return packing.bits == 4 and packing.group in _GROUPS and rows % 16 == 0

    def ordered(self, packed: Packed, packing: Packing) -> tuple[torch.Tensor, torch.Tensor]:
        """Return weights, and scales with zeros (groups, rows, 2), in the kernel's order."""
        rows, groups = packed.scales.shape
        values = packed.values.view(rows, groups, -1)
        codes = torch.cat((values & 15, values >> 4), dim=-1).view(rows, groups * packing.group)
        pairs = (codes[:, ::2] << 4) | codes[:, 1::2]
        columns = codes.shape[1]
        tiles = next(count for count in (8, 4, 2) if columns % (count * 16) == 0)
        assert packed.zeros is not None, "int4 has zeros"
        both = torch.stack((packed.scales, packed.zeros), dim=-1).transpose(0, 1).contiguous()
        return self.convert(pairs.contiguous(), tiles), both

    def product(self, inputs: torch.Tensor, weights: torch.Tensor, both: torch.Tensor, group: int) -> torch.Tensor:
        """Return inputs (..., columns) times weights: (..., rows)."""
        missing = both.shape[0] * group - inputs.shape[-1]
        flat = functional.pad(inputs, (0, missing)) if missing else inputs
        products = self.multiply(flat.reshape(-1, flat.shape[-1]), weights, group, both)
        return products.view(*inputs.shape[:-1], -1)


def kernel_for(device: torch.device, dtype: torch.dtype) -> Int4Kernel | None:
    """Return the device's kernel, seen to compute what it should; None where there is none."""
    if device.type not in _DEVICES or dtype != torch.bfloat16:
        return None
    kernel = Int4Kernel("tinygemm", torch._convert_weight_to_int4pack, torch._weight_int4pack_mm)
    return kernel if is_right(kernel, device) else None


def is_right(kernel: Int4Kernel, device: torch.device) -> bool:
    """Return whether a kernel multiplies a small matrix as we do, up to bfloat16's rounding."""
    packing, generator = Packing(4, 64), torch.Generator().manual_seed(0)
    weights = packing.pack(torch.randn(48, 320, generator=generator) + 0.5)
    inputs = torch.randn(3, 300, generator=generator).bfloat16()
    expected = inputs.float() @ packing.unpack(weights, 300, torch.float32).T
    zeros = None if weights.zeros is None else weights.zeros.to(device)
    there = Packed(weights.values.to(device), weights.scales.to(device), zeros)
    try:
        found = kernel.product(inputs.to(device), *kernel.ordered(there, packing), packing.group)
    except (RuntimeError, NotImplementedError, TypeError):
        # What torch raises for a device without the kernel, a build without it, and one of another signature.
        return False
    if found.shape != expected.shape:
        return False
    wrong = (found.float().cpu() - expected).abs().max()
    return bool(wrong < _TOLERANCE * expected.abs().max())
