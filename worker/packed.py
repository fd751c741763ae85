"""Modules whose weights are packed: they stand where a Linear or a mixture's experts stood, and compute the same.

The weights are unpacked for the matrix product and forgotten after it, so that beside the packed weights there is
never more than one unpacked matrix; where a device multiplies packed weights itself, a Linear's are left packed.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from worker.int4_kernel import Int4Kernel
from worker.packing import Packed, Packing

#: endings of the names of what belongs to a packed parameter
SCALES, ZEROS = "_scales", "_zeros"


class PackedModule(nn.Module):
    """A module with packed parameters, each with its scales and zeros beside it under its name.

    They are on the meta device until they are loaded, the parameter itself still in its own shape, under which a
    checkpoint's tensor finds it.
    """

    def __init__(self, packing: Packing) -> None:
        super().__init__()
        self.packing = packing
        #: the shapes before packing, by name
        self.shapes: dict[str, tuple[int, ...]] = {}

    def declare(self, name: str, like: torch.Tensor) -> None:
        """Make room for a parameter with the shape of `like`."""
        self.shapes[name] = tuple(like.shape)
        _, scales, zeros = self.packing.empty(like.shape, "meta")
        self.register_parameter(name, _frozen(torch.empty_like(like, device="meta")))
        self.register_parameter(name + SCALES, _frozen(scales))
        if zeros is not None:
            self.register_parameter(name + ZEROS, _frozen(zeros))

    def packed(self, name: str) -> Packed:
        """Return a parameter as it was packed; not for one that a kernel has put into its own order."""
        return Packed(getattr(self, name), getattr(self, name + SCALES), getattr(self, name + ZEROS, None))

    def unpacked(self, name: str, dtype: torch.dtype, index: int | None = None) -> torch.Tensor:
        """Return a parameter's numbers, or those of one index of its first dimension."""
        packed = self.packed(name)
        return self.packing.unpack(packed if index is None else packed.at(index), self.shapes[name][-1], dtype)


class PackedLinear(PackedModule):
    """A Linear with packed weights; its bias is left as it is."""

    weight: nn.Parameter
    weight_scales: nn.Parameter
    weight_zeros: nn.Parameter | None
    bias: nn.Parameter | None

    def __init__(self, linear: nn.Linear, packing: Packing) -> None:
        super().__init__(packing)
        self.in_features = linear.in_features
        self.out_features = linear.out_features
        self.declare("weight", linear.weight)
        self.register_parameter("bias", linear.bias)
        self._kernel: Int4Kernel | None = None

    def use(self, kernel: Int4Kernel) -> bool:
        """Multiply by a kernel from now on, where it fits; return whether it does. The weights take its order."""
        if not kernel.fits(self.out_features, self.packing):
            return False
        weights, both = kernel.ordered(self.packed("weight"), self.packing)
        self.weight, self.weight_scales = _frozen(weights), _frozen(both)
        self.weight_zeros = None
        self._kernel = kernel
        return True

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        if self._kernel is not None:
            products = self._kernel.product(inputs, self.weight, self.weight_scales, self.packing.group)
            return products if self.bias is None else products + self.bias
        return functional.linear(inputs, self.unpacked("weight", inputs.dtype), self.bias)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, bits={self.packing.bits}, group={self.packing.group}"


class PackedExperts(PackedModule):
    """The experts of a mixture with packed weights, in the shape in which transformers 5 keeps them.

    `gate_up_proj` is (experts, 2 x intermediate, hidden), `down_proj` (experts, hidden, intermediate). Only the
    experts that the tokens at hand chose are unpacked, one after the other.
    """

    def __init__(self, experts: Any, packing: Packing) -> None:
        super().__init__(packing)
        self.num_experts = int(experts.num_experts)
        self.act_fn = experts.act_fn
        self.declare("gate_up_proj", experts.gate_up_proj)
        self.declare("down_proj", experts.down_proj)

    @staticmethod
    def fits(module: nn.Module) -> bool:
        """Return whether these are experts of the usual kind: gate and up in one, no biases, nothing transposed."""
        parts = [getattr(module, name, None) for name in ("gate_up_proj", "down_proj")]
        if not all(isinstance(part, nn.Parameter) and part.dim() == 3 for part in parts):
            return False
        unusual = ("has_bias", "is_transposed", "has_post_expert_norm")
        usual = ("has_gate", "is_concatenated")
        gate = getattr(getattr(type(module), "_apply_gate", None), "__name__", "")
        return (
            hasattr(module, "act_fn")
            and hasattr(module, "num_experts")
            and not any(getattr(module, name, True) for name in unusual)
            and all(getattr(module, name, False) for name in usual)
            and gate == "_default_apply_gate"
        )

    def forward(
        self, hidden_states: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor
    ) -> torch.Tensor:
        """Return the weighted sum of the chosen experts' outputs: (tokens, hidden) from (tokens, hidden).

        `top_k_index` and `top_k_weights` are (tokens, chosen); an index of `num_experts` chooses none. Follows the
        plain forward of transformers' experts.
        """
        result = torch.zeros_like(hidden_states)
        chosen = functional.one_hot(top_k_index, num_classes=self.num_experts + 1).permute(2, 1, 0)
        hit = chosen[: self.num_experts].sum(dim=(-1, -2)).nonzero().flatten().tolist()
        for expert in hit:
            rank, token = torch.where(chosen[expert])
            outputs = self._expert(expert, hidden_states[token]) * top_k_weights[token, rank, None]
            result.index_add_(0, token, outputs.to(result.dtype))
        return result

    def _expert(self, expert: int, inputs: torch.Tensor) -> torch.Tensor:
        gate_up = functional.linear(inputs, self.unpacked("gate_up_proj", inputs.dtype, expert))
        gate, up = gate_up.chunk(2, dim=-1)
        return functional.linear(self.act_fn(gate) * up, self.unpacked("down_proj", inputs.dtype, expert))

    def extra_repr(self) -> str:
        return f"experts={self.num_experts}, bits={self.packing.bits}, group={self.packing.group}"


def replace(model: nn.Module, packing: Packing, left: Sequence[str]) -> int:
    """Put packed modules in the place of each Linear and of experts, except those `left`, and return their number.

    `left` has names of modules, which stand for all below them.
    """
    found = 0
    for name, module in list(model.named_modules()):
        if any(name == each or name.startswith(each + ".") for each in left):
            continue
        # A class derived from Linear may be one that its owner reads the weight of.
        if type(module) is nn.Linear:
            model.set_submodule(name, PackedLinear(module, packing))
        elif PackedExperts.fits(module):
            model.set_submodule(name, PackedExperts(module, packing))
        else:
            continue
        found += 1
    return found


def _frozen(tensor: torch.Tensor) -> nn.Parameter:
    return nn.Parameter(tensor, requires_grad=False)
