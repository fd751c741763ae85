"""int8 and int4: models whose weights are packed while they are loaded, on every device alike.

**Why no library.** torchao 0.18 with torch 2.13 was read and tried:

- its int4 needs an accelerator and more: `plain` and `preshuffled` the package mslk (CUDA), `plain_int32` an XPU or an
  NPU, `tile_packed_to_4d` a CUDA device; none is for the CPU or for MPS. `IntxWeightOnlyConfig` runs anywhere but
  keeps a byte for each 4-bit weight, so that nothing is gained in memory, and refuses 3-D tensors;
- rows that no group divides are silently left as they were by its int4, and refused by its int8;
- its int8 by groups unpacks and multiplies, in plain torch, as we do here;
- a mixture's experts are only merged, whole, by transformers before it sees them, which takes twice the largest merged
  tensor at once (2 x 738 MB for DeepSeek-VL2-Small).

bitsandbytes, quanto, HQQ and the Metal integration skip 3-D parameters altogether. What is left for a library is int8
by rows on one kind of device; a second way to quantise would then only make figures differ by device. So the same
plain torch packs everywhere, and a run's `quantiser` says which.

**How.** transformers' own `from_pretrained` loads, with a quantiser of ours: what it knows of names, conversions,
devices, tied weights and missing tensors holds as for any model. It loads one tensor after the other when weights are
quantised on the way; each is packed as it comes. Experts come one matrix at a time, each packed into its place, instead
of being merged first. So while loading, there is never more in memory than the packed model and twice the largest
tensor in the format of computing. Embeddings, the head, norms and routers stay as they are.

    AutoModelForCausalLM.from_pretrained(folder, dtype=compute_dtype(device.name), quantization_config=packing("int4"))
"""

from collections.abc import Sequence
from typing import Any

import torch

# Parts of transformers' loading that its own quantisers are made of; the constraints pin it.
from transformers.core_model_loading import Concatenate, ConversionOps, MergeModulelist, WeightConverter
from transformers.quantizers.auto import AUTO_QUANTIZER_MAPPING, register_quantizer
from transformers.quantizers.base import HfQuantizer
from transformers.quantizers.quantizers_utils import get_module_from_name
from transformers.utils.quantization_config import QuantizationConfigMixin

from bench.errors import ModelError
from bench.spec import Precision
from worker.int4_kernel import kernel_for
from worker.packed import SCALES, ZEROS, PackedExperts, PackedLinear, PackedModule, replace
from worker.packing import Packed, Packing

#: counted up when the same weights would come out otherwise
VERSION = 1
_METHOD = "benchbeat"
_BITS = {"int8": 8, "int4": 4}


class PackingConfig(QuantizationConfigMixin):  # type: ignore[misc]
    """What `from_pretrained` takes as `quantization_config`; make it by `packing`."""

    def __init__(self, bits: int, group: int, left: Sequence[str] = ()) -> None:
        self.quant_method = _METHOD
        self.bits = bits
        self.group = group
        #: names of modules that are left as they are, with all below them
        self.left = tuple(left)


def is_packed(precision: Precision) -> bool:
    """Return whether a precision is one of packed weights."""
    return precision in _BITS


def packing(precision: Precision, *, group: int = 64, left: Sequence[str] = ()) -> PackingConfig:
    """Return how to load a model in int8 or int4, with `group` columns to a scale (an even number).

    `left` has names of modules, as the model calls them, that are left as they are, with all below them.
    """
    if AUTO_QUANTIZER_MAPPING.get(_METHOD) is None:
        register_quantizer(_METHOD)(PackingQuantizer)
    return PackingConfig(_BITS[precision], group, left)


def quantiser_of(model: Any) -> str | None:
    """Return what a run's record calls the quantiser of a loaded model; None where its weights are not packed.

    "benchbeat int4 g64 v1": groups of 64, and with ", tinygemm" after it where torch multiplied packed weights itself.
    """
    quantiser = getattr(model, "hf_quantizer", None)
    return quantiser.name if isinstance(quantiser, PackingQuantizer) else None


def compute_dtype(device_name: str) -> torch.dtype:
    """Return the format in which packed weights are computed with, and in which the rest is kept.

    float32 on the CPU, which is slow at anything else unless it is a recent one; bfloat16 on an accelerator, which
    has float32's range where float16 overflows.
    """
    return torch.float32 if device_name == "cpu" else torch.bfloat16


class PackingQuantizer(HfQuantizer):  # type: ignore[misc]
    """Packs weights while transformers loads them."""

    def __init__(self, config: PackingConfig, **settings: Any) -> None:
        super().__init__(config, **settings)
        self.packing = Packing(8 if config.bits == 8 else 4, config.group)
        #: what a run's record calls it
        self.name = f"{_METHOD} int{config.bits} g{config.group} v{VERSION}"
        #: what first went wrong while packing
        self.failure: Exception | None = None

    @property
    def quantized_element_size(self) -> float:
        return self.packing.bits / 8

    @property
    def is_trainable(self) -> bool:
        return False

    def is_serializable(self) -> bool:
        return False

    def param_needs_quantization(self, model: Any, param_name: str, **_: Any) -> bool:
        module, name = get_module_from_name(model, param_name)
        return isinstance(module, PackedModule) and name in module.shapes

    def get_quantize_ops(self) -> ConversionOps:
        return _Pack(self)

    def update_weight_conversions(self, weight_conversions: list[Any], model: Any) -> list[Any]:
        return [_streamed(each) if _merges_experts(each) else each for each in weight_conversions]

    def _process_model_before_weight_loading(self, model: Any, **_: Any) -> None:
        replace(model, self.packing, (*_heads(model), *self.quantization_config.left))

    def _process_model_after_weight_loading(self, model: Any, **_: Any) -> None:
        if self.failure is not None:
            raise self.failure
        kernel = kernel_for(model.device, model.dtype) if self.packing.bits == 4 else None
        linears = [module for module in model.modules() if isinstance(module, PackedLinear)]
        # What is missing was never loaded; who called looks after that.
        there = [module for module in linears if module.weight.dtype == torch.uint8]
        if kernel is not None and sum(module.use(kernel) for module in there):
            self.name += f", {kernel.name}"


class _Pack(ConversionOps):  # type: ignore[misc]
    """Packs tensors that are there as a whole; one of a checkpoint may have become several of the model."""

    def __init__(self, quantiser: PackingQuantizer) -> None:
        self._quantiser = quantiser

    def convert(self, input_dict: dict[str, Any], *, model: Any, **_: Any) -> dict[str, torch.Tensor]:
        try:
            return self._packed(input_dict, model)
        except Exception as error:  # noqa: BLE001  (else transformers keeps it to itself, and want of memory with it)
            self._quantiser.failure = self._quantiser.failure or error
            return {}

    def _packed(self, tensors: dict[str, Any], model: Any) -> dict[str, torch.Tensor]:
        result: dict[str, torch.Tensor] = {}
        for full_name, found in tensors.items():
            (tensor,) = found if isinstance(found, list) else (found,)
            module, name = get_module_from_name(model, full_name)
            if tuple(tensor.shape) != module.shapes[name]:
                raise ModelError(f"{full_name} is {tuple(tensor.shape)}, not {module.shapes[name]}")
            result |= _named(full_name, module.packing.pack(tensor))
        return result


class _StreamedExperts(WeightConverter):  # type: ignore[misc]
    """Packs experts matrix by matrix, each read when its turn comes, where transformers would merge them first."""

    __slots__ = ()

    def convert(
        self, layer_name: str, model: Any = None, config: Any = None, hf_quantizer: Any = None, loading_info: Any = None
    ) -> dict[str, torch.Tensor]:
        module, name = get_module_from_name(model, layer_name)
        if not isinstance(module, PackedExperts):
            merged: dict[str, torch.Tensor] = super().convert(layer_name, model, config, hf_quantizer, loading_info)
            return merged
        readers = [self.collected_tensors.pop(pattern, []) for pattern in self.source_patterns]
        return _named(layer_name, _packed_experts(layer_name, readers, module.shapes[name], module.packing))


def _packed_experts(name: str, readers: list[list[Any]], shape: tuple[int, ...], packing: Packing) -> Packed:
    """Return experts of `shape` (experts, rows, columns); `readers` has a list by part of the rows, an item an expert.

    Raises ModelError where a matrix is missing or has another shape.
    """
    packed: Packed | None = None
    rows = shape[1] // len(readers)
    for start, part in zip(range(0, shape[1], rows), readers, strict=True):
        if len(part) != shape[0]:
            raise ModelError(f"{name} needs {shape[0]} matrices of a kind, and the checkpoint has {len(part)}")
        for expert, read in enumerate(part):
            matrix = read()
            if packed is None:
                # Only a matrix tells on which device they come.
                packed = packing.empty(shape, matrix.device)
            if tuple(matrix.shape) != (rows, shape[2]):
                raise ModelError(f"a matrix of {name} is {tuple(matrix.shape)}, not {(rows, shape[2])}")
            packing.pack_into(packed.at(expert, slice(start, start + rows)), matrix)
            # Else it would still be there while the next one is read.
            del matrix
    assert packed is not None, "a converter has sources"
    return packed


def _named(name: str, packed: Packed) -> dict[str, torch.Tensor]:
    """Return the tensors of a packed parameter under their names in the model."""
    tensors = {name: packed.values, name + SCALES: packed.scales}
    return tensors if packed.zeros is None else {**tensors, name + ZEROS: packed.zeros}


def _merges_experts(conversion: Any) -> bool:
    """Return whether a conversion only stacks matrices, and lays the stacks one below the other."""
    if type(conversion) is not WeightConverter:
        return False
    steps = [(type(each), getattr(each, "dim", None)) for each in conversion.operations]
    return steps in ([(MergeModulelist, 0)], [(MergeModulelist, 0), (Concatenate, 1)])


def _streamed(converter: Any) -> _StreamedExperts:
    """Return a converter of the same names that streams."""
    made = _StreamedExperts(
        list(converter._original_source_patterns),
        list(converter._original_target_patterns),
        operations=converter.operations,
        force_cpu=converter.force_cpu,
    )
    made.scope_prefix, made.base_model_prefix = converter.scope_prefix, converter.base_model_prefix
    return made


def _heads(model: Any) -> list[str]:
    """Return the names of the output layer and of what shares its weights with another."""
    head = model.get_output_embeddings()
    tied = {name.removesuffix(".weight") for pair in model.all_tied_weights_keys.items() for name in pair}
    return [name for name, module in model.named_modules() if name in tied or (head is not None and module is head)]
